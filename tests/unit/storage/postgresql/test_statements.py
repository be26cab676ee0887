"""The contract on rows in a dict, which answer the engine's own statements: without a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bazar.replication.messages import GENESIS, chained, tail_mark
from bazar.replication.store import Outcome
from storage import letters
from storage.history import number_of
from storage.orders import Orders
from storage.postgresql import books
from storage.postgresql import orders as postgresql_orders
from storage.postgresql.catalog import CatalogRows, PostgreSQLCatalogReader
from storage.postgresql.model import Model
from storage.postgresql.orders import OrderRows, PostgreSQLOrderReader
from storage.postgresql.session import Row, Statement
from tests.simulation.statements import READS, writes
from tests.unit.storage.contract import (
    catalog,
    finding,
    listing,
    order_pages,
    orders,
    retiring,
    samples,
)
from tests.unit.storage.contract.cases import CatalogCase, GroupCase, OrderCase


class PlainGroup:
    """A group's rows in a dict; and a `Snapshots` of them."""

    def __init__(self, model: Model, columns: Mapping[str, Any]) -> None:
        self.model = model
        self.last = GENESIS
        self.state: dict[tuple[str, Any], Mapping[str, Any]] = {}
        self._writes = writes(model, columns)

    def rows(self, table: str) -> Iterable[Mapping[str, Any]]:
        if table == "mark":
            return [{"number": self.last.seq}]
        if table == "meta":
            return [{"name": "words", "value": letters.VERSION}]
        return [row for (name, _), row in self.state.items() if name == table]

    async def read(
        self, tags: frozenset[str] | None, *statements: Statement
    ) -> Sequence[Sequence[Row]]:
        return [READS[one.sql](self.rows, one.params) for one in statements]

    async def execute(self, operations: Sequence[Any], epoch: int = 0) -> list[Outcome]:
        results = await self.read(None, *self.model.loads(operations))
        return self.model.execute(operations, results, number_of(epoch, self.last.seq + 1))

    async def batch(self, *operations: Any) -> list[Outcome]:
        outcomes = await self.execute(operations)
        changes = [one.change for one in outcomes if one.change is not None]
        entries = chained(self.last, 1, changes)
        for statement in self.model.writes(entries):
            for at, row in self._writes[statement.sql](statement.params).items():
                if row is None:
                    self.state.pop(at, None)
                else:
                    self.state[at] = row
        self.last = tail_mark(self.last, entries)
        return outcomes


class PlainCase(GroupCase):
    group: PlainGroup

    async def batch(self, *operations: Any) -> list[Outcome]:
        return await self.group.batch(*operations)

    async def dry(self, epoch: int, *operations: Any) -> list[Outcome]:
        return await self.group.execute(operations, epoch)

    async def rows(self, table: str) -> list[dict[str, Any]]:
        key = self.group.model.tables[table]
        return sorted(map(dict, self.group.rows(table)), key=lambda row: row[key])

    def committed_seq(self) -> int:
        return self.group.last.seq


class PlainCatalogTest(PlainCase, CatalogCase):
    async def asyncSetUp(self) -> None:
        model = CatalogRows(self.decider(), lambda: self.now_ms)
        self.group = PlainGroup(model, books.COLUMNS)
        self.reader = PostgreSQLCatalogReader(self.group)
        await self.batch(*model.seed())


class LoadingTest(catalog.Loading, PlainCatalogTest):
    pass


class ReadingTest(catalog.Reading, PlainCatalogTest):
    pass


class SamplesTest(samples.SamplesTaken, PlainCatalogTest):
    pass


class WordsFoundTest(finding.WordsFound, PlainCatalogTest):
    pass


class OrderTest(finding.Order, PlainCatalogTest):
    pass


class PagesTest(finding.Pages, PlainCatalogTest):
    pass


class ListingTest(listing.Orders, PlainCatalogTest):
    pass


class PlacesTest(listing.Places, PlainCatalogTest):
    pass


class RetiringTest(retiring.Retiring, PlainCatalogTest):
    pass


class PlainOrderCase(PlainCase, OrderCase):
    async def asyncSetUp(self) -> None:
        self.group = PlainGroup(OrderRows(Orders()), postgresql_orders.COLUMNS)
        self.reader = PostgreSQLOrderReader(self.group)


class OrdersTest(orders.OrdersKept, PlainOrderCase):
    pass


class OrderPagesTest(order_pages.Pages, PlainOrderCase):
    pass
