"""The catalog's operations, as other nodes send them."""

from __future__ import annotations

from handlers.kinds import Kind, ListOf, Plain
from handlers.validation import BASKET, BOOK_CHANGES, BOOK_ID, IDEMPOTENCY_KEY, NEW_BOOK
from handlers.verbs import MAX_IMPORT_BOOKS
from handlers.writes import POSITION, operation

_KEY: dict[str, Kind] = {"key": IDEMPOTENCY_KEY}
_TAGS = ListOf(Plain(type="string"))

WRITES = {
    "sell": operation(
        "sell", {**_KEY, "lines": BASKET.fields["lines"], "cursor": POSITION}, "cursor"
    ),
    "update": operation(
        "update",
        {
            **_KEY,
            "book": BOOK_ID,
            "fields": BOOK_CHANGES,
            "if_match": _TAGS,
            "if_none_match": _TAGS,
        },
        "if_match",
        "if_none_match",
    ),
    "create": operation("create", {**_KEY, "books": ListOf(NEW_BOOK, 1, MAX_IMPORT_BOOKS)}),
}
