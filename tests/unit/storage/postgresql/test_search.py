"""Searching by words in a real database, and that it looks at a bounded number of books."""

from __future__ import annotations

from typing import Any

from storage.paging import Window
from storage.postgresql import books, search, search_index
from storage.postgresql.session import Statement
from storage.postgresql.state_tables import as_json, upsert
from tests.unit.storage.contract import finding
from tests.unit.storage.postgresql.database import TIMEOUT_S
from tests.unit.storage.postgresql.test_catalog import CatalogTest


class WordsFoundTest(finding.WordsFound, CatalogTest):
    pass


class OrderTest(finding.Order, CatalogTest):
    pass


class PagesTest(finding.Pages, CatalogTest):
    pass


class BoundTest(CatalogTest):
    async def make(self, begin: int, end: int) -> None:
        """Books of these numbers, of which every one has the same words but one."""
        rows = [
            {"id": n, "title": f"Many {n}", "author": None, "isbn": None, "catalog_id": 1}
            for n in range(begin, end)
        ]
        into = upsert("bazar_catalog.books", "id", books.COLUMNS["books"])
        images = [{**row, "cost": 1, "count": 1} for row in rows]
        put = [Statement(into, (as_json(images),)), *search_index.put(rows)]
        await self.session.run(Statement("BEGIN"), *put, Statement("COMMIT"), timeout_s=TIMEOUT_S)

    async def fetched(self, q: str, **part: Any) -> int:
        """How many books of the index are looked at."""
        count = Statement("SELECT pg_stat_get_xact_tuples_fetched('bazar_catalog.words'::regclass)")
        asked = search.statement(q, Window(10, **part))
        reply = await self.session.run(
            *(Statement("BEGIN"), count, asked, count, Statement("COMMIT")), timeout_s=TIMEOUT_S
        )
        [(before,)], rows, [(after,)] = (result.rows for result in reply.results[1:-1])
        self.assertEqual(len(rows), 11)
        return int(after - before)

    async def test_a_search_looks_at_a_bounded_number_of_books(self) -> None:
        parts: list[dict[str, Any]] = [{}, {"skip": 30}, {"after": "5000"}, {"before": "5000"}]
        seen = []
        for begin, end in ((8, 6144), (6144, 12288)):
            await self.make(begin, end)
            with self.ranked(50):
                looks = [await self.fetched(q, **part) for q in ("many", "m") for part in parts]
            seen.append(looks)
        self.assertGreater(min(seen[0]), 10)
        self.assertLess(max(seen[0]), 5000)
        self.assertEqual(*seen)
