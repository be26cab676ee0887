"""Orders: a projection of the catalog's committed sales (S2).

The order primary reads the sales behind its cursor and logs them together with the new cursor, so
each sale becomes exactly one order, whatever crashes when:

    {"op": "project", "after": cursor, "sales": [{"order_id", "seq", "sold_at", "lines"}]}
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bazar.errors import Conflict
from bazar.replication.messages import Change
from bazar.replication.store import Operation, Outcome
from storage.database import Database

SCHEMA = """
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, sold_at INTEGER NOT NULL,
    lines TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID
"""

CURSOR = "SELECT COALESCE((SELECT seq FROM cursors WHERE name = 'sales'), 0) AS seq"


def order_key(order_id: str) -> str:
    """The cache key of one order."""
    return f"order_{order_id}"


class Orders:
    """The `Model` of the order group."""

    tables: Mapping[str, str] = {"orders": "order_id", "cursors": "name"}
    migrations: Sequence[str] = (SCHEMA,)

    def seed(self) -> Sequence[Operation]:
        return ()

    def execute(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], first: int
    ) -> list[Outcome]:
        [row] = connection.execute(CURSOR)
        cursor: int = row["seq"]
        outcomes = []
        for operation in operations:
            sales = operation["sales"]
            if operation["after"] != cursor:
                outcomes.append(Outcome(Conflict(f"the cursor stands at {cursor}")))
                continue
            cursor = sales[-1]["seq"]
            rows = [
                {
                    "order_id": sale["order_id"],
                    "seq": sale["seq"],
                    "sold_at": sale["sold_at"],
                    "lines": json.dumps(sale["lines"], ensure_ascii=False),
                }
                for sale in sales
            ]
            put = {"orders": rows, "cursors": [{"name": "sales", "seq": cursor}]}
            keys = tuple(order_key(sale["order_id"]) for sale in sales)
            outcomes.append(Outcome({"cursor": cursor}, Change(keys, {"put": put})))
        return outcomes


class OrderReader:
    """The orders' committed state."""

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


def order_cost(lines: Sequence[Mapping[str, Any]]) -> int:
    """What an order costs in all, in cents."""
    return sum(line["quantity"] * line["unit_cost"] for line in lines)


def show_order(row: Mapping[str, Any]) -> dict[str, Any]:
    """An order as its buyer sees it."""
    lines = json.loads(row["lines"])
    sold_at = datetime.fromtimestamp(row["sold_at"] / 1000, UTC)
    return {
        "order_id": row["order_id"],
        "sold_at": sold_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "cost": order_cost(lines),
        "lines": lines,
    }
