"""The orders' rows in a real database."""

from __future__ import annotations

from collections.abc import Sequence

from storage.order_pages import EVER
from storage.orders import Orders
from storage.postgresql.orders import (
    SOLD,
    SOLD_AND_CANCELLED,
    SOLD_AS,
    OrderRows,
    PostgreSQLOrderReader,
)
from storage.postgresql.schema import upgrade
from storage.postgresql.session import Refused, Row, Statement
from tests.unit.storage.contract import order_pages, orders
from tests.unit.storage.contract.cases import OrderCase
from tests.unit.storage.postgresql.database import Group
from tests.unit.storage.postgresql.test_catalog import RowsCase
from tests.unit.storage.test_orders import project


class TableCase(RowsCase, OrderCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        self.group = await Group.make(self.session, OrderRows(Orders()))
        self.reader = PostgreSQLOrderReader(self.group)


class PagesTest(order_pages.Pages, TableCase):
    pass


class OlderRows(OrderRows):
    migrations: Sequence[Sequence[str]] = OrderRows.migrations[:1]


class OrdersTest(orders.OrdersKept, TableCase):
    async def test_there_is_no_second_order_for_a_sale(self) -> None:
        await self.batch(project(0, 3))
        with self.assertRaises(Refused):
            await self.ask("INSERT INTO bazar_order.orders VALUES ('another', 3, 0, '[]')")

    async def test_older_tables_are_brought_up(self) -> None:
        await self.ask("DROP SCHEMA bazar_order CASCADE")
        self.group = await Group.make(self.session, OlderRows(Orders()))
        await self.ask("INSERT INTO bazar_order.orders VALUES ('o3', 3, 0, '[]')")
        await upgrade(self.session, OrderRows(Orders()), "")
        reader = PostgreSQLOrderReader(self.group)
        self.assertEqual([one["order_id"] for one in await reader.sold(0, EVER, 9)], ["o3"])

    async def test_orders_are_read_by_time_and_those_with_a_beginning_by_name(self) -> None:
        columns = "order_id, seq, sold_at, lines, cancelled"
        for number, cancelled in ((3, None), (4, "[]")):
            await self.ask(
                f"INSERT INTO bazar_order.orders ({columns}) VALUES ($1, $2, 0, '[]', $3)",
                *(f"o{number}", number, cancelled),
            )
        group, seen = self.group, list[str]()

        class Watched:
            async def read(
                self, tags: frozenset[str] | None, *statements: Statement
            ) -> Sequence[Sequence[Row]]:
                seen.extend(one.sql for one in statements)
                return await group.read(tags, *statements)

        reader = PostgreSQLOrderReader(Watched())
        for found, ids in (
            (await reader.sold(0, EVER, 9), ["o4", "o3"]),
            (await reader.sold(0, EVER, 9, cancelled=True), ["o4"]),
            (await reader.sold(0, EVER, 9, beginning="o3"), ["o3"]),
        ):
            self.assertEqual([one["order_id"] for one in found], ids)
        self.assertEqual(seen, [SOLD, SOLD_AND_CANCELLED, SOLD_AS])
