"""Lists of orders as others ask for them, a page at a time: those of a time, or all by their last
change."""

from __future__ import annotations

from typing import Any

from bazar.errors import BadRequest
from bazar.replication.store import Answer
from handlers.kinds import MAX_ID, Integer, Object
from handlers.replicated import ReplicatedService
from handlers.validation import BOOLEAN, LISTED, ORDER_PLACE, WORDS
from storage.order_pages import Wanted, read_page
from storage.orders import OrderReader

_MS = Integer(-(10**15), 10**15)  # of any year with four digits


def _in_order(wanted: dict[str, Any], place: str) -> dict[str, Any]:
    if "since" in wanted and "until" in wanted and wanted["since"] > wanted["until"]:
        raise BadRequest("since: is later than until")
    return wanted


_CHANGED = Object("Changed", {"after": Integer(0, MAX_ID), "limit": LISTED})
_SOLD = Object(
    "Sold",
    {
        **{"since": _MS, "until": _MS, "q": WORDS, "cancelled": BOOLEAN},
        **{"before": ORDER_PLACE, "limit": LISTED},
    },
    optional=("since", "until", "q", "cancelled", "before"),
    rule=_in_order,
)


async def page(service: ReplicatedService[OrderReader], item: dict[str, Any]) -> Answer:
    """Return the page that `item` asks for. Raises BadRequest."""
    asked = {name: value for name, value in item.items() if name != "op"}
    match item.get("op"):
        case "sold":
            wanted = Wanted(**_SOLD(asked, "item"))
            await service.replica.reads.barrier(None)
            return (await read_page(service.reader, wanted, service.context.clock)).plain()
        case "changed":
            part = _CHANGED(asked, "item")
            await service.replica.reads.barrier(None)
            return await _changed(service.reader, part["after"], part["limit"])
    raise BadRequest(f"no such list: {str(item)[:100]}")


async def _changed(reader: OrderReader, after: int, limit: int) -> Answer:
    """Return the orders that were changed behind a number, and behind which one there are more."""
    orders = await reader.changed(after, limit + 1)
    shown = orders[:limit]
    return {"orders": shown, "after": shown[-1]["change"] if len(orders) > limit else None}
