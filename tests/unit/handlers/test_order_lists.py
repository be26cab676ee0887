"""Lists of orders by their last change, page by page."""

from __future__ import annotations

import unittest
from types import SimpleNamespace
from typing import Any

from bazar.errors import BadRequest, Unavailable
from handlers.orders import listing
from tests.unit.handlers.parts import Reads


class Reader:
    """Orders that were changed at 1, 2, 3, …"""

    def __init__(self, orders: int) -> None:
        self.changes = range(1, orders + 1)
        self.read = 0

    async def changed(self, after: int, limit: int) -> list[dict[str, Any]]:
        found = [{"change": change} for change in self.changes if change > after][:limit]
        self.read = len(found)
        return found

    async def sold(self, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
        return []


class ListingTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.reads = Reads()
        self.reader = Reader(5)
        self.service: Any = SimpleNamespace(
            replica=SimpleNamespace(reads=self.reads),
            reader=self.reader,
            context=SimpleNamespace(clock=lambda: 1000.0),
        )

    async def changed(self, after: int, limit: int) -> tuple[list[int], int | None]:
        item = {"op": "changed", "after": after, "limit": limit}
        page = await listing.page(self.service, item)
        return [order["change"] for order in page["orders"]], page["after"]

    async def test_a_page_says_behind_which_order_there_are_more(self) -> None:
        for after, limit, page in (
            (0, 2, ([1, 2], 2)),
            (2, 2, ([3, 4], 4)),
            (4, 2, ([5], None)),
            (3, 2, ([4, 5], None)),
            (0, 1, ([1], 1)),
            (5, 1, ([], None)),
            (0, 5, ([1, 2, 3, 4, 5], None)),
        ):
            self.assertEqual(await self.changed(after, limit), page)
            self.assertLessEqual(self.reader.read, limit + 1)  # what shows that there are more

    async def test_it_shows_what_no_pending_write_touches(self) -> None:
        items = {"op": "changed", "after": 0, "limit": 1}, {"op": "sold", "limit": 1}
        for item in items:
            await listing.page(self.service, item)
        self.assertEqual(self.reads.passed, [None, None])
        self.reads.closed = True
        for item in items:
            with self.assertRaises(Unavailable):
                await listing.page(self.service, item)

    async def test_a_time_that_ends_before_it_begins_is_none(self) -> None:
        sold = {"op": "sold", "limit": 1}
        for span in (
            {"since": 1},
            {"until": 1},
            {"since": 1, "until": 1},
            {"since": 1, "until": 2},
        ):
            page = await listing.page(self.service, {**sold, **span})
            self.assertEqual(page["orders"], [])
        for wrong in (
            {**sold, "since": 2, "until": 1},
            {"limit": 1},
            {**sold, "op": "bought"},
            {**sold, "after": 0},
        ):
            with self.assertRaises(BadRequest):
                await listing.page(self.service, wrong)
