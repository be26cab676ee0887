"""The orders' contract: what stands there after a batch, and what is read."""

from __future__ import annotations

from bazar.errors import Conflict
from storage.history import Position
from tests.unit.storage.contract.cases import OrderCase
from tests.unit.storage.test_orders import adopt, at, project, sale


class OrdersKept(OrderCase):
    async def test_s2_the_cursor_is_that_of_the_rows(self) -> None:
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
