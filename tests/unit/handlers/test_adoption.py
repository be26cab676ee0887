"""What an operator is told before the orders adopt another history of the catalog's (S5)."""

from __future__ import annotations

import unittest
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from bazar.errors import BadRequest, ForeignHistory, Unavailable
from bazar.replication.store import Answer, Operation
from handlers.orders.adoption import MAX_LOST_SHOWN, Adoption
from handlers.paths import NEWEST_PATH
from storage.history import Position
from tests.unit.handlers.parts import Reads

CURSOR = Position(900, "theirs")
PAGE = 1  # sales that the catalog tells at a time


def order_id(number: int) -> str:
    return f"{number:032x}"


class Reader:
    """The orders that there are: the number of each, by its id."""

    def __init__(self, numbers: dict[str, int]) -> None:
        self._numbers = numbers

    async def numbers(self, order_ids: Iterable[str]) -> dict[str, int]:
        return {one: self._numbers[one] for one in order_ids if one in self._numbers}

    async def count(self, after: int) -> int:
        return sum(number > after for number in self._numbers.values())

    async def changed(self, after: int, limit: int) -> list[dict[str, Any]]:
        behind = [{"order_id": one} for one, number in self._numbers.items() if number > after]
        return behind[:limit]


class Orders:
    """A service that follows a catalog with `sales`: their places in its log, the oldest first."""

    def __init__(self, sales: Iterable[int], orders: dict[str, int], *, foreign: bool) -> None:
        self.cursor = CURSOR
        self.reads = Reads()
        self.replica: Any = SimpleNamespace(reads=self.reads)
        self.reader: Any = Reader(orders)
        self.written: list[Operation] = []
        self.waited_ms: list[int] = []
        self._sales = list(sales)
        self._foreign = foreign

    async def sales_behind(self, cursor: Position, wait_ms: int) -> Answer:
        self.waited_ms.append(wait_ms)
        if self._foreign:
            raise ForeignHistory(f"{cursor} is not on it")
        return {"changes": [], "id": None}

    async def ask_catalog(self, path: str, item: dict[str, Any]) -> Answer:
        assert path == NEWEST_PATH
        before = item["before"]
        if not 0 <= before < 1 << 63:
            raise BadRequest("before")
        newest = [seq for seq in reversed(self._sales) if seq < before][:PAGE]
        return {"sales": [{"order_id": order_id(seq), "seq": seq, "id": "own"} for seq in newest]}

    async def write(self, operation: Operation) -> Answer:
        self.written.append(operation)
        return {"cursor": operation["to"]}


class AdoptionTest(unittest.IsolatedAsyncioTestCase):
    async def test_orders_that_follow_are_told_so_at_once(self) -> None:
        orders = Orders([1, 2], {order_id(1): 1, order_id(2): 2}, foreign=False)
        told = await Adoption(orders).standing({})
        self.assertEqual(told, {"follows": True, "cursor": CURSOR.plain})
        self.assertEqual(orders.waited_ms, [0])

    async def test_orders_that_do_not_are_told_what_both_have_and_what_is_lost(self) -> None:
        """Of the sales 1 to 5 the orders have 1 to 3, the third under a number of their own, and
        two more behind it that the catalog has lost."""
        numbers = {order_id(1): 1, order_id(2): 2, order_id(3): 30, "lost": 40, "cancelled": 50}
        told = await Adoption(Orders(range(1, 6), numbers, foreign=True)).standing({})
        self.assertEqual(
            told,
            {
                "follows": False,
                "cursor": CURSOR.plain,
                "common": Position(3, "own").plain,
                "behind": 30,
                "lost": 2,
                "orders": [{"order_id": "lost"}, {"order_id": "cancelled"}],
            },
        )

    async def test_where_they_have_nothing_in_common_all_orders_are_lost(self) -> None:
        for sales in ([], [1, 2]):
            orders = Orders(sales, {"first": 1, "second": 2}, foreign=True)
            told = await Adoption(orders).standing({})
            self.assertEqual((told["common"], told["behind"]), (Position().plain, 0))
            self.assertEqual(told["lost"], 2)

    async def test_of_many_that_are_lost_some_are_shown(self) -> None:
        numbers = {f"lost {number}": number for number in range(1, 3 * MAX_LOST_SHOWN)}
        told = await Adoption(Orders([], numbers, foreign=True)).standing({})
        self.assertEqual(told["lost"], len(numbers))
        self.assertEqual(len(told["orders"]), MAX_LOST_SHOWN)

    async def test_a_replica_that_may_not_answer_tells_nothing(self) -> None:
        orders = Orders([], {}, foreign=True)
        orders.reads.closed = True
        with self.assertRaises(Unavailable):
            await Adoption(orders).standing({})

    async def test_they_adopt_what_was_told(self) -> None:
        orders = Orders([], {}, foreign=True)
        common = Position(3, "own").plain
        item = {"cursor": CURSOR.plain, "common": common, "behind": 30}
        await Adoption(orders).adopt(item)
        adopted = {"op": "adopt", "after": CURSOR.plain, "to": common, "behind": 30}
        self.assertEqual(orders.written, [adopted])
        for wrong in ({}, {**item, "behind": "30"}, {**item, "cursor": 900}):
            with self.assertRaises(BadRequest):
                await Adoption(orders).adopt(wrong)
