"""Searching by words in a real database, and that it looks at a bounded number of books."""

from __future__ import annotations

from typing import Any

from storage.postgresql import books, search, search_index
from storage.postgresql.session import Statement
from storage.postgresql.state_tables import as_json, upsert
from storage.searches import SORTS, Search
from tests.unit.storage.contract import finding, listing
from tests.unit.storage.postgresql.database import TIMEOUT_S
from tests.unit.storage.postgresql.test_catalog import CatalogTest


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

    async def fetched(self, **wanted: Any) -> int:
        """How many rows are looked at, of books and of what they are found by."""
        count = Statement(
            "SELECT sum(COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0))::bigint"
            " FROM pg_stat_xact_user_tables WHERE schemaname = 'bazar_catalog'"
        )
        asked = search.statement(Search(10, **wanted))
        reply = await self.session.run(
            *(Statement("BEGIN"), count, asked, count, Statement("COMMIT")), timeout_s=TIMEOUT_S
        )
        [(before,)], rows, [(after,)] = (result.rows for result in reply.results[1:-1])
        self.assertEqual(len(rows), 11, wanted)
        return int(after - before)

    async def test_a_search_looks_at_a_bounded_number_of_books(self) -> None:
        """However many have the words, the topic, the same price, or the same beginning."""
        parts: list[dict[str, Any]] = [{}, {"skip": 30}, {"after": "5000"}, {"before": "5000"}]
        topic, stock = {"topic": "Distributed Systems"}, {"in_stock": True}
        kinds: list[dict[str, Any]] = [
            *({"q": q, **part} for q in ("many", "m") for part in parts),
            *({"q": "many", "sort": sort, **part} for sort in SORTS for part in ({}, topic, stock)),
            *({"topic": "", "sort": sort, **stock} for sort in SORTS if sort != "fit"),
            {"topic": "", "sort": "price", "after": "1-5000"},
            {"topic": "", "sort": "-price", "after": "1-5000"},
            {"topic": "", "sort": "title", "after": "many 5000-5000"},
            {"topic": "distributed", "sort": "title"},
        ]
        seen = []
        for begin, end in ((8, 6144), (6144, 12288)):
            await self.make(begin, end)
            with self.bounds(RANKED=50, COUNTED=50, LOOKED=200):
                seen.append([await self.fetched(**kind) for kind in kinds])
        self.assertGreater(min(seen[0]), 10)
        for kind, small, large in zip(kinds, *seen, strict=True):
            self.assertLess(small, 5000, kind)
            self.assertLess(abs(large - small), 500, kind)  # by what is vacuumed
