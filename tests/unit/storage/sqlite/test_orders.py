"""The orders' rows in a real file: what stands there after a batch, and what is read."""

from __future__ import annotations

import sqlite3
from typing import Any

from bazar.errors import Conflict
from bazar.replication.store import Outcome
from storage.history import Position
from storage.orders import Orders
from storage.sqlite.database import Database
from storage.sqlite.integrity import find_damage
from storage.sqlite.log_table import SCHEMA as LOG_SCHEMA
from storage.sqlite.orders import OrderRows, SQLiteOrderReader
from storage.sqlite.replicated_store import ReplicatedStore
from tests.files import FilesTestCase
from tests.unit.storage.sqlite.test_replicated_store import entries
from tests.unit.storage.test_orders import adopt, at, project, sale


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
        self.assertEqual(await self.reader.cursor(), Position())
        await self.batch(project(0, 3, 7))
        self.assertEqual(await self.reader.cursor(), Position(7, "e"))
        again, more = await self.batch(project(0, 3, 7), project(7, 9))
        self.assertIsInstance(again.answer, Conflict)
        self.assertEqual(more.answer, {"cursor": at(9)})
        listed = await self.reader.orders(0, 10)
        self.assertEqual([one["order_id"] for one in listed], ["o3", "o7", "o9"])

    async def test_s5_what_comes_after_an_adoption_is_listed_behind_all_before(self) -> None:
        await self.batch(project(0, 3, 7, 9))
        await self.batch(adopt(9, 3, 3))
        self.assertEqual(await self.reader.cursor(), Position(3, "e"))
        self.assertEqual(await self.reader.count(3), 2)
        await self.batch(project(3, 4, 8))
        listed = await self.reader.orders(9, 10)
        self.assertEqual(
            [(one["order_id"], one["seq"]) for one in listed], [("o4", 10), ("o8", 11)]
        )
        self.assertEqual(await self.reader.numbers(["o4", "o5", "o9"]), {"o4": 10, "o9": 9})

    async def test_a_file_from_before_positions_had_ids(self) -> None:
        path = self.directory / "old.db"
        before = await Database.open(path, (LOG_SCHEMA, *OrderRows.migrations[:1]))
        await before.writer.executescript(
            "INSERT INTO orders VALUES ('o3', 3, 0, '[]'); INSERT INTO cursors VALUES ('sales', 3);"
            "INSERT INTO meta VALUES ('checksum', 'of fewer tables')"
        )
        await before.close()
        self.assertIsNone(find_damage(path, OrderRows(Orders())))
        self.store = await ReplicatedStore.open(path, OrderRows(Orders()), 1000)
        self.addAsyncCleanup(self.store.close)
        reader = SQLiteOrderReader(self.store.database)
        self.assertEqual(await reader.cursor(), Position(3, None))
        begin = {"op": "begin", "epoch": 2, "id": "e2"}
        await self.batch(begin, {**project(3, 9), "after": Position(3).plain})
        self.assertEqual(await reader.cursor(), Position(9, "e"))
        self.assertIsNone(find_damage(path, OrderRows(Orders())))
        again = await ReplicatedStore.open(path, OrderRows(Orders()), 1000)
        self.addAsyncCleanup(again.close)
        self.assertEqual((again.epoch, again.epoch_id), (2, "e2"))

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
