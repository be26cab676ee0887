"""What other programs get of a shop: books and orders as flat records, one after the other."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import orjson

from storage.books import copies, show_book
from storage.moving import Origin
from storage.orders import show_order

Record = Mapping[str, Any]

FORMULAS = tuple("=+-@\t\r\n＝＋－＠")  # what a spreadsheet may take for the beginning of one

BOOK = ("id", "title", "author", "topic", "cost", "count", "isbn", "retired")
"""The columns of a list of books. `bazar import` takes one with exactly these as it stands."""
LINE = (
    *("order_id", "seq", "sold_at", "book", "title", "quantity", "unit_cost", "cancelled"),
    "cancelled_at",
)
"""The columns of a list of orders: each line of an order is a row of its own."""


async def books(origin: Origin) -> AsyncIterator[Sequence[Record]]:
    """Yield the books as callers of the API see them, in chunks, ordered by id. The names of all
    topics are kept in memory meanwhile."""
    topics: dict[int, str] = {}
    async for rows in origin.rows("catalog", "topics"):
        topics.update((row["id"], row["name"]) for row in rows)
    async for rows in origin.rows("catalog", "books"):
        yield [show_book({**row, "topic": topics[row["catalog_id"]]}) for row in rows]


async def orders(origin: Origin) -> AsyncIterator[Sequence[Record]]:
    """Yield the orders as callers of the API see them, each with its `seq`, in chunks, ordered by
    id."""
    async for rows in origin.rows("order", "orders"):
        yield [{**show_order(row), "seq": row["seq"]} for row in rows]


def as_json(records: Sequence[Record]) -> bytes:
    """Return records as JSON, each in a line."""
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def head(columns: Sequence[str]) -> bytes:
    """Return the line that names the columns of a table."""
    return (",".join(columns) + "\r\n").encode()


def as_csv(
    columns: Sequence[str], *, for_spreadsheets: bool = False
) -> Callable[[Sequence[Record]], bytes]:
    """Return what makes rows of a list of records that have these columns: RFC 4180, in UTF-8.
    Money is in units with two decimals there, as a spreadsheet has it, and `retired` is true or
    false. Each text is there to the letter, unless it is `for_spreadsheets`: these take what begins
    like a formula for one, and run it (https://owasp.org/www-community/attacks/CSV_Injection), so
    that gets a ' in front."""
    show = _inert if for_spreadsheets else _cell

    def write(records: Sequence[Record]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(
            text, quoting=csv.QUOTE_NONNUMERIC if for_spreadsheets else csv.QUOTE_MINIMAL
        )
        for record in records:
            cancelled = copies(record.get("cancelled", ()))
            for line in record.get("lines", ({},)):
                many = cancelled.get(line.get("book"), 0)
                at = record.get("cancelled_at") if many else None
                row = {**record, **line, "cancelled": many, "cancelled_at": at}
                writer.writerow([show(name, row.get(name)) for name in columns])
        return text.getvalue().encode()

    return write


def _cell(name: str, value: Any) -> Any:
    if name in ("cost", "unit_cost"):
        return f"{value // 100}.{value % 100:02}"
    if name == "retired":
        return "true" if value else "false"
    return value


def _inert(name: str, value: Any) -> Any:
    cell = _cell(name, value)
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
