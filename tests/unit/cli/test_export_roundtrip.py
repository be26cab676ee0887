"""Whatever books a shop has, `import` reads them from what `export` has written."""

from __future__ import annotations

import asyncio
import csv
import io
import unittest
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from bazar.errors import BadRequest
from handlers import validation
from storage import exports
from storage.books import RETIRED
from storage.catalog import MAX_AMOUNT
from storage.images import Image
from tests.invented import ROWS, Invented
from tests.unit.cli.lists import read


def _may_be(text: str) -> bool:
    """Whether a book may have it."""
    try:
        return bool(validation.TEXT(text, "") == text)
    except BadRequest:
        return False


HARD = (
    *("NULL", "n/a", "-", "=1+1", '="9780306406157"', "title", "Total", "# 3 books", "'quoted'"),
    *("<i>The Fog</i>", "Mist &amp; Rain", "AT&T", 'She said "no"', "a,b;c|d", "\ufffd", "12.50"),
)
TEXTS = st.one_of(
    st.sampled_from(HARD),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=30),
).filter(_may_be)
AMOUNTS = st.one_of(st.integers(0, 10**6), st.integers(0, MAX_AMOUNT))
ISBNS = st.sampled_from([None, None, "9780306406157", "9791034304790"])
BOOKS = st.lists(
    st.tuples(TEXTS, st.none() | TEXTS, TEXTS, AMOUNTS, AMOUNTS, ISBNS, st.booleans()), max_size=8
)


class Shelf(Invented):
    """A shop that has these books."""

    def __init__(self, shelf: Sequence[tuple[Any, ...]]) -> None:
        names = list(dict.fromkeys(book[2] for book in shelf))
        topics = [{"id": at, "name": name, "folded": ""} for at, name in enumerate(names)]
        books = [
            {"id": at, "title": title, "author": author, "catalog_id": names.index(topic),
             "cost": cost, "count": count, "isbn": isbn, "retired": RETIRED if retired else None}
            for at, (title, author, topic, cost, count, isbn, retired) in enumerate(shelf, start=1)
        ]  # fmt: skip
        self.tables = {"topics": topics, "books": books}

    async def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
        rows = self.tables[table]
        for at in range(0, len(rows), 3):
            yield rows[at : at + 3]


def of_books(shelf: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    async def records() -> list[dict[str, Any]]:
        return [dict(one) async for some in exports.books(Shelf(shelf)) for one in some]

    return asyncio.run(records())


def with_head(columns: Sequence[str], records: Sequence[dict[str, Any]]) -> bytes:
    return exports.head(columns) + exports.as_csv(columns)(records)


class RoundTripTest(unittest.TestCase):
    @given(BOOKS)
    @example([("title", one, "topic", 1, 1, None, False) for one in (None, "author")])
    @example([(text, text, text, 5, 0, None, True) for text in HARD])
    @example([("title", " author", 'with "quotes"', 1, 1, None, False)])
    def test_books_are_read_to_the_letter(self, shelf: list[tuple[Any, ...]]) -> None:
        _, rows = read(with_head(exports.BOOK, of_books(shelf)))
        self.assertEqual([str(row) for row in rows], [""] * len(shelf))
        names = ("title", "author", "topic", "cost", "count", "isbn", "retired")
        found = [tuple((row.book or {}).get(name) for name in names) for row in rows]
        self.assertEqual(found, shelf)

    @given(BOOKS)
    def test_json_has_what_the_api_shows(self, shelf: list[tuple[Any, ...]]) -> None:
        records = of_books(shelf)
        lines = exports.as_json(records).splitlines()
        self.assertEqual([orjson.loads(line) for line in lines], records)
        for record, book in zip(records, shelf, strict=True):
            self.assertEqual(record["title"], book[0])
            self.assertEqual("author" in record, book[1] is not None)
            self.assertEqual(record.get("retired", False), book[6])


class OrdersTest(unittest.IsolatedAsyncioTestCase):
    async def test_each_line_of_an_order_is_a_row(self) -> None:
        records = [dict(one) async for some in exports.orders(Invented()) for one in some]
        self.assertEqual([one["order_id"] for one in records], ["B", "a"])
        text = with_head(exports.LINE, records).decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        first = ROWS["order"]["orders"][0]
        self.assertEqual(
            rows[0],
            {
                **{"order_id": "B", "seq": str(first["seq"]), "book": "2", "title": "Émile"},
                **{"sold_at": "1970-01-01T00:00:00.002Z", "quantity": "2", "unit_cost": "0.05"},
                **{"cancelled": "0", "cancelled_at": ""},
            },
        )
        self.assertEqual((rows[1]["order_id"], rows[1]["cancelled"]), ("a", "2"))
        self.assertEqual(rows[1]["cancelled_at"], "1970-01-01T00:00:00.004Z")


if __name__ == "__main__":
    unittest.main()
