"""A whole shop's databases, as `cluster.json` says where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bazar.cluster_file import parse
from bazar.config import Config
from bazar.errors import Unavailable
from handlers import ROLES
from storage.postgresql.schema import migrate
from storage.postgresql.shop import audits, is_new, models_of, standbys
from tests.unit.storage.postgresql.database import CLUSTER, DatabaseCase, parts_of

PORTS = {"catalog": 8000, "order": 8001}


def config(dsn: Any, *roles: str, server: str = "127.0.0.1:5432") -> Config:
    nodes = {f"{role}-1": {"role": role, "port": PORTS[role]} for role in roles or PORTS}
    engine = {"kind": "postgresql", "servers": [server], "dsn": dsn}
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


class NewTest(DatabaseCase):
    async def test_a_shop_is_new_until_any_group_has_tables(self) -> None:
        server, dsn = parts_of(self._conninfo)
        shop = config(dsn, server=server)
        self.assertTrue(await is_new(shop))
        await migrate(self.session, models_of()["order"], CLUSTER)
        self.assertFalse(await is_new(shop))
        await self.until_others()
        with self.assertRaisesRegex(Unavailable, "no database server takes writes"):
            await is_new(config("user=nobody", server=server))
