"""The catalog's rows in a real file."""

from __future__ import annotations

from typing import Any

from bazar.replication.store import Outcome
from storage.sqlite.catalog import CatalogRows, SQLiteCatalogReader
from storage.sqlite.replicated_store import ReplicatedStore
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


class SamplesTest(samples.SamplesTaken, CatalogTest):
    pass
