"""Searching by words in a real file, and that it looks at a bounded number of books."""

from __future__ import annotations

import sqlite3
from itertools import product
from typing import Any

from storage import sought
from storage.searches import SORTS, Search
from storage.sqlite import queries, search
from tests.unit.storage.contract import finding, listing, retiring
from tests.unit.storage.contract.finding import FIRST
from tests.unit.storage.operations import create, update
from tests.unit.storage.sqlite.test_catalog import CatalogTest

STOCK: tuple[dict[str, Any], ...] = ({}, {"in_stock": True})


class WordsFoundTest(finding.WordsFound, CatalogTest):
    pass


class OrderTest(finding.Order, CatalogTest):
    pass


class PagesTest(finding.Pages, CatalogTest):
    pass


class OrdersTest(listing.Orders, CatalogTest):
    pass


class PlacesTest(listing.Places, CatalogTest):
    pass


class RetiringTest(retiring.Retiring, CatalogTest):
    pass


class BoundTest(finding.Finding, CatalogTest):
    async def steps(self, **wanted: Any) -> int:
        """SQLite counts its steps; what FTS5 reads in one of them is for the benchmark."""

        def work(connection: sqlite3.Connection) -> int:
            taken = 0

            def step() -> int:
                nonlocal taken
                taken += 1
                return 0

            connection.set_progress_handler(step, 1)
            search.find(connection, Search(10, **wanted))
            connection.set_progress_handler(None, 1)
            return taken

        return await self.store.database.look_slowly(work)

    async def test_a_search_looks_at_a_bounded_number_of_books(self) -> None:
        """However many have the words, the topic, the same price, or the same beginning."""
        deep = str(FIRST + 1900)
        kinds: list[dict[str, Any]] = [
            *({"q": q, **part} for q in ("many", "m") for part in ({}, {"after": deep})),
            *({"q": "many", "sort": sort} for sort in SORTS),
            *({"q": "many", "sort": sort, "in_stock": True, "topic": "T"} for sort in SORTS),
            *({"topic": "", "sort": sort, "in_stock": True} for sort in SORTS if sort != "fit"),
            {"topic": "", "sort": "price", "after": f"1-{deep}"},
            {"topic": "", "sort": "-price", "after": f"1-{deep}"},
            {"topic": "", "sort": "title", "after": f"many {deep}-{deep}"},
            {"topic": "t", "sort": "title"},
        ]
        taken = []
        with self.bounds(RANKED=50, COUNTED=50, LOOKED=200):
            for begin, end in ((0, 2000), (2000, 8000)):
                for first in range(begin, end, 500):
                    books = ((f"Many {n}", None, "T") for n in range(first, first + 500))
                    await self.batch(create(f"k{first}", *books))
                taken.append([await self.steps(**kind) for kind in kinds])
        for kind, small, large in zip(kinds, *taken, strict=True):
            self.assertLess(large, 1.5 * small, (kind, small))

    async def test_s8_what_is_retired_costs_a_search_nothing(self) -> None:
        """However many stand before the first book on sale, or behind the last, in whatever order;
        nor do books on sale cost a search of what is retired."""
        kinds: list[dict[str, Any]] = [
            *({"q": "many", "sort": sort, **stock} for sort in SORTS for stock in STOCK),
            *({"q": "many", "sort": sort, "topic": "T"} for sort in SORTS),
            {"q": "m"},
            *(
                {"topic": topic, "sort": sort, **stock}
                for topic, sort, stock in product(("", "t"), (None, *SORTS), STOCK)
                if sort != "fit"
            ),
            *({"topic": topic, "retired": True, "sort": "newest"} for topic in ("", "t")),
            *({"q": "many", "retired": True, "sort": sort} for sort in (None, "newest")),
        ]
        taken, on_sale = [], [*range(1, FIRST)]
        with self.bounds(RANKED=50, COUNTED=50, LOOKED=200):
            for many in (250, 2000):
                first = max(on_sale) + 1
                left = range(first + many, first + many + 20)
                numbers = range(first, left[-1] + many + 1)
                gone = [*on_sale, *(n for n in numbers if n not in left)]
                await self.batch(create(f"{many}", *((f"Many {n}", None, "T") for n in numbers)))
                await self.batch(*(update(f"c{n}", n, cost=n % 2 * 9) for n in gone))
                await self.batch(*(update(f"r{n}", n, retired=True) for n in gone))
                # What FTS5 keeps of the past is for another test.
                await self.store.database.writer.execute(
                    "INSERT INTO words (words) VALUES ('optimize')"
                )
                taken.append([await self.steps(**kind) for kind in kinds])
                on_sale = [*left]
        for kind, small, large in zip(kinds, *taken, strict=True):
            self.assertLess(large, 1.5 * small, (kind, small))

    async def test_a_list_of_all_books_does_not_go_through_the_topics(self) -> None:
        taken = []
        with self.bounds(COUNTED=5):
            for begin, end in ((0, 20), (20, 300)):
                books = ((f"Book {n}", None, f"Topic {n}") for n in range(begin, end))
                await self.batch(create(f"k{begin}", *books))
                taken.append(await self.steps(topic=""))
        small, large = taken
        self.assertLess(large, 1.5 * small)

    async def test_a_beginning_is_read_in_words_where_there_are_few(self) -> None:
        await self.make("Numbers", "Numbering", "Number 1")

        def query(connection: sqlite3.Connection) -> str:
            *_, everything = sought.ranks("numb")
            return queries.Queries(connection).of(everything)

        self.assertEqual(
            await self.store.database.look_slowly(query),
            '(("number" OR "numbering" OR "numbers") OR "@numb")',
        )
