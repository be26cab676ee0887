"""The orders' rows in SQLite: how far they have come, and what callers read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from bazar.replication.store import Operation, Outcome
from storage.checksum import CHECKSUM
from storage.history import Position
from storage.orders import Orders, Place, Projected, show_listed, show_order
from storage.sqlite.database import Database
from storage.sqlite.history import HISTORY_SCHEMA

SCHEMA = """
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, sold_at INTEGER NOT NULL,
    lines TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID
"""
HISTORY = f"""
{HISTORY_SCHEMA};
ALTER TABLE cursors ADD COLUMN id TEXT;
CREATE TABLE adoptions (upto INTEGER PRIMARY KEY, behind INTEGER NOT NULL)
"""
# An order that has never changed has the number by which it was made.
CANCELLED = f"""
ALTER TABLE orders ADD COLUMN changed INTEGER;
ALTER TABLE orders ADD COLUMN cancelled TEXT;
CREATE UNIQUE INDEX orders_by_change ON orders (COALESCE(changed, seq));
DELETE FROM meta WHERE name = '{CHECKSUM}'
"""
BY_TIME = """
CREATE INDEX orders_by_time ON orders (sold_at, seq);
CREATE INDEX orders_cancelled ON orders (sold_at, seq) WHERE cancelled IS NOT NULL
"""
# When something of it was cancelled last.
CANCELLED_AT = f"""
ALTER TABLE orders ADD COLUMN cancelled_at INTEGER;
DELETE FROM meta WHERE name = '{CHECKSUM}'
"""

CURSOR = "SELECT seq, id FROM cursors WHERE name = 'sales'"
NUMBERS = "SELECT order_id, seq FROM orders WHERE order_id IN (SELECT value FROM json_each(?))"
KNOWN = "SELECT * FROM orders WHERE order_id IN (SELECT value FROM json_each(?))"
HIGHEST = (
    "SELECT COALESCE((SELECT COALESCE(changed, seq) FROM orders"
    " ORDER BY COALESCE(changed, seq) DESC LIMIT 1), 0)"
)
COUNT = "SELECT COUNT(*) FROM orders WHERE COALESCE(changed, seq) > ?"
CHANGES = (
    "SELECT * FROM orders WHERE COALESCE(changed, seq) > ? ORDER BY COALESCE(changed, seq) LIMIT ?"
)
SOLD = (
    "SELECT * FROM orders WHERE sold_at >= ? AND (sold_at, seq) < (?, ?)"
    " ORDER BY sold_at DESC, seq DESC LIMIT ?"
)
SOLD_AND_CANCELLED = SOLD.replace(
    "orders WHERE", "orders INDEXED BY orders_cancelled WHERE cancelled IS NOT NULL AND"
)
# The + keeps SQLite from going through the index by time.
SOLD_AS = (
    "SELECT * FROM orders WHERE +sold_at >= ? AND (+sold_at, seq) < (?, ?)"
    " AND order_id BETWEEN ? AND ? ORDER BY +sold_at DESC, seq DESC LIMIT ?"
)


def cursor_of(rows: Iterable[Sequence[Any]]) -> Position:
    """Return the position in the rows of `CURSOR`."""
    return next((Position(number, name) for number, name in rows), Position())


class OrderRows:
    """The `Model` of the order group."""

    migrations: Sequence[str] = (SCHEMA, HISTORY, CANCELLED, BY_TIME, CANCELLED_AT)

    def __init__(self, orders: Orders) -> None:
        self.tables = orders.tables
        self._orders = orders

    def seed(self) -> Sequence[Operation]:
        return self._orders.seed()

    def teach(self, connection: sqlite3.Connection) -> None:
        """Do nothing: there are no triggers."""

    def derive(self, connection: sqlite3.Connection) -> bool:
        """Return True: nothing is derived from the rows."""
        return True

    def compact(self, connection: sqlite3.Connection) -> None:
        """Do nothing: nothing is derived from the rows."""

    def execute(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], first: int
    ) -> list[Outcome]:
        [(highest,)] = connection.execute(HIGHEST)
        wanted = json.dumps(self._orders.wanted(operations))
        known = {row["order_id"]: dict(row) for row in connection.execute(KNOWN, (wanted,))}
        work = Projected(cursor_of(connection.execute(CURSOR)), known, highest, first)
        return self._orders.decide(work, operations)


class SQLiteOrderReader:
    """An `OrderReader`. Every method is one statement: one moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cursor(self) -> Position:
        """Return the position in the catalog's log up to which every sale has its order."""
        return cursor_of(await self._database.read(CURSOR))

    async def order(self, order_id: str) -> dict[str, Any] | None:
        """Return the order of this id, None if there is none."""
        rows = await self._database.read("SELECT * FROM orders WHERE order_id = ?", (order_id,))
        return show_order(dict(rows[0])) if rows else None

    async def known(self, order_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the orders of these ids that exist, by id."""
        rows = await self._database.read(KNOWN, (json.dumps(list(order_ids)),))
        return {row["order_id"]: show_order(dict(row)) for row in rows}

    async def numbers(self, order_ids: Iterable[str]) -> dict[str, int]:
        """Return the number of each order that exists, by id."""
        rows = await self._database.read(NUMBERS, (json.dumps(list(order_ids)),))
        return {row["order_id"]: row["seq"] for row in rows}

    async def count(self, after: int) -> int:
        """Return how many orders were made or changed behind the number `after`."""
        [(count,)] = await self._database.read(COUNT, (after,))
        return int(count)

    async def changed(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Return the orders that were made or changed behind the number `after`, in the order of
        that, each with its `seq` and the number of its last `change`."""
        rows = await self._database.read(CHANGES, (after, limit))
        return [show_listed(dict(row)) for row in rows]

    async def sold(
        self, since: int, before: Place, limit: int, *, beginning: str = "", cancelled: bool = False
    ) -> list[dict[str, Any]]:
        """Return the rows of the orders that were sold at `since`, in milliseconds since 1970, or
        later, and stand before a place, the newest first: only those whose ids have this beginning,
        or else only those of which something is `cancelled`. It costs what it returns, or what has
        the beginning."""
        sql = SOLD_AND_CANCELLED if cancelled else SOLD
        asked: tuple[Any, ...] = (since, *before, limit)
        if beginning:
            sql, asked = SOLD_AS, (since, *before, beginning, f"{beginning}\U0010ffff", limit)
        rows = await self._database.look_slowly(
            lambda reader: reader.execute(sql, asked).fetchall()
        )
        return [dict(row) for row in rows]
