"""Several books as one order, all or nothing; and prices that change before the buyer decides."""

from __future__ import annotations

import json
from typing import Any

from tests.http.shop import ShopTestCase

BASKET = [{"book": 4, "quantity": 2}, {"book": 5, "quantity": 1}, {"book": 2, "quantity": 1}]
ENTRANCES = (
    ("frontend-1", "/purchase"),
    ("frontend-1", "/FrontEnd_service/purchase"),
    ("order-1", "/order_service/purchase"),
    ("order-2", "/order_service2/purchase2"),
)


class BasketTest(ShopTestCase):
    def post(self, lines: Any, path: str = "/purchase", **options: Any) -> Any:
        return self.ask(path, "POST", {"lines": lines}, **options)

    def counts(self) -> list[int]:
        return [self.get(f"/info/{number}", "catalog-2")["count"] for number in (2, 4, 5)]

    def test_a_basket_is_one_order_and_one_entry_of_the_log(self) -> None:
        before = len(self.shop.rows("catalog-1", "log"))
        response = self.post(BASKET, Idempotency_Key="k")
        self.assertEqual(response.code, 200, response.body)
        bought = json.loads(response.body)
        self.assertEqual(bought["message"], "Purchased 4 books")
        self.assertEqual((bought["cost"], bought["key"]), (2 * 20 + 1200 + 506, "k"))
        self.assertFalse(bought["replayed"])
        self.assertEqual(
            [(line["book"], line["quantity"], line["new_count"]) for line in bought["lines"]],
            [(4, 2, 5), (5, 1, 9), (2, 1, 0)],
        )
        self.settle()
        self.assertEqual(self.counts(), [0, 5, 9])
        self.assertEqual(len(self.shop.rows("catalog-1", "log")), before + 1)
        order = self.get(f"/orders/{bought['order_id']}")
        self.assertEqual(order["lines"], bought["lines"])
        self.assertEqual(order["cost"], bought["cost"])

    def test_every_entrance(self) -> None:
        for number, (node, path) in enumerate(ENTRANCES):
            response = self.post([{"book": 5}, {"book": 6, "quantity": 1}], path, node=node)
            self.assertEqual(response.code, 200, response.body)
            self.assertEqual(json.loads(response.body)["lines"][0]["new_count"], 9 - number)

    def test_all_or_nothing(self) -> None:
        for line, status, code in (
            ({"book": 3, "quantity": 3}, 409, "out_of_stock"),
            ({"book": 99, "quantity": 1}, 404, "not_found"),
            ({"book": 3, "quantity": 1, "cost": 51}, 409, "price_changed"),
        ):
            response = self.post([*BASKET, line], Idempotency_Key="k")
            self.assertEqual(self.assert_error(response, status, code)["key"], "k")
        self.assertEqual(self.counts(), [1, 7, 10])
        self.assertFalse(json.loads(self.post(BASKET, Idempotency_Key="k").body)["replayed"])

    def test_a_replay_is_the_same_order_and_another_basket_422(self) -> None:
        first = json.loads(self.post(BASKET, Idempotency_Key="k").body)
        again = json.loads(self.post(BASKET, "/purchase", node="order-2", Idempotency_Key="k").body)
        self.assertEqual(again, {**first, "replayed": True})
        self.assert_error(self.post(BASKET[:1], Idempotency_Key="k"), 422, "key_reused")
        self.settle()
        self.assertEqual(self.counts(), [0, 5, 9])

    def test_what_is_in_the_cache_of_each_book_is_dropped(self) -> None:
        for path in ("/info/4", "/info/5", "/info/6", "/search?topic=under"):
            self.get(path)
        self.post(BASKET)
        for path, verdict in (("/info/4", "miss"), ("/info/5", "miss"), ("/info/6", "hit")):
            self.assertEqual(self.ask(path).headers["X-Cache"], verdict)
        self.assertEqual(self.ask("/search?topic=under").headers["X-Cache"], "miss")

    def test_malformed_baskets_are_400_and_say_where(self) -> None:
        one = {"book": 4, "quantity": 1}
        for body, words in (
            ({}, "lines: must be a list of 1 to 50"),
            ({"lines": []}, "lines: must be a list of 1 to 50"),
            ({"lines": {"book": 4}}, "lines: must be a list"),
            ({"lines": [one] * 51}, "lines: must be a list of 1 to 50"),
            ({"lines": [4]}, "lines[0]: must be a JSON object"),
            ({"lines": [one, {"quantity": 1}]}, "lines[1].book: must be an integer"),
            ({"lines": [one, {"book": "5"}]}, "lines[1].book: must be an integer"),
            ({"lines": [{"book": -1}]}, "lines[0].book: must be from 0"),
            ({"lines": [{"book": 10**18}]}, "lines[0].book: must be from 0"),
            ({"lines": [one, one]}, "lines[1]: book 4 is in lines[0] already"),
            ({"lines": [{"book": 4, "quantity": 0}]}, "lines[0].quantity: must be from 1"),
            ({"lines": [{"book": 4, "cost": 1.5}]}, "lines[0].cost: must be an integer"),
            ({"lines": [{"book": 4, "cost": -1}]}, "lines[0].cost: must be from 0"),
            ({"lines": [{"book": 4, "count": 1}]}, "lines[0]: 'count' is unknown"),
            ({"lines": [one], "cost": 20}, "body: 'cost' is unknown"),
        ):
            for node in ("frontend-1", "order-2"):
                response = self.ask("/purchase", "POST", body, node=node)
                self.assertIn(words, self.assert_error(response, 400, "bad_request")["error"])
        self.assert_error(self.ask("/purchase"), 405)
        self.assertEqual(self.counts(), [1, 7, 10])


