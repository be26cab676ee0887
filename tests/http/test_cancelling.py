"""Orders are cancelled, all of one or a part: the copies come back once, and the order shows it."""

from __future__ import annotations

import json
from typing import Any

from tests.http.shop import TOKEN, ShopTestCase


class CancellingTest(ShopTestCase):
    def setUp(self) -> None:
        super().setUp()
        lines = {"lines": [{"book": 4, "quantity": 3}, {"book": 5, "quantity": 2}]}
        self.key = {"Idempotency_Key": "bought"}
        self.bought = json.loads(self.ask("/purchase", "POST", lines, **self.key).body)
        self.lines = lines
        self.order = self.bought["order_id"]

    def cancel(self, *lines: tuple[int, int], node: str = "frontend-1", **headers: str) -> Any:
        body = {"lines": [{"book": book, "quantity": quantity} for book, quantity in lines]}
        path = f"/orders/{self.order}/cancel"
        return self.ask(path, "POST", body if lines else None, node=node, token=TOKEN, **headers)

    def counts(self) -> tuple[int, int]:
        return self.get("/info/4")["count"], self.get("/info/5")["count"]

    def test_all_of_it(self) -> None:
        self.assertEqual(self.counts(), (4, 8))
        self.get(f"/orders/{self.order}")  # cached
        response = self.cancel()
        self.assertEqual(response.code, 200, response.body)
        copies = [{"book": 4, "quantity": 3}, {"book": 5, "quantity": 2}]
        told = json.loads(response.body)
        self.assertEqual(
            told,
            {
                **{"message": "Cancelled in all: 5 of 5", "order_id": self.order},
                **{"cost": 2460, "refund": 2460, "lines": self.bought["lines"]},
                **{"cancelled": copies, "key": told["key"], "replayed": False},
            },
        )
        self.assertEqual(self.counts(), (7, 10))
        for node in ("frontend-1", "order-1", "order-2"):
            shown = self.get(f"/orders/{self.order}", node=node)
            self.assertEqual((shown["cancelled"], shown["refund"]), (copies, 2460), node)
            self.assertGreaterEqual(shown["cancelled_at"], shown["sold_at"])

    def test_a_part_and_then_more_by_whatever_key_and_node(self) -> None:
        for number, (node, lines, counts) in enumerate(
            (
                ("order-1", [(4, 1)], (5, 8)),
                ("order-2", [(4, 1)], (5, 8)),
                ("frontend-1", [(4, 2), (5, 2)], (6, 10)),
                ("order-1", [(5, 1)], (6, 10)),
                ("order-2", [], (7, 10)),
                ("frontend-1", [], (7, 10)),
            )
        ):
            response = self.cancel(*lines, node=node, Idempotency_Key=f"k{number}")
            self.assertEqual(response.code, 200, response.body)
            self.assertEqual(response.headers["Idempotency-Key"], f"k{number}")
            self.assertEqual(json.loads(response.body)["key"], f"k{number}")
            self.assertEqual(self.counts(), counts, number)

    def test_a_key_again_is_the_same_cancellation(self) -> None:
        first = json.loads(self.cancel((4, 1), Idempotency_Key="k").body)
        again = json.loads(self.cancel((4, 1), Idempotency_Key="k").body)
        self.assertEqual((first["replayed"], again), (False, {**first, "replayed": True}))
        self.assert_error(self.cancel((4, 2), Idempotency_Key="k"), 422, "key_reused")
        self.assertEqual(self.counts(), (5, 8))

    def test_the_purchases_key_tells_of_it(self) -> None:
        self.cancel((5, 2))
        again = json.loads(self.ask("/purchase", "POST", self.lines, **self.key).body)
        cancelled = [{"book": 5, "quantity": 2}]
        self.assertEqual(again, {**self.bought, "cancelled": cancelled, "replayed": True})

    def test_what_can_not_be_cancelled(self) -> None:
        for lines in ([(4, 4)], [(4, 1), (6, 1)]):
            self.assert_error(self.cancel(*lines), 409, "conflict")
        path = f"/orders/{self.order}/cancel"
        bodies: tuple[Any, ...] = (
            {"lines": []},
            {"lines": [{"book": 4, "quantity": 0}]},
            {"lines": [{"book": 4, "quantity": 1, "cost": 20}]},
            {"lines": [{"book": 4, "quantity": 1}], "all": True},
        )
        for body in bodies:
            self.assert_error(self.ask(path, "POST", body, token=TOKEN), 400, "bad_request")
        unknown = "0" * 32
        for node in ("frontend-1", "order-1"):
            response = self.ask(f"/orders/{unknown}/cancel", "POST", node=node, token=TOKEN)
            self.assert_error(response, 404, "not_found")
            self.assert_error(self.ask(path, "POST", node=node), 401)
        self.assertEqual(self.counts(), (4, 8))

    def test_who_follows_the_orders_sees_it(self) -> None:
        self.buy(7)
        listed = json.loads(self.ask("/orders", node="order-1", token=TOKEN).body)
        self.assertEqual(listed[0]["order_id"], self.order)
        last = listed[-1]["change"]
        self.cancel((4, 1))
        path = f"/orders?after={last}"
        [changed] = json.loads(self.ask(path, node="order-2", token=TOKEN).body)
        self.assertEqual(changed["order_id"], self.order)
        self.assertEqual(changed["cancelled"], [{"book": 4, "quantity": 1}])
        self.assertGreater(changed["change"], last)
        self.assertEqual(changed["seq"], listed[0]["seq"])
