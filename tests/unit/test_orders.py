"""Orders as a projection of sales (S2): what operations come to."""

from __future__ import annotations

import unittest
from typing import Any

from bazar.errors import Conflict
from storage.orders import Orders, order_cost, order_key, show_order


def sale(seq: int) -> dict[str, Any]:
    line = {"book": 4, "title": "T", "quantity": 2, "unit_cost": 20, "new_count": 5}
    return {"order_id": f"o{seq}", "seq": seq, "sold_at": 1_700_000_000_123, "lines": [line]}


def project(after: int, *seqs: int) -> dict[str, Any]:
    return {"op": "project", "after": after, "sales": [sale(seq) for seq in seqs]}


class OrdersTest(unittest.TestCase):
    def test_s2_each_sale_becomes_one_order_and_the_cursor_moves_with_it(self) -> None:
        [outcome] = Orders().decide(0, [project(0, 3, 7)])
        self.assertEqual(outcome.answer, {"cursor": 7})
        assert outcome.change is not None
        self.assertEqual(outcome.change.keys, (order_key("o3"), order_key("o7")))
        put = outcome.change.effects["put"]
        self.assertEqual(put["cursors"], [{"name": "sales", "seq": 7}])
        self.assertEqual(
            [(row["order_id"], row["seq"]) for row in put["orders"]], [("o3", 3), ("o7", 7)]
        )
        self.assertEqual(
            show_order(put["orders"][1]),
            {
                "order_id": "o7",
                "sold_at": "2023-11-14T22:13:20.123Z",
                "cost": 40,
                "lines": sale(7)["lines"],
            },
        )

    def test_s2_the_same_sales_again_are_refused(self) -> None:
        for operation in (project(0, 3, 7), project(0, 9), project(3, 9), project(8, 9)):
            [outcome] = Orders().decide(7, [operation])
            self.assertIsInstance(outcome.answer, Conflict)
            self.assertIsNone(outcome.change)

    def test_s2_within_one_batch_too(self) -> None:
        outcomes = Orders().decide(0, [project(0, 3), project(0, 3), project(3, 4)])
        self.assertEqual([one.change is None for one in outcomes], [False, True, False])
        self.assertIsInstance(outcomes[1].answer, Conflict)
        self.assertEqual(outcomes[2].answer, {"cursor": 4})

    def test_an_order_costs_the_sum_of_its_lines(self) -> None:
        self.assertEqual(order_cost([]), 0)
        lines = [{"quantity": 2, "unit_cost": 20}, {"quantity": 1, "unit_cost": 5}]
        self.assertEqual(order_cost(lines), 45)
