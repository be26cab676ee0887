"""Searching by words in a real file, and that it looks at a bounded number of books."""

from __future__ import annotations

import sqlite3
from typing import Any

from storage.paging import Window
from storage.sqlite import search
from tests.unit.storage.contract import finding
from tests.unit.storage.contract.finding import FIRST
from tests.unit.storage.sqlite.test_catalog import CatalogTest
from tests.unit.storage.test_catalog import create


class WordsFoundTest(finding.WordsFound, CatalogTest):
    pass


class OrderTest(finding.Order, CatalogTest):
    pass


class PagesTest(finding.Pages, CatalogTest):
    pass


class BoundTest(finding.Finding, CatalogTest):
    async def test_a_search_looks_at_a_bounded_number_of_books(self) -> None:
        """SQLite counts its steps; what FTS5 reads in one of them is for the benchmark."""

        async def steps(q: str, **part: Any) -> int:
            def work(connection: sqlite3.Connection) -> int:
                taken = 0

                def step() -> int:
                    nonlocal taken
                    taken += 1
                    return 0

                connection.set_progress_handler(step, 1)
                search.find(connection, q, Window(10, **part))
                connection.set_progress_handler(None, 1)
                return taken

            return await self.store.database.look_slowly(work)

        def batch(first: int) -> Any:
            return create(
                f"k{first}", *((f"Many {n}", None, "T") for n in range(first, first + 500))
            )

        with self.ranked(50):
            taken = []
            for first in (0, 500, 1000, 1500):
                await self.batch(batch(first))
                deep = str(FIRST + first + 400)
                taken.append(
                    [await steps("many"), await steps("m"), await steps("many", after=deep)]
                )
            for small, large in zip(taken[0], taken[-1], strict=True):
                self.assertLess(large, 1.2 * small, taken)

    async def test_a_beginning_is_read_in_words_where_there_are_few(self) -> None:
        await self.make("Numbers", "Numbering", "Number 1")

        def query(connection: sqlite3.Connection) -> str:
            return search.Query(connection, "numb").everything

        self.assertEqual(
            await self.store.database.look_slowly(query),
            '(("number" OR "numbering" OR "numbers") OR "@numb")',
        )
