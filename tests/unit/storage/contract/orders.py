"""The orders' contract: what stands there after a batch, and what is read."""

from __future__ import annotations

from bazar.errors import Conflict
from storage.history import Position
from tests.unit.storage.contract.cases import OrderCase
from tests.unit.storage.test_orders import adopt, at, cancelled, changed, project, sale


class OrdersKept(OrderCase):
    async def test_s2_the_cursor_is_that_of_the_rows(self) -> None:
        self.assertEqual(await self.reader.cursor(), Position())
        await self.batch(project(0, 3, 7))
        self.assertEqual(await self.reader.cursor(), Position(7, "e"))
        again, more = await self.batch(project(0, 3, 7), project(7, 9))
        self.assertIsInstance(again.answer, Conflict)
        self.assertEqual(more.answer, {"cursor": at(9)})
        listed = await self.reader.changed(0, 10)
        self.assertEqual([one["order_id"] for one in listed], ["o3", "o7", "o9"])

    async def test_s5_what_comes_after_an_adoption_is_listed_behind_all_before(self) -> None:
        await self.batch(project(0, 3, 7, 9))
        await self.batch(adopt(9, 3, 3))
        self.assertEqual(await self.reader.cursor(), Position(3, "e"))
        self.assertEqual(await self.reader.count(3), 2)
        await self.batch(project(3, 4, 8))
        listed = await self.reader.changed(9, 10)
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

    async def test_some_orders_by_their_ids(self) -> None:
        await self.batch(project(0, 3, 7, 9))
        known = await self.reader.known(["o9", "o3", "o8"])
        self.assertEqual(set(known), {"o3", "o9"})
        self.assertEqual(known["o9"], await self.reader.order("o9"))
        self.assertEqual(await self.reader.known([]), {})

    async def test_the_listing_goes_on_behind_a_seq(self) -> None:
        await self.batch(project(0, 3, 7, 8))
        listed = await self.reader.changed(3, 1)
        self.assertEqual([(one["order_id"], one["seq"]) for one in listed], [("o7", 7)])

    async def test_s6_an_order_shows_what_is_cancelled_of_it(self) -> None:
        await self.batch(project(0, 3, 7))
        await self.batch(changed(7, cancelled("o3", 8, 1)), changed(8, cancelled("o3", 9, 2)))
        order = await self.reader.order("o3")
        assert order is not None
        self.assertEqual(order["cancelled"], [{"book": 4, "quantity": 2}])
        self.assertEqual((order["cost"], order["refund"]), (40, 40))
        self.assertEqual(order["cancelled_at"], "1970-01-01T00:00:00.001Z")
        self.assertNotIn("cancelled", await self.reader.order("o7") or {})
        self.assertEqual(await self.reader.cursor(), Position(9, "e"))

    async def test_s6_who_follows_the_orders_sees_what_is_cancelled_later(self) -> None:
        await self.batch(project(0, 3, 7))
        await self.batch(changed(7, cancelled("o3", 8, 1), sale(9), cancelled("o9", 11, 2)))
        for after, limit, found in (
            (0, 10, [("o7", 7, 7), ("o3", 3, 8), ("o9", 9, 11)]),
            (0, 2, [("o7", 7, 7), ("o3", 3, 8)]),
            (7, 10, [("o3", 3, 8), ("o9", 9, 11)]),
            (8, 10, [("o9", 9, 11)]),
            (11, 10, []),
        ):
            listed = await self.reader.changed(after, limit)
            self.assertEqual([(o["order_id"], o["seq"], o["change"]) for o in listed], found)
            self.assertEqual(
                await self.reader.count(after), 0 if after == 11 else 3 - (after > 0) - (after > 7)
            )

    async def test_s6_a_new_order_comes_behind_every_change(self) -> None:
        await self.batch(project(0, 3))
        await self.batch(changed(3, cancelled("o3", 20, 1)))
        await self.batch(adopt(20, 3, 3))
        await self.batch(changed(3, sale(5), cancelled("o3", 6, 2)))
        listed = await self.reader.changed(0, 10)
        self.assertEqual(
            [(one["order_id"], one["seq"], one["change"]) for one in listed],
            [("o5", 21, 21), ("o3", 3, 22)],
        )
