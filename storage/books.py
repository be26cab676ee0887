"""Books and sales: what their rows are, and what callers see of them.

A book's row is `(id, title, author, isbn, catalog_id, cost, count, retired)`; money is integer
cents, an ISBN has 13 digits, and `retired` is RETIRED, or None of a book on sale.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from bazar.replication.store import Answer

Row = Mapping[str, Any]

BOOK_FIELDS = ("id", "title", "topic", "cost", "count", "catalog_id", "author", "isbn", "retired")
OPTIONAL = ("author", "isbn", "retired")  # None where it is not known, or not so
RETIRED = 1


def info_key(book: int) -> str:
    """Return the cache key of one book."""
    return f"info_{book}"


def fold(text: str) -> str:
    """Return `text` for matching regardless of case, beyond ASCII too (Unicode case folding)."""
    return unicodedata.normalize("NFC", text).casefold()


def moment(ms: int) -> str:
    """Return a time of day, in milliseconds since 1970, as callers see it (RFC 3339).

    >>> moment(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'
    """
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def copies(lines: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """Return how many copies of each book the lines of an order have, or of a cancellation."""
    found: dict[int, int] = {}
    for line in lines:
        found[line["book"]] = found.get(line["book"], 0) + line["quantity"]
    return found


def lines_of(copies: Mapping[int, int]) -> list[dict[str, int]]:
    """Return lines with so many copies of each book, but for those of which there are none."""
    return [{"book": book, "quantity": many} for book, many in copies.items() if many]


def offer(book: Row) -> dict[str, Any]:
    """Return what a buyer must know of a book to decide anew: `id`, `cost` in cents, `count`."""
    return {name: book[name] for name in ("id", "cost", "count")}


def sale_answer(sale: Row) -> Answer:
    """Return what the buyer's side needs of a row of `sales`: its `lines` as a list."""
    return {
        "order_id": sale["order_id"],
        "seq": sale["seq"],
        "sold_at": sale["sold_at"],
        "lines": orjson.loads(sale["lines"]),
    }


def cancellation_answer(row: Row) -> Answer:
    """Return the same of a row of `cancellations`: `cancelled` has how many copies of each book are
    cancelled in all (S6)."""
    return {
        "order_id": row["order_id"],
        "seq": row["seq"],
        "cancelled_at": row["cancelled_at"],
        "cancelled": orjson.loads(row["cancelled"]),
    }


def cancellation_row(answer: Answer) -> dict[str, Any]:
    """Return the row of `cancellations` that such an answer was made from."""
    return {**answer, "cancelled": json.dumps(answer["cancelled"])}


def change_answer(row: Row) -> Answer:
    """Return what the orders need of a row of either."""
    return cancellation_answer(row) if "cancelled" in row else sale_answer(row)


def show_book(row: Row) -> dict[str, Any]:
    """Return a book as callers see it: a field that is not known is left out, and so is `retired`
    of a book on sale. The order of the fields is always the same, since the entity tag is made from
    them."""
    book = {
        name: row[name] for name in BOOK_FIELDS if row[name] is not None or name not in OPTIONAL
    }
    if "retired" in book:
        book["retired"] = True
    return book
