"""Orders: a projection of the catalog's committed sales (S2).

The order primary reads the sales behind its cursor and logs them together with the new cursor, so
each sale becomes exactly one order, whatever crashes when:

    {"op": "project", "after": cursor, "sales": [{"order_id", "seq", "sold_at", "lines"}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from bazar.errors import Conflict
from bazar.replication.messages import Change
from bazar.replication.store import Operation, Outcome


def order_key(order_id: str) -> str:
    """The cache key of one order."""
    return f"order_{order_id}"


class Orders:
    """Decides what the operations of the order group come to."""

    tables: Mapping[str, str] = {"orders": "order_id", "cursors": "name"}

    def seed(self) -> Sequence[Operation]:
        return ()

    def decide(self, cursor: int, operations: Sequence[Operation]) -> list[Outcome]:
        """Decide `operations` in order, each seeing the cursor as those before it left it (R1)."""
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


class OrderReader(Protocol):
    """The orders' committed state."""

    async def cursor(self) -> int:
        """The catalog entry up to which every sale has its order."""

    async def order(self, order_id: str) -> dict[str, Any] | None:
        """The order of this id, if there is one."""

    async def orders(self, after_seq: int, limit: int) -> list[dict[str, Any]]:
        """Orders behind `after_seq`, oldest first, each with its `seq`."""
