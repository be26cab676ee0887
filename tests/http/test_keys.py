"""Idempotency-Key over HTTP: what is sent again is done once, and only what is the same."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from tests.http.shop import ShopTestCase


class KeysTest(ShopTestCase):
    """Idempotency-Key (S1, S4)."""

    def test_a_replay_answers_the_first_answer_and_sells_nothing(self) -> None:
        first = self.buy(4, Idempotency_Key="k1")
        again = self.buy(4, Idempotency_Key="k1")
        self.assertEqual(again, {**first, "replayed": True})
        self.assertEqual(self.get("/info/4")["count"], 6)
        self.assertEqual(len(self.shop.rows("order-2", "orders")), 1)

    def test_a_replay_of_long_ago_is_looked_up(self) -> None:
        """The orders' nodes remember by name only those that came last."""
        first = self.buy(4, Idempotency_Key="k1")
        self.settle()  # the other replica hears a moment later that it is committed
        for number in (1, 2):
            self.shop.order(number)._made.clear()
        self.assertEqual(self.buy(4, Idempotency_Key="k1"), {**first, "replayed": True})

    def test_the_same_key_for_another_request_is_422(self) -> None:
        self.buy(4, Idempotency_Key="k1")
        for path, body in (("/purchase/5", None), ("/purchase/4", {"quantity": 2})):
            response = self.ask(path, "PUT", body, Idempotency_Key="k1")
            self.assertEqual(self.assert_error(response, 422, "key_reused")["key"], "k1")
        self.assertEqual(self.get("/info/5")["count"], 10)

    def test_a_refused_purchase_does_not_use_its_key_up(self) -> None:
        self.buy(2)
        self.assert_error(self.ask("/purchase/2", "PUT", Idempotency_Key="k"), 409)
        self.update(2, count=1)
        self.assertFalse(self.buy(2, Idempotency_Key="k")["replayed"])

    def test_a_key_is_made_for_those_who_send_none(self) -> None:
        response = self.ask("/purchase/4", "PUT")
        key = json.loads(response.body)["key"]
        self.assertEqual(response.headers["Idempotency-Key"], key)
        self.assertTrue(self.buy(4, Idempotency_Key=key)["replayed"])

    def test_what_only_the_shop_has_sent_twice_is_no_replay(self) -> None:
        """As when the first answer of a replica is lost."""
        source = self.shop.frontend.orders
        ask = source.ask

        async def twice(*args: Any, **options: Any) -> Any:
            await ask(*args, **options)
            return await ask(*args, **options)

        with mock.patch.object(source, "ask", twice):
            lines = {"lines": [{"book": 5, "quantity": 1}]}
            self.assertFalse(self.buy(4)["replayed"])
            self.assertFalse(json.loads(self.ask("/purchase", "POST", lines).body)["replayed"])
            self.assertTrue(self.buy(4, Idempotency_Key="k")["replayed"])
        self.assertEqual([self.get(f"/info/{book}")["count"] for book in (4, 5)], [5, 9])

    def test_a_made_key_is_told_in_errors_too(self) -> None:
        response = self.ask("/purchase/99", "PUT")
        self.assertEqual(
            self.assert_error(response, 404)["key"], response.headers["Idempotency-Key"]
        )

    def test_malformed_keys_are_400(self) -> None:
        for key in ("", "x" * 201, "with space", "tab\tin", "clé"):
            response = self.ask("/purchase/4", "PUT", Idempotency_Key=key)
            self.assertIn("Idempotency-Key", self.assert_error(response, 400)["error"])
        self.assertEqual(self.get("/info/4")["count"], 7)
        self.assertEqual(self.buy(4, Idempotency_Key="x" * 200)["new_count"], 6)
