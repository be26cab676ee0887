"""The orders' rows in a real file."""

from __future__ import annotations

import sqlite3
from typing import Any

from storage.checksum import CHECKSUM
from storage.history import Position
from storage.order_pages import EVER
from storage.orders import Orders
from storage.sqlite.database import Database
from storage.sqlite.integrity import find_damage
from storage.sqlite.log_table import SCHEMA as LOG_SCHEMA
from storage.sqlite.orders import OrderRows, SQLiteOrderReader
from storage.sqlite.replicated_store import ReplicatedStore
from tests.unit.storage.contract import order_pages, orders
from tests.unit.storage.contract.cases import OrderCase
from tests.unit.storage.sqlite.test_catalog import StoreCase
from tests.unit.storage.test_orders import project


class FileCase(StoreCase, OrderCase):
    async def asyncSetUp(self) -> None:
        self.store = await ReplicatedStore.open(
            self.directory / "one.db", OrderRows(Orders()), 1000
        )
        self.addAsyncCleanup(self.store.close)
        self.reader = SQLiteOrderReader(self.store.database)


class PagesTest(order_pages.Pages, FileCase):
    async def test_each_list_goes_through_its_index(self) -> None:
        kinds: tuple[tuple[dict[str, Any], str], ...] = (
            ({}, "INDEX orders_by_time (sold_at>? AND (sold_at,seq)<(?,?))"),
            ({"cancelled": True}, "INDEX orders_cancelled (sold_at>? AND (sold_at,seq)<(?,?))"),
            ({"beginning": "o"}, "PRIMARY KEY (order_id>? AND order_id<?)"),
        )
        ran: list[str] = []
        database = self.store.database
        await database.look_slowly(lambda reader: reader.set_trace_callback(ran.append))
        for kind, step in kinds:
            ran.clear()
            await self.reader.sold(0, EVER, 9, **kind)
            [asked] = [sql for sql in ran if "orders" in sql]
            plan = await database.read(f"EXPLAIN QUERY PLAN {asked}")
            steps = [one["detail"] for one in plan]
            self.assertTrue(steps[0].endswith(step), steps)
            self.assertEqual(len(steps), 2 if "beginning" in kind else 1, steps)  # few to sort


class OrdersTest(orders.OrdersKept, FileCase):
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
        self.assertEqual([one["order_id"] for one in await reader.sold(0, EVER, 9)], ["o3"])
        begin = {"op": "begin", "epoch": 2, "id": "e2"}
        await self.batch(begin, {**project(3, 9), "after": Position(3).plain})
        self.assertEqual(await reader.cursor(), Position(9, "e"))
        self.assertIsNone(find_damage(path, OrderRows(Orders())))
        again = await ReplicatedStore.open(path, OrderRows(Orders()), 1000)
        self.addAsyncCleanup(again.close)
        self.assertEqual((again.epoch, again.epoch_id), (2, "e2"))

    async def test_a_process_that_ends_in_the_middle_of_a_migration_leaves_no_damage(self) -> None:
        model, path = OrderRows(Orders()), self.directory / "old.db"
        before = await Database.open(path, (LOG_SCHEMA, *model.migrations[:2]))
        await before.writer.execute("INSERT INTO orders VALUES ('o3', 3, 0, '[]')")
        await before.writer.execute("INSERT INTO meta VALUES (?, 'of fewer columns')", (CHECKSUM,))
        await before.close()
        half = await Database.open(path, (LOG_SCHEMA, *model.migrations))
        await half.close()
        self.assertIsNone(find_damage(path, model))
        store = await ReplicatedStore.open(path, model, 1000)
        await store.close()
        self.assertIsNone(find_damage(path, model))

    async def test_there_is_no_second_order_for_a_sale(self) -> None:
        await self.batch(project(0, 3))
        with self.assertRaises(sqlite3.IntegrityError):
            await self.store.database.writer.execute(
                "INSERT INTO orders VALUES ('another', 3, 0, '[]', NULL, NULL, NULL)"
            )
