"""What answers show, field by field. Nothing is read by it; the tests hold every answer to it."""

from __future__ import annotations

from handlers.kinds import MAX_ID, Integer, ListOf, Object, Plain, Schema
from handlers.validation import (
    AMOUNT,
    BOOK_ID,
    CANCELLED_LINES,
    IDEMPOTENCY_KEY,
    MAX_LINES,
    ORDER_ID,
    QUANTITY,
)
from storage.catalog import MAX_TOPICS

SHOWN = Plain(type="string")
MOMENT = Plain(type="string", format="date-time")
NUMBER = Integer(1, MAX_ID)
TRUTH = Plain(type="boolean")
COST = Plain(type="integer", minimum=0)

BOOK = Object(
    "Book",
    {
        "id": BOOK_ID,
        "title": SHOWN,
        "topic": SHOWN,
        "cost": AMOUNT,
        "count": AMOUNT,
        "catalog_id": NUMBER,
        "author": SHOWN,
        "isbn": Plain(type="string", pattern="^97[89][0-9]{10}$"),
        "retired": Plain(const=True),
    },
    optional=("author", "isbn", "retired"),
    also={
        "description": "`cost` is in cents, `count` is how many are in stock, and `catalog_id` the"
        " topic's number. `author` and `isbn` are left out where they are not known, and `retired`"
        " where the book is on sale."
    },
    example={
        "id": 4,
        "title": "Cooking for the Impatient Undergrad",
        "topic": "Undergraduate School",
        "cost": 20,
        "count": 7,
        "catalog_id": 2,
    },
)
BOOKS = ListOf(BOOK)
TOPICS = ListOf(
    Object(
        "Topic",
        {"catalog_id": NUMBER, "topic": SHOWN},
        example={"catalog_id": 1, "topic": "Distributed Systems"},
    ),
    0,
    MAX_TOPICS,
)

_ORDER_ID = "1e6f277fda92a3f334e36b0081eea087"
_KEY = "9b58fa47593c86ce18041dbdce660626"
_LINE = Object(
    "OrderLine",
    {
        "book": BOOK_ID,
        "title": SHOWN,
        "quantity": QUANTITY,
        "unit_cost": AMOUNT,
        "new_count": AMOUNT,
    },
    also={"description": "`unit_cost` is what one cost, and `new_count` what was left, then."},
    example={
        "book": 4,
        "title": "Cooking for the Impatient Undergrad",
        "quantity": 2,
        "unit_cost": 20,
        "new_count": 5,
    },
)
_LINES = ListOf(_LINE, 1, MAX_LINES)
_CHANGED = {"cost": COST, "key": IDEMPOTENCY_KEY, "replayed": TRUTH, "cancelled": CANCELLED_LINES}
_TOLD: Schema = {
    "description": "`cost` is in all. `replayed` says that this was bought before, with this key;"
    " `cancelled` is what has been cancelled of it since, in all."
}
PURCHASED = Object(
    "Purchased",
    {"message": SHOWN, "new_count": AMOUNT, "order_id": ORDER_ID, "quantity": QUANTITY, **_CHANGED},
    optional=("cancelled",),
    also=_TOLD,
    example={
        "message": "Purchased book 4",
        "new_count": 5,
        "order_id": _ORDER_ID,
        "quantity": 2,
        "cost": 40,
        "key": _KEY,
        "replayed": False,
    },
)
BOUGHT = Object(
    "BasketPurchased",
    {"message": SHOWN, "order_id": ORDER_ID, "lines": _LINES, **_CHANGED},
    optional=("cancelled",),
    also=_TOLD,
    example={
        "message": "Purchased 2 books",
        "order_id": _ORDER_ID,
        "lines": [_LINE.example],
        "cost": 40,
        "key": _KEY,
        "replayed": False,
    },
)
CANCELLED = Object(
    "Cancelled",
    {"message": SHOWN, "order_id": ORDER_ID, "lines": _LINES, "refund": COST, **_CHANGED},
    also={
        "description": "`cancelled` is what is cancelled now, in all, and `refund` what that had"
        " cost. `replayed` says that this was done before, with this key."
    },
    example={
        "message": "Cancelled in all: 1 of 2",
        "order_id": _ORDER_ID,
        "lines": [_LINE.example],
        "refund": 20,
        "cost": 40,
        "key": _KEY,
        "replayed": False,
        "cancelled": [{"book": 4, "quantity": 1}],
    },
)
_ORDER = {
    "order_id": ORDER_ID,
    "sold_at": MOMENT,
    "cost": COST,
    "lines": _LINES,
    "cancelled": CANCELLED_LINES,
    "refund": COST,
    "cancelled_at": MOMENT,
}
_IF_CANCELLED = ("cancelled", "refund", "cancelled_at")
ORDER = Object(
    "Order",
    _ORDER,
    optional=_IF_CANCELLED,
    also={
        "description": "`cancelled` is how many copies of each book are cancelled in all,"
        " `refund` what they had cost, and `cancelled_at` when that was, last; all are left out"
        " where nothing is."
    },
    example={
        "order_id": _ORDER_ID,
        "sold_at": "2026-11-29T16:27:49.250Z",
        "cost": 40,
        "lines": [_LINE.example],
    },
)
ORDERS = ListOf(
    Object(
        "ListedOrder",
        {**_ORDER, "seq": NUMBER, "change": NUMBER},
        optional=_IF_CANCELLED,
        also={
            "description": "`seq` is the order's number, and `change` that of its last change: they"
            " are the same until it is cancelled."
        },
    )
)

IMPORTED = Object(
    "Imported",
    {
        "results": ListOf(
            Object(
                "ImportResult",
                {"id": BOOK_ID, "created": TRUTH, "retired": Plain(const=True), "error": SHOWN},
                optional=("id", "created", "retired", "error"),
                also={
                    "description": "`id` and `created`, or else `error`. `retired` says that the"
                    " book is there already, is retired, and stays so."
                },
            )
        )
    },
)
SAMPLES_REMOVED = Object(
    "SamplesRemoved",
    {"removed": BOOKS, "kept": BOOKS},
    also={
        "description": "The samples as they were when they were `removed`, and those that were"
        " `kept`, as they have another title, author, ISBN or topic by now."
    },
)
INVALIDATED = Object("Invalidated", {"message": SHOWN, "dropped": TRUTH})
HEALTHY = Object("Healthy", {"node": SHOWN, "healthy": TRUTH})
READY = Object("Ready", {"node": SHOWN, "ready": TRUTH})
STATUS = Plain(type="object", required=["node", "group", "pid", "run", "machine"])
_ITEM_ERROR = Object(
    "ItemError",
    {"status": Plain(type="integer"), "code": SHOWN, "message": SHOWN, "details": Plain()},
    optional=("details",),
)
ITEMS_ANSWERED = Object(
    "ItemsAnswered",
    {
        "results": ListOf(
            Object(
                "ItemAnswered",
                {"answer": Plain(), "error": _ITEM_ERROR},
                optional=("answer", "error"),
                also={"minProperties": 1, "maxProperties": 1},
            )
        ),
        "primary": Plain(type=["string", "null"]),
    },
)
DOCUMENT = Plain(type="object", required=["openapi", "info", "paths"])
