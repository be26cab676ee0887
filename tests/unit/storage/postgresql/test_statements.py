"""The contract on rows in a dict, which answer the engine's own statements: without a server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from bazar.replication.messages import GENESIS, chained, tail_mark
from bazar.replication.store import Outcome
from storage import letters, paging
from storage.catalog import Catalog
from storage.history import Position, number_of
from storage.orders import Orders
from storage.postgresql import books, search, search_index
from storage.postgresql import catalog as catalog_rows
from storage.postgresql import orders as postgresql_orders
from storage.postgresql.catalog import CatalogRows, PostgreSQLCatalogReader
from storage.postgresql.model import Model
from storage.postgresql.orders import OrderRows, PostgreSQLOrderReader
from storage.postgresql.search_index import CUT
from storage.postgresql.session import Row, Statement
from storage.searches import Search
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
from tests.unit.storage.operations import cancel, sell, update


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


class WritingTest(PlainCatalogTest):
    async def test_only_books_whose_words_changed_are_indexed(self) -> None:
        outcomes = await self.dry(1, sell("a", (4, 1)), update("b", 5, title="Another"))
        entries = chained(GENESIS, 1, [one.change for one in outcomes if one.change is not None])
        written = {one.sql: one.params for one in self.group.model.writes(entries)}
        [words] = written[search_index.PUT]
        self.assertEqual([row["book"] for row in json.loads(words)], [5])

    async def test_a_sale_is_of_the_time_when_it_is_made(self) -> None:
        self.group.model = CatalogRows(Catalog())
        before = time.time_ns() // 1_000_000
        await self.batch(sell("a", (4, 1)))
        [sale] = await self.rows("sales")
        self.assertLessEqual(before, sale["sold_at"])
        self.assertLessEqual(sale["sold_at"], time.time_ns() // 1_000_000)


@pytest.mark.parametrize(
    ("operation", "read"),
    [
        (sell("a", (4, 1)), []),
        ({**sell("a", (4, 1)), "cursor": Position().plain}, [catalog_rows.EPOCHS_SINCE]),
        (update("a", 4, title="Another"), [catalog_rows.EXPIRED]),
        (
            update("a", 4, topic="Another"),
            [catalog_rows.TOPICS_BY_NAME, catalog_rows.HIGHEST, catalog_rows.EXPIRED],
        ),
        (
            cancel("a", "order", (4, 1)),
            [catalog_rows.SALES_BY_ID, catalog_rows.CANCELLED_BY_ID, catalog_rows.EXPIRED],
        ),
        (
            {"op": "remove_samples", "key": "a"},
            [catalog_rows.FIRST_SALE.sql, catalog_rows.EXPIRED],
        ),
    ],
)
def test_an_operation_reads_no_more_than_it_needs(operation: Any, read: list[str]) -> None:
    always = [
        books.BOOKS_BY_ID,
        catalog_rows.SALES_BY_KEY,
        catalog_rows.CANCELLED_BY_KEY,
        catalog_rows.ANSWERS_BY_KEY,
    ]
    loads = CatalogRows(Catalog(), lambda: 0).loads([operation])
    assert sorted(one.sql for one in loads) == sorted([*always, *read])


@pytest.mark.parametrize(
    ("typed", "looked_up"),
    [
        ("a" * (CUT - 2), []),
        ("a" * (CUT - 1), [False, False, True, False, False]),
        ("a" * CUT, [False, True, True, False, True]),
        ("a" * (CUT + 1), [False, True, True, True, True]),
        ("e-mail", [False, True, True, True, True]),  # one behind the other, or joined
        (f"b e-mail {'a' * CUT}", [False, False, True, True, True, True, True, False, True, True]),
    ],
)
def test_only_what_keys_do_not_tell_for_sure_is_looked_up(
    typed: str, looked_up: list[bool]
) -> None:
    """In the text of the terms, for each rank: the whole title; a word of it, or of the author,
    whose terms have a mark before them; and what such a word begins with. A key has only the first
    letters of a term, so that others may have the same one."""
    _, _, patterns, *_ = search.statement(Search(9, q=typed)).params
    assert [bool(pattern) for pattern in patterns] == looked_up


def test_a_page_reads_one_book_more_than_it_shows() -> None:
    """Which tells that there is another page; and counts no further than is told."""
    for wanted in (Search(3, q="a"), Search(3, q="a", sort="title"), Search(3, sort="price")):
        assert search.statement(wanted).params[-1] == 4
    for wanted in (Search(3), Search(3, topic="a"), Search(3, sort="newest")):
        page, count = catalog_rows.by_number(wanted)
        assert page.params[1] == 4
        assert count.params[0] == paging.COUNTED + 1


def test_a_list_in_another_order_has_all_that_words_find() -> None:
    """By the author, too."""
    query, *_ = search.statement(Search(3, q="roe", sort="title")).params
    assert "'^roe'" in query and "'^@roe'" in query


def test_a_list_of_all_topics_looks_at_none_of_them() -> None:
    lists = catalog_rows.LISTS[True, False]
    for topic, expected in (("", (lists.page, lists.size)), ("a", lists[1::2])):
        asked = catalog_rows.by_number(Search(3, topic=topic))
        assert tuple(one.sql for one in asked) == tuple(expected)


class PlainOrderCase(PlainCase, OrderCase):
    async def asyncSetUp(self) -> None:
        self.group = PlainGroup(OrderRows(Orders()), postgresql_orders.COLUMNS)
        self.reader = PostgreSQLOrderReader(self.group)


class OrdersTest(orders.OrdersKept, PlainOrderCase):
    pass


class OrderPagesTest(order_pages.Pages, PlainOrderCase):
    pass
