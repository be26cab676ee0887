"""The catalog's rows in a real file."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from bazar.replication.store import Outcome
from storage.catalog import Catalog
from storage.history import Position
from storage.sqlite.catalog import CatalogRows, SQLiteCatalogReader, load
from storage.sqlite.replicated_store import ReplicatedStore
from storage.working_set import WantedRows, WorkingSet
from tests.files import FilesTestCase
from tests.unit.storage.contract import catalog, samples
from tests.unit.storage.contract.cases import CatalogCase, GroupCase
from tests.unit.storage.operations import cancel, sell
from tests.unit.storage.sqlite.test_replicated_store import behind


async def batch(store: ReplicatedStore, *operations: Any) -> list[Outcome]:
    """One batch, executed and committed as the primary does."""
    outcomes, made = await store.execute(operations, 0, behind(store.committed))
    if made:
        await store.apply(made[-1].mark)
    return outcomes


class StoreCase(GroupCase, FilesTestCase):
    """A group whose rows are in a file of this test's."""

    store: ReplicatedStore

    async def batch(self, *operations: Any) -> list[Outcome]:
        return await batch(self.store, *operations)

    async def dry(self, epoch: int, *operations: Any) -> list[Outcome]:
        outcomes, _ = await self.store.execute(operations, epoch, lambda outcomes: ())
        return outcomes

    async def rows(self, table: str) -> list[dict[str, Any]]:
        key = self.store.model.tables[table]
        found = await self.store.database.read(f"SELECT * FROM {table} ORDER BY {key}")
        return [dict(row) for row in found]

    def committed_seq(self) -> int:
        return self.store.committed.seq


class CatalogTest(StoreCase, CatalogCase):
    async def asyncSetUp(self) -> None:
        model = CatalogRows(self.decider(), lambda: self.now_ms)
        self.store = await ReplicatedStore.open(self.directory / "one.db", model, 1000)
        self.addAsyncCleanup(self.store.close)
        self.reader = SQLiteCatalogReader(self.store.database)
        await self.batch(*self.store.seed())


class LoadingTest(catalog.Loading, CatalogTest):
    async def test_sales_alone_need_the_fewest_statements(self) -> None:
        """Their books, and whether their keys were used: by sales, or by other writes."""
        sale = sell("k", (4, 1), (5, 1))
        for operations, many in (
            ([sale], 3),
            ([sale, sell("l", (4, 2))], 3),
            ([{**sale, "cursor": Position().plain}], 4),  # of which history
        ):
            wanted = Catalog().wanted(operations)
            ran: list[str] = []

            def loaded(
                writer: sqlite3.Connection, wanted: WantedRows = wanted, ran: list[str] = ran
            ) -> WorkingSet:
                writer.set_trace_callback(ran.append)
                work = load(writer, wanted, 2, self.now_ms)
                writer.set_trace_callback(None)
                return work

            work = await self.store.database.write(loaded)
            self.assertEqual(sorted(work.books), [4, 5])
            self.assertEqual(len(ran), many, ran)

    async def test_cancellations_are_looked_up_only_of_sales_that_are_there(self) -> None:
        ran: list[str] = []
        await self.store.database.write(lambda writer: writer.set_trace_callback(ran.append))
        sale = sell("k", (4, 2))
        sold = await self.one(sale)
        await self.batch(sell("l", (5, 1)))
        self.assertEqual([sql for sql in ran if "cancellations" in sql], [])
        await self.one(cancel("c", sold["order_id"], (4, 1)))
        again = await self.one(sale)
        self.assertEqual(again["cancelled"], [{"book": 4, "quantity": 1}])


class ReadingTest(catalog.Reading, CatalogTest):
    pass


class ClockTest(StoreCase):
    async def test_a_sale_has_the_time_of_day_in_milliseconds(self) -> None:
        model = CatalogRows(Catalog())
        self.store = await ReplicatedStore.open(self.directory / "one.db", model, 1000)
        self.addAsyncCleanup(self.store.close)
        before = time.time_ns()
        await self.batch(*self.store.seed(), sell("k", (4, 1)))
        [sale] = await self.rows("sales")
        self.assertTrue(before // 10**6 <= sale["sold_at"] <= time.time_ns() // 10**6, sale)


class SamplesTest(samples.SamplesTaken, CatalogTest):
    pass
