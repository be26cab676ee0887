"""Searching by words in a real database, and that it looks at a bounded number of books."""

from __future__ import annotations

from itertools import product
from typing import Any

from storage.paging import By
from storage.postgresql import books, search_index
from storage.postgresql.audit import OF_CATALOG
from storage.postgresql.catalog import by_number
from storage.postgresql.search import statement
from storage.postgresql.session import Statement
from storage.postgresql.state_tables import as_json, upsert
from storage.searches import SORTS, Search
from tests.unit.storage.contract import finding, listing, retiring
from tests.unit.storage.operations import update
from tests.unit.storage.postgresql.database import TIMEOUT_S
from tests.unit.storage.postgresql.test_catalog import CatalogTest

STOCK: tuple[dict[str, Any], ...] = ({}, {"in_stock": True})
PARTS: tuple[dict[str, Any], ...] = (*STOCK, {"topic": "Distributed Systems"})


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


class AuditTest(CatalogTest):
    async def wrong(self) -> list[str]:
        return [what for what, sql in OF_CATALOG.items() if await self.ask(sql) != ((0,),)]

    async def test_an_index_that_is_not_that_of_the_books_is_noticed(self) -> None:
        await self.batch(update("k", 4, retired=True))
        self.assertEqual(await self.wrong(), [])
        retired = "retired books that are found among those on sale"
        for what, spoil, mend in (
            (
                [retired],
                "UPDATE bazar_catalog.words SET terms = terms || 'cooking ' WHERE book = 4",
                "UPDATE bazar_catalog.words SET terms = replace(terms, ' cooking', '')",
            ),
            (
                [retired],
                "INSERT INTO bazar_catalog.titles VALUES (4, 'cooking')",
                "DELETE FROM bazar_catalog.titles WHERE book = 4",
            ),
            (
                ["books whose title is in no order"],
                "UPDATE bazar_catalog.titles SET book = 4 WHERE book = 5",
                "UPDATE bazar_catalog.titles SET book = 5 WHERE book = 4",
            ),
            (
                ["books that no word finds"],
                "DELETE FROM bazar_catalog.words WHERE book IN (4, 5)",
                "",
            ),
        ):
            await self.ask(spoil)
            self.assertLessEqual(set(what), set(await self.wrong()))
            if mend:
                await self.ask(mend)
                self.assertEqual(await self.wrong(), [])


class BoundTest(CatalogTest):
    async def make(self, begin: int, end: int, retired: int | None = None) -> None:
        """Books of these numbers, of which every one has the same words but one."""
        rows = [
            {
                "id": n,
                "title": f"Many {n}",
                "author": None,
                "isbn": None,
                "catalog_id": 1,
                "retired": retired,
            }
            for n in range(begin, end)
        ]
        into = upsert("bazar_catalog.books", "id", books.COLUMNS["books"])
        images = [{**row, "cost": 1, "count": 1} for row in rows]
        put = [Statement(into, (as_json(images),)), *search_index.put(rows)]
        await self.session.run(Statement("BEGIN"), *put, Statement("COMMIT"), timeout_s=TIMEOUT_S)

    async def fetched(self, shown: int = 11, **wanted: Any) -> int:
        """How many rows are looked at, of books and of what they are found by."""
        count = Statement(
            "SELECT sum(COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0))::bigint"
            " FROM pg_stat_xact_user_tables WHERE schemaname = 'bazar_catalog'"
        )
        search = Search(10, **wanted)
        by_words = search.q is not None or search.in_stock or search.order.by is not By.NUMBER
        asked = (statement(search),) if by_words else by_number(search)
        reply = await self.session.run(
            *(Statement("BEGIN"), count, *asked, count, Statement("COMMIT")), timeout_s=TIMEOUT_S
        )
        [(before,)], rows, *_, [(after,)] = (result.rows for result in reply.results[1:-1])
        self.assertEqual(len(rows), shown, wanted)
        return int(after - before)

    async def test_s8_what_is_retired_costs_a_search_nothing(self) -> None:
        """Nor while the server still thinks that all of it is on sale; nor do books on sale cost a
        search of what is retired."""
        kinds: list[dict[str, Any]] = [
            *({"q": "many", "sort": sort, **part} for sort in SORTS for part in PARTS),
            {"q": "m"},
            *(
                {"topic": topic, "sort": sort, **stock}
                for topic, sort, stock in product(("", "ed s"), (None, *SORTS), STOCK)
                if sort != "fit"
            ),
            *({"topic": topic, "retired": True, "sort": "newest"} for topic in ("", "ed s")),
            *({"topic": topic, "retired": True} for topic in ("", "ed s")),
            *({"q": "many", "retired": True, "sort": sort} for sort in (None, "newest")),
        ]
        # On sale are 20 in the middle; first with as many that are retired on each side.
        for retired, on_sale in ((8, 988), (988, 1008), (1008, 1988)):
            await self.make(retired, on_sale, None if retired == 988 else 1)
        await self.ask("UPDATE bazar_catalog.books SET retired = 1 WHERE id < 8")
        seen = []
        with self.bounds(RANKED=50, COUNTED=50, LOOKED=200):
            seen.append([await self.fetched(**kind) for kind in kinds])
            await self.make(8, 988)
            await self.make(1008, 9000)
            await self.ask("ANALYZE bazar_catalog.books")
            await self.make(8, 988, 1)
            await self.make(1008, 9000, 1)
            for analyzed in ("titles", "books"):
                seen.append([await self.fetched(**kind) for kind in kinds])
                await self.ask(f"ANALYZE bazar_catalog.{analyzed}")
            seen.append([await self.fetched(**kind) for kind in kinds])
        for kind, small, *large in zip(kinds, *seen, strict=True):
            self.assertLess(max(large), small + 500, kind)  # by what is vacuumed

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
