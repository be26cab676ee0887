"""The orders' operations, as other nodes send them."""

from __future__ import annotations

from handlers.kinds import Integer, ListOf, Nullable, Object, OfType
from handlers.validation import ORDER_ID
from handlers.writes import POSITION, operation
from storage.orders import MAX_SALES

_NUMBER = Integer(0, (1 << 63) - 1)
_SALE = Object(
    "Sale",
    {
        "order_id": ORDER_ID,
        "seq": _NUMBER,
        "sold_at": _NUMBER,
        "lines": ListOf(OfType("object")),
    },
)

WRITES = {
    "project": operation(
        "project",
        {
            "after": POSITION,
            "sales": ListOf(_SALE, 1, MAX_SALES),
            "id": Nullable(OfType("string")),
        },
    ),
    "adopt": operation("adopt", {"after": POSITION, "to": POSITION, "behind": _NUMBER}),
}
