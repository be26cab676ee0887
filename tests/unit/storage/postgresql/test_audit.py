"""What is found to be wrong with a group's rows, and what is not."""

from __future__ import annotations

from storage.catalog import Catalog
from storage.orders import Orders
from storage.postgresql import books, orders
from storage.postgresql.audit import GroupAudit
from storage.postgresql.catalog import CatalogRows
from storage.postgresql.orders import OrderRows
from storage.postgresql.schema import migrate
from tests.unit.storage.operations import cancel, sell
from tests.unit.storage.postgresql.database import CLUSTER, servers_of
from tests.unit.storage.postgresql.test_catalog import CatalogTest

NO_WORDS = "books that no word finds"
MORE = "cancellations of other copies than were sold, or that do not grow"


class GroupAuditTest(CatalogTest):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        await migrate(self.session, OrderRows(Orders()), CLUSTER)
        # As if one epoch had begun and written all of it.
        for schema in ("bazar_catalog", "bazar_order"):
            await self.ask(f"UPDATE {schema}.beat SET epoch = 1")

    async def faults(self, audit: GroupAudit) -> list[str]:
        await audit.look()
        try:
            return [fault async for fault in audit.faults()]
        finally:
            await audit.close()

    async def of_catalog(self) -> list[str]:
        servers, model = servers_of(self._conninfo), CatalogRows(Catalog())
        return await self.faults(GroupAudit(servers, model, books.COLUMNS, CLUSTER))

    async def of_orders(self) -> list[str]:
        servers, model = servers_of(self._conninfo), OrderRows(Orders())
        return await self.faults(GroupAudit(servers, model, orders.COLUMNS, CLUSTER))

    async def test_each_group_is_told_its_own_faults(self) -> None:
        self.assertEqual((await self.of_catalog(), await self.of_orders()), ([], []))
        await self.ask("DELETE FROM bazar_catalog.words WHERE book IN (4, 5)")
        self.assertEqual(await self.of_catalog(), [f"2 {NO_WORDS}"])
        self.assertEqual(await self.of_orders(), [])

    async def test_what_is_cancelled_grows_up_to_what_was_sold(self) -> None:
        sold = await self.batch(sell("a", (4, 2)), sell("b", (5, 2)))
        first, second = (one.answer["order_id"] for one in sold)  # type: ignore[index]
        for copies in (1, 2):
            await self.batch(
                cancel(f"a{copies}", first, (4, copies)), cancel(f"b{copies}", second, (5, copies))
            )
        self.assertEqual(await self.of_catalog(), [])
        more = '[{"book":4,"quantity":3}]'
        set_cancelled = "SET cancelled = $1 WHERE order_id = $2"
        await self.ask(f"UPDATE bazar_catalog.cancellations {set_cancelled}", more, first)
        self.assertEqual(await self.of_catalog(), [f"{MORE}, 1: {first}"])
        less = '[{"book":5,"quantity":2}]'
        await self.ask(f"UPDATE bazar_catalog.earlier_cancellations {set_cancelled}", less, second)
        await self.ask(
            f"UPDATE bazar_catalog.cancellations {set_cancelled}",
            '[{"book":5,"quantity":1}]',
            second,
        )
        [told] = await self.of_catalog()
        self.assertEqual(told, f"{MORE}, 2: {', '.join(sorted((first, second)))}")
        self.assertEqual(await self.of_orders(), [])
