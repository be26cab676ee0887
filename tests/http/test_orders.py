"""An order replica over HTTP: buying, and the orders that come of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from storage.books import moment
from storage.history import Position
from storage.sqlite import engine
from storage.sqlite.integrity import find_damage
from storage.sqlite.model import Model
from storage.sqlite.replica_file import reading
from tests.http.shop import TOKEN, ShopTestCase
from tests.patience import PATIENCE_S, until


class OrderTest(ShopTestCase):
    def test_every_path_of_a_purchase(self) -> None:
        paths = (
            ("order-1", "/order_service/purchase/5"),
            ("order-2", "/order_service2/purchase/5"),
            ("order-2", "/order_service2/purchase2/5"),
            ("order-1", "/purchase/5"),
            ("order-2", "/purchase2/5"),
            ("order-1", "/order_service2/purchase2/5"),
        )
        for sold, (node, path) in enumerate(paths, start=1):
            response = self.ask(path, "PUT", node=node)
            self.assertEqual(response.code, 200, response.body)
            self.assertEqual(json.loads(response.body)["message"], "Purchased book 5")
            self.assertEqual(json.loads(response.body)["new_count"], 10 - sold)
            self.assertEqual(response.headers["X-Replica"], node)
        for path in ("/order_service3/purchase/5", "/purchase3/5", "/catalog/purchase/5"):
            self.assert_error(self.ask(path, "PUT", node="order-1"), 404, "not_found")

    def test_an_order_is_at_every_replica_when_it_is_acknowledged(self) -> None:
        bought = self.buy(5, node="order-2", body={"quantity": 2}, Idempotency_Key="k")
        for node, prefix in (
            ("order-1", ""),
            ("order-2", ""),
            ("order-1", "/order_service"),
            ("order-2", "/order_service2"),
            ("frontend-1", ""),
        ):
            order = self.get(f"{prefix}/orders/{bought['order_id']}", node)
            self.assertEqual(order["order_id"], bought["order_id"])
            self.assertEqual(order["cost"], 2400)

    def test_refusals(self) -> None:
        for node in ("order-1", "order-2"):
            for path, body, status, code in (
                ("/purchase/99", None, 404, "not_found"),
                ("/purchase/01", None, 400, "bad_request"),
                ("/purchase/5", {"quantity": 0}, 400, "bad_request"),
                ("/purchase/5", {"quantity": 1001}, 400, "bad_request"),
                ("/purchase/5", {"quantity": 11}, 409, "out_of_stock"),
                ("/purchase/5", {"amount": 1}, 400, "bad_request"),
            ):
                response = self.ask(path, "PUT", body, node=node, Idempotency_Key=f"{node}.{path}")
                self.assertEqual(self.assert_error(response, status, code)["key"], f"{node}.{path}")
        self.assert_error(self.ask("/orders/xyz", node="order-1"), 400, "bad_request")
        self.assert_error(self.ask(f"/orders/{'a' * 32}", node="order-1"), 404, "not_found")

    def test_a_replay_at_the_other_replica_is_the_same_order(self) -> None:
        first = self.buy(4, node="order-1", Idempotency_Key="k")
        again = self.buy(4, node="order-2", Idempotency_Key="k")
        self.assertEqual(again, {**first, "replayed": True})
        response = self.ask("/purchase/5", "PUT", node="order-2", Idempotency_Key="k")
        self.assert_error(response, 422, "key_reused")

    def test_the_listing_goes_on_behind_a_seq(self) -> None:
        bought = [self.buy(5)["order_id"] for _ in range(3)]
        for node in ("order-1", "order-2"):
            listed = json.loads(self.ask("/orders", node=node, token=TOKEN).body)
            self.assertEqual([order["order_id"] for order in listed], bought)
            after = listed[0]["seq"]
            rest = self.ask(f"/orders?after={after}&limit=1", node=node, token=TOKEN)
            self.assertEqual(json.loads(rest.body), listed[1:2])

    def test_the_listing_links_to_its_very_end(self) -> None:
        bought = [self.buy(5)["order_id"] for _ in range(5)]
        for node, path in (("order-1", "/orders"), ("order-2", "/order_service2/orders")):
            seen, link = [], f"{path}?limit=2"
            while link:
                response = self.ask(link, node=node, token=TOKEN)
                seen += [order["order_id"] for order in json.loads(response.body)]
                link = response.headers.get("Link", "").partition(">")[0].removeprefix("<")
                self.assertTrue(link.startswith(f"{path}?limit=2&after=") or not link, link)
            self.assertEqual(seen, bought)

    def test_etag_304_and_head(self) -> None:
        path = f"/orders/{self.buy(5)['order_id']}"
        for node in ("order-1", "order-2", "frontend-1"):
            etag = self.ask(path, node=node).headers["Etag"]
            self.assertEqual(self.ask(path, node=node, If_None_Match=etag).code, 304)
            self.assertEqual(self.ask(path, "HEAD", node=node).headers["Etag"], etag)

    def test_every_sale_is_one_order(self) -> None:
        for number in (1, 4, 5, 5):
            self.buy(number)
        self.settle()
        sales = {row[0] for row in self.shop.rows("catalog-1", "sales")}
        for node in ("order-1", "order-2"):
            orders = [row[0] for row in self.shop.rows(node, "orders")]
            self.assertEqual(set(orders), sales)
            self.assertEqual(len(orders), 4)

    def test_an_order_says_when_it_was_sold(self) -> None:
        self.shop.set_time_of_day_on(3_000_000)
        before, bought, after = self.shop.wall(), self.buy(5), self.shop.wall()
        sold_at = self.get(f"/orders/{bought['order_id']}")["sold_at"]
        self.assertTrue(moment(int(1000 * before)) <= sold_at <= moment(int(1000 * after)), sold_at)

    def test_s2_a_file_that_is_still_checked_tells_no_sales(self) -> None:
        self.buy(4)
        checked = threading.Event()

        def large(path: Path, model: Model) -> str | None:
            with reading("catalog-2", path):  # as the check does, all the time
                checked.wait(PATIENCE_S)
            return find_damage(path, model)

        async def restart() -> None:
            await self.shop.stop_node("catalog-2")
            await self.shop.start_node("catalog-2")

        item = {"after": Position().plain, "wait_ms": 0}
        with mock.patch.multiple(engine, CHECK_S=0.01, find_damage=large):
            self.io_loop.run_sync(restart)
            told = self.ask("/sales", "POST", {"items": [item]}, node="catalog-2", token=TOKEN)
            checked.set()
        [result] = json.loads(told.body)["results"]
        self.assertEqual(result["error"]["status"], 503)
        self.io_loop.run_sync(self.shop.ready)
        told = self.ask("/sales", "POST", {"items": [item]}, node="catalog-2", token=TOKEN)
        [result] = json.loads(told.body)["results"]
        self.assertEqual(len(result["answer"]["changes"]), 1)

    def test_s3_an_order_is_waited_for_in_the_state_as_it_is(self) -> None:
        # As if a snapshot had just taken back what this replica had before (a promotion by force).
        self.buy(4)
        service = self.shop.order(2)
        self.io_loop.run_sync(lambda: until(lambda: len(service._made) == 1, "its order is there"))
        known = service.cursor
        service.cursor = Position(1 << 60)
        self.io_loop.run_sync(service.installed)
        self.assertEqual((service.cursor, len(service._made)), (known, 0))
        self.buy(4, node="order-2")
        self.assertGreater(service.cursor.number, known.number)


class KeyRequiredTest(ShopTestCase):
    settings: ClassVar[dict[str, Any]] = {"purchase": {"require_key": True}}

    def test_a_purchase_without_a_key_is_refused_and_one_with_a_key_is_made(self) -> None:
        lines = {"lines": [{"book": 5}]}
        for number, node in enumerate(("frontend-1", "order-1", "order-2")):
            for path, method, body in (
                ("/purchase/5", "PUT", None),
                ("/purchase/5", "PUT", {"quantity": 1}),
                ("/purchase", "POST", lines),
            ):
                response = self.ask(path, method, body, node=node)
                error = self.assert_error(response, 428, "key_required")
                self.assertIn("Idempotency-Key", error["error"])
                self.assertNotIn("key", error)
            self.buy(5, node=node, Idempotency_Key=f"a{number}")
            made = self.ask("/purchase", "POST", lines, node=node, Idempotency_Key=f"b{number}")
            self.assertEqual(made.code, 200, made.body)
        self.assertEqual(self.get("/info/5")["count"], 4)

    def test_pages_and_other_writes_have_keys_of_their_own(self) -> None:
        self.update(5, cost=3)
        tried = self.ask("/cluster/try", "POST", {"do": "buy", "book": 5})
        self.assertEqual(tried.code, 200, tried.body)
