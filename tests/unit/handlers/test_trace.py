"""The way of a request, on one time line."""

from __future__ import annotations

import unittest
from typing import Any

from handlers.dashboard.trace import Way

MOMENTS = {"taken": 1.0, "executed": 2.0, "ack frontend-1.2": 3.0, "ack b": 5.0, "committed": 6.0}


class WayTest(unittest.TestCase):
    def way(self, sale: dict[str, Any], order: dict[str, Any]) -> list[dict[str, Any]]:
        way = Way("frontend-1")
        told = {"sale": {"asked": "a", **sale}, "order": order}
        way.purchase({"told": told}, "order-1", 30.0, {"frontend-1"})
        return way.steps

    def test_what_was_done_at_the_same_time_is_shown_so(self) -> None:
        steps = self.way(
            {"ms": 10.0, "primary": "a", "moments": MOMENTS},
            {"ms": 16.0, "primary": "order-2", "moments": MOMENTS},
        )
        self.assertEqual(
            [
                (step["rule"], step["at"], step["to"], step["began_ms"], step["ms"])
                for step in steps
            ],
            [
                ("", "frontend-1", "order-1", 0, 2),  # 30 - 10 - 16, halved
                ("S1", "order-1", "a", 2, 2),
                ("R1", "a", None, 4, 1),
                ("R1", "a", None, 5, 1),
                ("R2", "a", "frontend-1", 6, 1),
                ("R2", "a", "b", 6, 3),
                ("R3", "a", None, 9, 1),
                ("S2", "a", "order-2", 12, 5),
                ("R1", "order-2", None, 17, 1),
                ("R1", "order-2", None, 18, 1),
                ("R2", "order-2", "frontend-1", 19, 1),
                ("R2", "order-2", "b", 19, 3),
                ("R3", "order-2", None, 22, 1),
                ("R6", "order-2", "order-1", 23, 5),
                ("S3", "order-1", "frontend-1", 28, 2),
            ],
        )

    def test_a_sale_that_was_passed_on(self) -> None:
        sale = {"ms": 10.0, "primary": "b", "moments": MOMENTS}
        steps = self.way(sale, {"ms": 16.0})
        hop = [(step["at"], step["to"]) for step in steps if step["rule"] == "R7"]
        self.assertEqual(hop, [("a", "b")])

    def test_what_is_not_told_is_one_step(self) -> None:
        steps = self.way({"ms": 10.0}, {"ms": 16.0})
        rules = [(step["rule"], step["ms"]) for step in steps]
        self.assertEqual(rules, [("", 2), ("S1", 10), ("S2", 16), ("S3", 2)])

    def test_an_order_that_was_quicker_than_the_answer_of_the_sale(self) -> None:
        steps = self.way({"ms": 10.0}, {"ms": 4.0, "primary": "order-1", "moments": MOMENTS})
        committed = next(step for step in steps if step["rule"] == "R3")
        self.assertEqual(committed["began_ms"] + committed["ms"], 22)  # 8 + 10 + 4
        self.assertTrue(all(step["ms"] >= 0 for step in steps))
