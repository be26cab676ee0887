"""The orders' rows in a real database."""

from __future__ import annotations

from storage.orders import Orders
from storage.postgresql.orders import OrderRows, PostgreSQLOrderReader
from storage.postgresql.session import Refused
from tests.unit.storage.contract import orders
from tests.unit.storage.contract.cases import OrderCase
from tests.unit.storage.postgresql.database import Group
from tests.unit.storage.postgresql.test_catalog import RowsCase
from tests.unit.storage.test_orders import project


class OrdersTest(orders.OrdersKept, RowsCase, OrderCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        self.group = await Group.make(self.session, OrderRows(Orders()))
        self.reader = PostgreSQLOrderReader(self.group)

    async def test_there_is_no_second_order_for_a_sale(self) -> None:
        await self.batch(project(0, 3))
        with self.assertRaises(Refused):
            await self.ask("INSERT INTO bazar_order.orders VALUES ('another', 3, 0, '[]')")