class SeenPriceTest(ShopTestCase):
    def test_the_price_that_the_buyer_saw(self) -> None:
        for node in ("frontend-1", "order-1"):
            bought = self.buy(4, body={"cost": 20, "quantity": 2}, node=node)
            self.assertEqual((bought["cost"], bought["quantity"]), (40, 2))

    def test_a_changed_price_is_told_and_not_charged(self) -> None:
        self.update(4, cost=25)
        for node in ("frontend-1", "order-1", "order-2"):
            response = self.ask("/purchase/4", "PUT", {"cost": 20}, node=node, Idempotency_Key="k")
            body = self.assert_error(response, 409, "price_changed")
            self.assertEqual(body["books"], [{"id": 4, "cost": 25, "count": 7}])
            self.assertEqual(body["error"], "book 4: costs 25 now, not 20")
        # The refusal did not use up the key: with the new price it is taken.
        self.assertEqual(self.buy(4, body={"cost": 25}, Idempotency_Key="k")["new_count"], 6)

    def test_a_cheaper_price_is_asked_about_too(self) -> None:
        self.update(4, cost=0)
        response = self.ask("/purchase/4", "PUT", {"cost": 20})
        self.assertEqual(self.assert_error(response, 409, "price_changed")["books"][0]["cost"], 0)
        self.assertEqual(self.buy(4, body={"cost": 0})["cost"], 0)

    def test_out_of_stock_says_what_is_left(self) -> None:
        response = self.ask("/purchase/3", "PUT", {"quantity": 3, "cost": 9})
        body = self.assert_error(response, 409, "out_of_stock")
        self.assertEqual(body["books"], [{"id": 3, "cost": 50, "count": 2}])

    def test_all_that_stand_in_the_way_are_named(self) -> None:
        lines = [{"book": n, "quantity": 3, "cost": 1} for n in (2, 3, 5)]
        response = self.ask("/purchase", "POST", {"lines": lines})
        body = self.assert_error(response, 409, "out_of_stock")
        self.assertEqual([one["id"] for one in body["books"]], [2, 3])
        lines = [{"book": n, "quantity": 1, "cost": 1} for n in (2, 3, 5)]
        body = self.assert_error(self.ask("/purchase", "POST", {"lines": lines}), 409)
        self.assertEqual([one["cost"] for one in body["books"]], [506, 50, 1200])

    def test_the_price_is_part_of_the_request_that_a_key_is_for(self) -> None:
        self.buy(4, body={"cost": 20}, Idempotency_Key="k")
        self.assertTrue(self.buy(4, body={"cost": 20}, Idempotency_Key="k")["replayed"])
        response = self.ask("/purchase/4", "PUT", Idempotency_Key="k")
        self.assert_error(response, 422, "key_reused")
        self.update(4, cost=25)  # what was bought was bought at the price seen
        self.assertTrue(self.buy(4, body={"cost": 20}, Idempotency_Key="k")["replayed"])
