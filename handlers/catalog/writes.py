"""The catalog's operations, as other nodes send them."""

from __future__ import annotations

from typing import Any

from handlers.kinds import MAX_ID, Kind, ListOf, OfType, Schema, Schemas
from handlers.validation import (
    BASKET,
    BOOK_CHANGES,
    BOOK_ID,
    CANCELLED_LINES,
    IDEMPOTENCY_KEY,
    MAX_LINES,
    MAX_QUANTITY,
    NEW_BOOK,
    ORDER_ID,
)
from handlers.verbs import MAX_IMPORT_BOOKS
from handlers.writes import BUYER, POSITION, operation
from storage.catalog import MAX_AMOUNT

_LINES = BASKET.fields["lines"]
_LINE = {"book", "quantity", "cost"}


class SoldLines(Kind):
    """The lines of a sale, which an order node has read already. Every sale comes by here: what is
    surely as it must be is taken in a few steps, and all else read as it is declared."""

    def __call__(self, value: Any, place: str) -> Any:
        few = isinstance(value, list) and 0 < len(value) <= MAX_LINES
        sure = few and all(map(self._is_sure, value))
        if sure and len({line["book"] for line in value}) == len(value):
            return value
        return _LINES(value, place)

    @staticmethod
    def _is_sure(line: Any) -> bool:
        return (
            isinstance(line, dict)
            and line.keys() <= _LINE
            and type(line.get("book")) is int is type(line.get("quantity"))
            and type(line.get("cost", 0)) is int
            and 0 <= line["book"] <= MAX_ID
            and 0 < line["quantity"] <= MAX_QUANTITY
            and 0 <= line.get("cost", 0) <= MAX_AMOUNT
        )

    def schema(self, shared: Schemas) -> Schema:
        return _LINES.schema(shared)


_KEY: dict[str, Kind] = {"key": IDEMPOTENCY_KEY}
_TAGS = ListOf(OfType("string"))

WRITES = {
    "sell": operation("sell", {**_KEY, "lines": SoldLines(), "cursor": POSITION}, "cursor"),
    "cancel": operation(
        "cancel",
        {
            **_KEY,
            "order_id": ORDER_ID,
            "lines": CANCELLED_LINES,
            "buyer": BUYER,
            "cursor": POSITION,
        },
        "buyer",
        "cursor",
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
    "remove_samples": operation("remove_samples", _KEY),
}
