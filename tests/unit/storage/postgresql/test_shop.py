"""A whole shop's databases, as `cluster.json` says where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bazar.cluster_file import parse
from bazar.config import Config
from handlers import ROLES
from storage.postgresql.shop import standbys

NODES = {
    role: {"role": role, "port": port} for port, role in enumerate(("catalog", "order"), start=8000)
}


def config(dsn: Any) -> Config:
    nodes = {f"{role}-1": node for role, node in NODES.items()}
    engine = {"kind": "postgresql", "servers": ["127.0.0.1:5432"], "dsn": dsn}
    return parse({"nodes": nodes, "engine": engine}, Path(), ROLES)


def test_the_servers_of_each_database_are_looked_at_once() -> None:
    assert list(standbys(config("dbname=shop"))) == ["catalog, order"]
    assert list(standbys(config({"catalog": "dbname=a", "order": "dbname=b"}))) == [
        "catalog",
        "order",
    ]
    assert list(standbys(config({"order": "dbname=b"}))) == ["catalog", "order"]
