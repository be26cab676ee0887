"""The catalog's rows in a real database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bazar.replication.messages import GENESIS, chained
from bazar.replication.store import Outcome
from storage.books import info_key
from storage.history import Position
from storage.postgresql.catalog import CatalogRows, PostgreSQLCatalogReader
from storage.postgresql.session import Row, Statement
from storage.searches import Search
from storage.tags import TOPICS
from tests.unit.storage.contract import catalog, samples
from tests.unit.storage.contract.cases import CatalogCase, GroupCase
from tests.unit.storage.operations import create, sell, update
from tests.unit.storage.postgresql.database import DatabaseCase, Group


class RowsCase(GroupCase, DatabaseCase):
    """A group whose rows are in a database of this test's."""

    group: Group

    async def batch(self, *operations: Any) -> list[Outcome]:
        return await self.group.batch(*operations)

    async def dry(self, epoch: int, *operations: Any) -> list[Outcome]:
        outcomes = await self.group.execute(operations, epoch)
        await self.group.rollback()
        return outcomes

    async def rows(self, table: str) -> list[dict[str, Any]]:
        return await self.group.rows(table)

    def committed_seq(self) -> int:
        return self.group.last.seq


class CatalogTest(RowsCase, CatalogCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        model = CatalogRows(self.decider(), lambda: self.now_ms)
        self.group = await Group.make(self.session, model)
        self.reader = PostgreSQLCatalogReader(self.group)
        await self.batch(*model.seed())


class LoadingTest(catalog.Loading, CatalogTest):
    pass


class ReadingTest(catalog.Reading, CatalogTest):
    pass


class SamplesTest(samples.SamplesTaken, CatalogTest):
    pass


class StatementsTest(CatalogTest):
    async def test_a_batch_takes_a_handful_however_large_it_is(self) -> None:
        cursor = {"cursor": Position().plain}
        for size in (1, 300):
            sales = [{**sell(f"{size}.{n}", (4, 0), (5, 0)), **cursor} for n in range(size)]
            others = [update(f"u{size}.{n}", 4, title=f"T{n}", topic=f"T{n}") for n in range(size)]
            others += [create(f"c{size}.{n}", (f"T{n}", None, f"T{n}")) for n in range(size)]
            for operations, loads, writes in ((sales, 5, 2), (sales + others, 9, 6)):
                self.assertEqual(len(self.group.model.loads(operations)), loads)
                outcomes = await self.dry(0, *operations)
                changes = [one.change for one in outcomes if one.change is not None]
                entries = chained(GENESIS, 1, changes)
                self.assertEqual(len(self.group.model.writes(entries)), writes)

    async def test_a_read_says_what_it_is_about(self) -> None:
        """By the same tags as `handlers/catalog/service.py` waits for."""
        seen: list[frozenset[str] | None] = []
        group = self.group

        class Watched:
            async def read(
                self, tags: frozenset[str] | None, *statements: Statement
            ) -> Sequence[Sequence[Row]]:
                seen.append(tags)
                return await group.read(tags, *statements)

        reader = PostgreSQLCatalogReader(Watched())
        await reader.info([4, 5, 4])
        await reader.topics()
        for page in (reader.search(Search(1, topic="")), reader.search(Search(1, q="how"))):
            await page
        await reader.changes(Position(), 1)
        await reader.newest(9, 1)
        about_books = frozenset({info_key(4), info_key(5)})
        self.assertEqual(seen, [about_books, frozenset({TOPICS}), None, None, None, None])
