"""Orders as a projection of sales (S2), on a real file."""

from __future__ import annotations

import sqlite3
from typing import Any

from bazar.errors import Conflict
from bazar.replication.store import Outcome
from storage.catalog import Catalog
from storage.log import ReplicatedStore
from storage.orders import OrderReader, Orders, order_cost, order_key
from tests.unit.files import FilesTestCase
from tests.unit.test_log import entries


def sale(seq: int) -> dict[str, Any]:
    line = {"book": 4, "title": "T", "quantity": 2, "unit_cost": 20, "new_count": 5}
    return {"order_id": f"o{seq}", "seq": seq, "sold_at": 1_700_000_000_123, "lines": [line]}


def project(after: int, *seqs: int) -> dict[str, Any]:
    return {"op": "project", "after": after, "sales": [sale(seq) for seq in seqs]}


class OrdersTest(FilesTestCase):
    async def asyncSetUp(self) -> None:
        self.store = await ReplicatedStore.open(self.directory / "one.db", Orders(), 1000)
        self.addAsyncCleanup(self.store.close)
        self.reader = OrderReader(self.store.database)

    async def batch(self, *operations: Any) -> list[Outcome]:
        outcomes = await self.store.execute(operations, 0)
        changes = [one.change for one in outcomes if one.change is not None]
        if not changes:
            await self.store.rollback()
            return outcomes
        made = entries(self.store.committed, *changes)
        await self.store.append(made)
        await self.store.apply(made[-1].mark)
        return outcomes

    async def test_s2_what_a_later_epoch_sells_is_behind_every_cursor(self) -> None:
        """A promotion by force may cut the catalog's log back below what orders have seen."""
        catalog = await ReplicatedStore.open(self.directory / "two.db", Catalog(), 1000)
        self.addAsyncCleanup(catalog.close)
        [seed] = catalog.seed()
        lines = [{"book": 4, "quantity": 1}]
        numbers = []
        for epoch, before in ((1, 3), (2, 0)):
            sells = [{"op": "sell", "key": f"{epoch}.{n}", "lines": lines} for n in range(before)]
            sell = {"op": "sell", "key": f"{epoch}", "lines": lines}
            outcomes = await catalog.execute([seed, *sells, sell], epoch)
            assert isinstance(outcomes[-1].answer, dict)
            numbers.append(outcomes[-1].answer["seq"])
            await catalog.rollback()
        self.assertLess(numbers[0], numbers[1])

    async def test_s2_each_sale_becomes_one_order_and_the_cursor_moves_with_it(self) -> None:
        self.assertEqual(await self.reader.cursor(), 0)
        [outcome] = await self.batch(project(0, 3, 7))
        assert outcome.change is not None
        self.assertEqual(outcome.change.keys, (order_key("o3"), order_key("o7")))
        self.assertEqual(await self.reader.cursor(), 7)
        self.assertEqual(
            await self.reader.order("o7"),
            {
                "order_id": "o7",
                "sold_at": "2023-11-14T22:13:20.123Z",
                "cost": 40,
                "lines": sale(7)["lines"],
            },
        )
        self.assertIsNone(await self.reader.order("o8"))

    async def test_s2_the_same_sales_again_are_refused(self) -> None:
        await self.batch(project(0, 3, 7))
        for operation in (project(0, 3, 7), project(0, 9), project(3, 9), project(8, 9)):
            [outcome] = await self.batch(operation)
            self.assertIsInstance(outcome.answer, Conflict)
            self.assertIsNone(outcome.change)
        self.assertEqual(len(await self.reader.orders(0, 10)), 2)

    async def test_s2_within_one_batch_too(self) -> None:
        outcomes = await self.batch(project(0, 3), project(0, 3), project(3, 4))
        kinds = [isinstance(one.answer, Conflict) for one in outcomes]
        self.assertEqual(kinds, [False, True, False])
        self.assertEqual(await self.reader.cursor(), 4)
        self.assertEqual([o["order_id"] for o in await self.reader.orders(0, 10)], ["o3", "o4"])

    async def test_the_listing_goes_on_behind_a_seq(self) -> None:
        await self.batch(project(0, 3, 7, 8))
        listed = await self.reader.orders(3, 1)
        self.assertEqual([(one["order_id"], one["seq"]) for one in listed], [("o7", 7)])

    async def test_there_is_no_second_order_for_a_sale(self) -> None:
        await self.batch(project(0, 3))
        with self.assertRaises(sqlite3.IntegrityError):
            await self.store.database.writer.execute(
                "INSERT INTO orders VALUES ('another', 3, 0, '[]')"
            )

    def test_an_order_costs_the_sum_of_its_lines(self) -> None:
        self.assertEqual(order_cost([]), 0)
        lines = [{"quantity": 2, "unit_cost": 20}, {"quantity": 1, "unit_cost": 5}]
        self.assertEqual(order_cost(lines), 45)
