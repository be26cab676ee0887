"""Going on with another history of the catalog's than that which the orders have followed (S5)."""

from __future__ import annotations

from typing import Any, Protocol

from bazar.errors import BadRequest, ForeignHistory
from bazar.replication.part import Part
from bazar.replication.store import Answer, Operation
from handlers import writes
from handlers.orders.writes import WRITES
from handlers.paths import NEWEST_PATH
from storage.history import Position
from storage.orders import OrderReader

MAX_LOST_SHOWN = 20


class Following(Protocol):
    """The service whose orders follow the catalog."""

    cursor: Position
    replica: Part

    @property
    def reader(self) -> OrderReader: ...
    async def sales_behind(self, cursor: Position, wait_ms: int) -> Answer: ...
    async def ask_catalog(self, path: str, item: dict[str, Any]) -> Answer: ...
    async def write(self, operation: Operation) -> Answer: ...


class Adoption:
    """Tells an operator what it would cost, and has the orders' primary do it."""

    def __init__(self, service: Following) -> None:
        self._service = service

    async def standing(self, item: dict[str, Any]) -> Answer:
        """Return how the orders stand to the catalog's history: their cursor; whether it is on
        that; the last sale that both have; and the orders that were made or cancelled behind
        it, of which the catalog may have lost that."""
        await self._service.replica.reads.barrier(None)
        cursor = self._service.cursor
        try:
            await self._service.sales_behind(cursor, 0)
        except ForeignHistory:
            common, behind = await self._common()
            return {
                "follows": False,
                "cursor": cursor.plain,
                "common": common.plain,
                "behind": behind,
                "lost": await self._service.reader.count(behind),
                "orders": await self._service.reader.changed(behind, MAX_LOST_SHOWN),
            }
        return {"follows": True, "cursor": cursor.plain}

    async def _common(self) -> tuple[Position, int]:
        """Return the newest sale that has an order, and its order's number. Along each history the
        sales that have one come first, so those behind it have none, and the orders behind no sale.
        """
        before = 1 << 62
        while True:
            answer = await self._service.ask_catalog(NEWEST_PATH, {"before": before})
            sales = answer["sales"]
            if not sales:
                return Position(), 0
            numbers = await self._service.reader.numbers(sale["order_id"] for sale in sales)
            for sale in sales:
                if sale["order_id"] in numbers:
                    return Position(sale["seq"], sale["id"]), numbers[sale["order_id"]]
            before = sales[-1]["seq"]

    async def adopt(self, item: dict[str, Any]) -> Answer:
        """Have the orders follow the catalog's history from `common` on, as `standing` has told it.
        Raises Conflict if the cursor has moved since."""
        match item:
            case {"cursor": dict(cursor), "common": dict(common), "behind": int(behind)}:
                adopt = {"op": "adopt", "after": cursor, "to": common, "behind": behind}
                return await self._service.write(writes.read(WRITES, adopt))
        raise BadRequest(f"cursor, common, behind: are not in {str(item)[:100]}")
