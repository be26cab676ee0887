"""A whole shop's databases, as `cluster.json` says where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bazar.cluster_file import parse
from bazar.config import Config
from handlers import ROLES
from storage.postgresql.shop import audits, standbys

PORTS = {"catalog": 8000, "order": 8001}


def config(dsn: Any, *roles: str) -> Config:
    nodes = {f"{role}-1": {"role": role, "port": PORTS[role]} for role in roles or PORTS}
    engine = {"kind": "postgresql", "servers": ["127.0.0.1:5432"], "dsn": dsn}
    return parse({"nodes": nodes, "engine": engine}, Path(), ROLES)


def test_the_servers_of_each_database_are_looked_at_once() -> None:
    assert list(standbys(config("dbname=shop"))) == ["catalog, order"]
    assert list(standbys(config({"catalog": "dbname=a", "order": "dbname=b"}))) == [
        "catalog",
        "order",
    ]
    assert list(standbys(config({"order": "dbname=b"}))) == ["catalog", "order"]


def test_a_shop_without_orders_has_no_database_of_them() -> None:
    catalog = config("dbname=shop", "catalog")
    assert list(standbys(catalog)) == ["catalog"]
    assert list(audits(catalog, "token")) == ["catalog"]
