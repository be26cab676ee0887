"""What is wrong with a backup whose checksums are right is found, row by row."""

from __future__ import annotations

import copy
import json
import unittest
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import product
from typing import Any

from storage.backup.checking import faults_of, reconciled
from storage.backup.reading import Backup
from storage.history import number_of
from storage.images import Image
from storage.reconciliation import CANCELLED
from tests.files import FilesTestCase
from tests.invented import BOTH, ROWS, SOLD, Invented
from tests.unit.storage.backup.test_file import write

# Of the two copies of book 2 that were sold, of which one was cancelled before.
OTHER_COPIES = [
    json.dumps([{"book": book, "quantity": many} for book, many in copies])
    for copies in ([(2, 3)], [(1, 1)], [(2, 2), (1, 1)], [(2, 1)], [(2, -1)], [(2, "2")], [])
]

Shop = dict[str, dict[str, list[dict[str, Any]]]]


class Changed(Invented):
    def __init__(self, change: Callable[[Shop], object]) -> None:
        self.shop = copy.deepcopy(ROWS)
        change(self.shop)

    async def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
        yield self.shop[role][table]


class CheckingTest(FilesTestCase):
    async def found(self, change: Callable[[Shop], object]) -> list[str]:
        """Return what is found in a shop that was changed."""
        path = self.directory / "shop.bazar"
        path.unlink(missing_ok=True)
        await write(path, Changed(change))
        backup = Backup(path)
        await backup.hold()
        return [*faults_of(backup)] or [*reconciled(backup).faults]

    async def test_a_shop_is_as_it_must_be(self) -> None:
        self.assertEqual(await self.found(lambda shop: None), [])

    async def test_what_is_wrong_is_named(self) -> None:
        cases: list[tuple[Callable[[Shop], object], str]] = [
            (
                lambda shop: shop["catalog"]["books"].reverse(),
                "books 1: comes behind 2",
            ),
            (
                lambda shop: shop["order"]["orders"].append(shop["order"]["orders"][1]),
                "orders 'a': comes behind 'a'",
            ),
            (
                lambda shop: shop["catalog"]["books"][1].update(count="3"),
                "books 2: count is '3'",
            ),
            (
                lambda shop: shop["catalog"]["books"][1].update(title=None),
                "books 2: title is None",
            ),
            (
                lambda shop: shop["catalog"]["books"][1].update(cost=-1),
                "books 2: cost is -1",
            ),
            (
                lambda shop: shop["catalog"]["topics"].clear(),
                "books 1: its topic 1 is not there",
            ),
            (
                lambda shop: shop["catalog"]["books"][0].update(retired=2),
                "books 1: retired is 2",
            ),
            (
                lambda shop: shop["catalog"]["sales"][1].update(key="b"),
                "sales: two have the same key",
            ),
            (
                lambda shop: shop["catalog"]["sales"][1].update(seq=SOLD + 1),
                "sales, cancellations: two have the same number",
            ),
            (
                lambda shop: shop["catalog"]["sales"][0].update(seq=number_of(6, 41)),
                "sales 'B': its entry lies behind Standing(epoch=7, number=40)",
            ),
            (
                lambda shop: shop["catalog"]["sales"][0].update(seq=number_of(8, 31)),
                "sales 'B': its entry lies behind Standing(epoch=7, number=40)",
            ),
            (
                lambda shop: shop["catalog"]["cancellations"][0].update(seq=SOLD + 1),
                "sales, cancellations: two have the same number",
            ),
            (
                lambda shop: shop["catalog"]["cancellations"][0].update(seq=number_of(6, 41)),
                "cancellations 'a': its entry lies behind Standing(epoch=7, number=40)",
            ),
            (
                lambda shop: shop["catalog"]["cancellations"][0].update(seq=number_of(8, 31)),
                "cancellations 'a': its entry lies behind Standing(epoch=7, number=40)",
            ),
            (
                lambda shop: shop["catalog"]["sales"].pop(),
                "cancellations 'a': was never sold",
            ),
            *(
                (
                    lambda shop, odd=odd: shop["catalog"]["cancellations"][0].update(cancelled=odd),
                    "cancellations 'a': is of other copies than were sold",
                )
                for odd in (*OTHER_COPIES, "nothing that can be read")
            ),
            (
                lambda shop: shop["catalog"]["earlier_cancellations"][0].update(cancelled=BOTH),
                "cancellations 'a': is of other copies than were sold",
            ),
            (
                lambda shop: shop["catalog"]["earlier_cancellations"][0].update(order_id="B"),
                "earlier_cancellations 'B': no later one is there",
            ),
            (
                lambda shop: shop["catalog"]["earlier_cancellations"][0].update(seq=SOLD + 4),
                "cancellations 'a': lies before an earlier one",
            ),
            (
                lambda shop: shop["catalog"]["earlier_cancellations"][0].update(seq=SOLD + 1),
                "sales, cancellations: two have the same number",
            ),
            (
                lambda shop: shop["order"]["orders"][0].update(sold_at=3),
                "orders 'B': is not what was sold",
            ),
            (
                lambda shop: shop["order"]["orders"][0].update(lines="[]"),
                "orders 'B': is not what was sold",
            ),
            (
                lambda shop: shop["order"]["orders"].pop(),
                "sales without an order, 1: a",
            ),
            (
                lambda shop: shop["catalog"]["sales"].pop(0),
                "orders without a sale, 1: B",
            ),
            (
                lambda shop: shop["order"]["orders"][1].update(cancelled=None),
                "orders that are cancelled otherwise than their sales, 1: a",
            ),
            (
                lambda shop: shop["catalog"].update({table: [] for table in CANCELLED}),
                "orders that are cancelled otherwise than their sales, 1: a",
            ),
            (
                lambda shop: shop["order"]["cursors"][0].update(seq=number_of(6, 41)),
                "the orders' cursor, entry 41 of epoch 6 (e6), is not on the catalog's history",
            ),
        ]
        for change, fault in cases:
            with self.subTest(fault):
                found = await self.found(change)
                self.assertTrue(any(one.startswith(fault) for one in found), found)

    async def test_whatever_is_there_in_place_of_a_value_is_named(self) -> None:
        values: tuple[Any, ...] = ([1], {}, -1, 1.5, True)
        for role, tables in ROWS.items():
            for table, rows in tables.items():
                for name, odd in product(rows[0], values):

                    def put(shop: Shop, at: Any = (role, table), to: Any = {name: odd}) -> None:  # noqa: B006
                        shop[at[0]][at[1]][0].update(to)

                    with self.subTest(table=table, name=name, odd=odd):
                        self.assertTrue(await self.found(put))

    async def test_sales_behind_the_cursor_wait_for_their_orders(self) -> None:
        def earlier(shop: Shop) -> None:
            shop["order"]["cursors"][0]["seq"] = SOLD
            del shop["order"]["orders"][0]

        self.assertEqual(await self.found(earlier), [])


if __name__ == "__main__":
    unittest.main()
