"""The orders' operations, as other nodes send them."""

from __future__ import annotations

from typing import Any

from bazar.errors import BadRequest
from handlers.kinds import Integer, ListOf, Nullable, Object, OfType
from handlers.validation import CANCELLED_LINES, IDEMPOTENCY_KEY, ORDER_ID
from handlers.writes import BUYER, POSITION, operation
from storage.orders import MAX_SALES

_NUMBER = Integer(0, (1 << 63) - 1)
_SALE = {"sold_at": _NUMBER, "lines": ListOf(OfType("object"))}
_CANCELLATION = {"cancelled_at": _NUMBER, "cancelled": CANCELLED_LINES}


def _sold_or_cancelled(change: dict[str, Any], place: str) -> dict[str, Any]:
    if change.keys() - {"order_id", "seq"} not in (_SALE.keys(), _CANCELLATION.keys()):
        raise BadRequest(f"{place}: is neither a sale nor a cancellation")
    return change


_CHANGE = Object(
    "Change",
    {"order_id": ORDER_ID, "seq": _NUMBER, **_SALE, **_CANCELLATION},
    optional=(*_SALE, *_CANCELLATION),
    rule=_sold_or_cancelled,
)

CANCELLATION_ITEM = Object(
    "CancellationItem",
    {"key": IDEMPOTENCY_KEY, "order_id": ORDER_ID, "lines": CANCELLED_LINES, "buyer": BUYER},
    optional=("lines", "buyer"),
)
"""What a front end asks an order node to cancel."""

WRITES = {
    "project": operation(
        "project",
        {
            "after": POSITION,
            "changes": ListOf(_CHANGE, 1, MAX_SALES),
            "id": Nullable(OfType("string")),
        },
    ),
    "adopt": operation("adopt", {"after": POSITION, "to": POSITION, "behind": _NUMBER}),
}
