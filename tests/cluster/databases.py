"""Shops whose groups have a database each, on one server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cluster.cluster import TABLES, Cluster, Row
from tests.postgresql.servers import Server

SHORT = {"lease_s": 0.4, "ack_timeout_s": 0.2}

COLUMNS = {
    "topics": "id, name, folded",
    "books": "id, title, author, catalog_id, cost, count, isbn, retired",
    "sales": "order_id, key, request, sold_at, seq, lines",
    "cancellations": "order_id, seq, cancelled_at, cancelled",
    "earlier_cancellations": "seq, order_id, cancelled_at, cancelled",
    "answers": "key, request, answer, at",
    "orders": "order_id, seq, sold_at, lines, changed, cancelled, cancelled_at",
    "cursors": "name, seq, id",
    "adoptions": "upto, behind",
    "history": "epoch, id, behind",
}


@dataclass(frozen=True)
class Databases:
    """One database for each role."""

    server: Server
    names: dict[str, str]

    @property
    def engine(self) -> dict[str, Any]:
        dsn = {
            role: f"user=postgres dbname={name} password={self.server.place.password}"
            for role, name in self.names.items()
        }
        tempo = {"primary_lease_s": 1.0, "pause_s": 0.1}
        return {"kind": "postgresql", "servers": [self.server.address], "dsn": dsn, **tempo}

    def keep(self, role: str) -> None:
        """Keep a role's database as it is now: nobody may be connected."""
        self.server.ask(f"CREATE DATABASE {self.names[role]}_kept TEMPLATE {self.names[role]}")

    def put_back(self, role: str) -> None:
        """Put what was kept in the place of the role's database, below whoever is connected."""
        name = self.names[role]
        self.server.ask(f"DROP DATABASE {name} WITH (FORCE)")
        self.server.ask(f"ALTER DATABASE {name}_kept RENAME TO {name}")

    def dump(self, role: str) -> None:
        """Dump a role's database as an operator does, while the shop runs."""
        place, name = self.server.place, self.names[role]
        to = ("--dbname", self.server.database(name), "--file", place.directory / f"{name}.sql")
        place.run(place.bin / "pg_dump", *to)

    def restore(self, role: str) -> None:
        """Put the dump in the place of the role's database."""
        place, name = self.server.place, self.names[role]
        self.server.ask(f"DROP DATABASE {name} WITH (FORCE)")
        self.server.ask(f"CREATE DATABASE {name} TEMPLATE template0")
        to = ("--dbname", self.server.database(name), "--file", place.directory / f"{name}.sql")
        place.run(place.bin / "psql", "--set=ON_ERROR_STOP=1", "--quiet", "--no-psqlrc", *to)

    def ask(self, role: str, sql: str) -> list[Row]:
        conninfo = self.server.database(self.names[role])
        with psycopg.connect(conninfo, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def state(self, role: str) -> dict[str, list[Row]]:
        """All rows of a group, in the order of their keys."""
        sql = "SELECT {} FROM bazar_{}.{} ORDER BY 1"
        return {
            table: self.ask(role, sql.format(COLUMNS[table], role, table)) for table in TABLES[role]
        }


@pytest.fixture
def databases(postgresql_server: Server, tmp_path: Path) -> Iterator[Databases]:
    names = {role: f"{role}_{tmp_path.name}".replace("-", "_").lower() for role in TABLES}
    for name in names.values():
        postgresql_server.ask(f"CREATE DATABASE {name}")
    yield Databases(postgresql_server, names)
    for name in names.values():
        postgresql_server.ask(f"DROP DATABASE {name} WITH (FORCE)")


def over(databases: Databases, directory: Path) -> Cluster:
    """A shop over PostgreSQL."""
    return Cluster(directory, settings={"engine": databases.engine, "replication": SHORT})


async def buy(shop: Cluster, book: int, key: str) -> dict[str, Any]:
    answer = await shop.put("frontend-1", f"/purchase/{book}", key=key)
    assert answer.status == 200, answer
    bought: dict[str, Any] = answer.json
    return bought


async def stopped(shop: Cluster) -> None:
    await shop.terminate("cluster")
