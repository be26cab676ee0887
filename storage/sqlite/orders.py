"""The orders' rows in SQLite: how far they have come, and what callers read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from bazar.replication.store import Operation, Outcome
from storage.database import Database
from storage.orders import Orders, show_order

SCHEMA = """
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, sold_at INTEGER NOT NULL,
    lines TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID
"""

CURSOR = "SELECT COALESCE((SELECT seq FROM cursors WHERE name = 'sales'), 0) AS seq"


class OrderRows:
    """The `Model` of the order group."""

    migrations: Sequence[str] = (SCHEMA,)

    def __init__(self, orders: Orders) -> None:
        self.tables = orders.tables
        self._orders = orders

    def seed(self) -> Sequence[Operation]:
        return self._orders.seed()

    def teach(self, connection: sqlite3.Connection) -> None:
        """No trigger calls anything."""

    def derive(self, connection: sqlite3.Connection) -> bool:
        """Return at once: all there is are rows."""
        return True

    def execute(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], first: int
    ) -> list[Outcome]:
        [row] = connection.execute(CURSOR)
        return self._orders.decide(row["seq"], operations)


class SQLiteOrderReader:
    """An `OrderReader`. Every method is one statement: one moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cursor(self) -> int:
        """The catalog entry up to which every sale has its order."""
        [row] = await self._database.read(CURSOR)
        seq: int = row["seq"]
        return seq

    async def order(self, order_id: str) -> dict[str, Any] | None:
        rows = await self._database.read("SELECT * FROM orders WHERE order_id = ?", (order_id,))
        return show_order(dict(rows[0])) if rows else None

    async def orders(self, after_seq: int, limit: int) -> list[dict[str, Any]]:
        """Orders behind `after_seq`, oldest first."""
        rows = await self._database.read(
            "SELECT * FROM orders WHERE seq > ? ORDER BY seq LIMIT ?", (after_seq, limit)
        )
        return [{**show_order(dict(row)), "seq": row["seq"]} for row in rows]
