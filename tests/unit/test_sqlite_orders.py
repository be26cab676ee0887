"""The orders' rows in a real file: what stands there after a batch, and what is read."""

from __future__ import annotations

import sqlite3
from typing import Any

from bazar.errors import Conflict
from bazar.replication.store import Outcome
from storage.log import ReplicatedStore
from storage.orders import Orders
from storage.sqlite.orders import OrderRows, SQLiteOrderReader
from tests.unit.files import FilesTestCase
from tests.unit.test_log import entries
from tests.unit.test_orders import project, sale


class OrdersTest(FilesTestCase):
    async def asyncSetUp(self) -> None:
        self.store = await ReplicatedStore.open(
            self.directory / "one.db", OrderRows(Orders()), 1000
        )
        self.addAsyncCleanup(self.store.close)
        self.reader = SQLiteOrderReader(self.store.database)

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

    async def test_s2_the_cursor_is_that_of_the_file(self) -> None:
        self.assertEqual(await self.reader.cursor(), 0)
        await self.batch(project(0, 3, 7))
        self.assertEqual(await self.reader.cursor(), 7)
        again, more = await self.batch(project(0, 3, 7), project(7, 9))
        self.assertIsInstance(again.answer, Conflict)
        self.assertEqual(more.answer, {"cursor": 9})
        listed = await self.reader.orders(0, 10)
        self.assertEqual([one["order_id"] for one in listed], ["o3", "o7", "o9"])

    async def test_an_order_by_its_id(self) -> None:
        await self.batch(project(0, 3, 7))
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
