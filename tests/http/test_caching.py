"""The front end's cache over HTTP: what it keeps, for how long, and what a write drops."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar
from unittest import mock

from tornado.testing import gen_test

from tests.http.shop import TOKEN, ShopTestCase
from tests.http.test_frontend import book
from tests.patience import PATIENCE_S


class CachingTest(ShopTestCase):
    """The reference's cache cases, and where each answer says it came from."""

    def cached(self, path: str) -> str:
        response = self.ask(path)
        self.assertEqual(response.code, 200, response.body)
        verdict: str = response.headers["X-Cache"]
        return verdict

    def test_first_read_misses_and_second_hits(self) -> None:
        first, second = self.ask("/info/1"), self.ask("/info/1")
        self.assertEqual([r.headers["X-Cache"] for r in (first, second)], ["miss", "hit"])
        self.assertEqual(first.body, second.body)
        self.assertEqual(second.headers["X-Replica"], first.headers["X-Replica"])

    def test_a_hit_is_answered_at_the_door(self) -> None:
        """It is found by the bytes of its target: no handler is made for it."""
        self.get("/info/1")
        with mock.patch.object(self.shop.frontend, "answered") as answered:
            self.assertEqual(self.cached("/info/1"), "hit")
        answered.assert_not_called()

    def test_a_search_hits_the_second_time(self) -> None:
        verdicts = [self.cached("/search?topic=under") for _ in range(2)]
        self.assertEqual(verdicts, ["miss", "hit"])

    def test_after_an_update_the_next_read_misses_and_shows_the_new_values(self) -> None:
        self.get("/info/5")
        self.update(5, cost=999, title="A new title")
        response = self.ask("/info/5")
        self.assertEqual(response.headers["X-Cache"], "miss")
        self.assertEqual(
            json.loads(response.body), {**book(5), "cost": 999, "title": "A new title"}
        )

    def test_after_a_purchase_the_next_read_misses_and_shows_the_new_values(self) -> None:
        self.get("/info/4")
        self.buy(4)
        response = self.ask("/info/4")
        self.assertEqual(response.headers["X-Cache"], "miss")
        self.assertEqual(json.loads(response.body), {**book(4), "count": 6})

    def test_after_a_purchase_searches_that_show_the_book_miss(self) -> None:
        self.get("/search?topic=under")
        self.get("/search?topic=dis")
        self.buy(4)
        self.assertEqual(self.cached("/search?topic=dis"), "hit")
        response = self.ask("/search?topic=under")
        self.assertEqual(response.headers["X-Cache"], "miss")
        self.assertEqual({b["id"]: b["count"] for b in json.loads(response.body)}[4], 6)

    def test_after_a_book_changes_its_topic_every_search_misses(self) -> None:
        self.get("/search?topic=under")
        self.get("/search?topic=dis")
        self.update(4, topic="Distributed Systems")
        self.assertEqual([b["id"] for b in self.get("/search?topic=dis")], [1, 2, 4])
        self.assertEqual([b["id"] for b in self.get("/search?topic=under")], [3, 5, 6, 7])

    def test_both_databases_hold_the_same_rows_after_a_purchase(self) -> None:
        bought = self.buy(4)
        self.settle()
        for table in ("books", "topics", "sales", "log"):
            rows = self.shop.rows("catalog-1", table)
            self.assertEqual(rows, self.shop.rows("catalog-2", table))
            self.assertTrue(rows)
        for table in ("orders", "cursors", "log"):
            rows = self.shop.rows("order-1", table)
            self.assertEqual(rows, self.shop.rows("order-2", table))
            self.assertTrue(rows)
        [order] = self.shop.rows("order-1", "orders")
        self.assertEqual(order[0], bought["order_id"])

    def test_errors_are_not_cached(self) -> None:
        for _ in range(2):
            self.assert_error(self.ask("/info/99"), 404)
        self.assertEqual(self.shop.frontend.status()["caches"]["local"]["entries"], 0)
        created = self.ask(
            "/create", "POST", {"title": "t", "topic": "t", "cost": 1, "count": 1},
            node="catalog-1", token=TOKEN,
        )  # fmt: skip
        number = json.loads(created.body)["id"]
        self.assertEqual(self.get(f"/info/{number}")["title"], "t")

    def test_one_book_has_one_cache_key(self) -> None:
        self.assertEqual(self.cached("/info/1"), "miss")
        self.assertEqual(self.cached("/info/%31"), "hit")
        self.assertEqual(self.shop.frontend.status()["caches"]["local"]["entries"], 1)

    def test_invalidate_cache_says_whether_there_was_an_entry(self) -> None:
        self.get("/info/1")
        for path, words in (
            ("/FrontEnd_service/invalidateCache/1", "Cache entry for info_1 invalidated."),
            ("/invalidateCache/1", "No cache entry found for info_1."),
        ):
            response = self.ask(path, token=TOKEN)
            self.assertEqual(response.code, 200)
            self.assertEqual(json.loads(response.body)["message"], words)
        self.assertEqual(self.cached("/info/1"), "miss")
        self.assert_error(self.ask("/invalidateCache/01", token=TOKEN), 400)

    def test_reads_go_round_robin(self) -> None:
        turns = [self.ask(f"/info/{number}").headers["X-Replica"] for number in range(1, 7)]
        self.assertEqual(turns, ["catalog-1", "catalog-2"] * 3)

    def test_purchases_go_round_robin(self) -> None:
        turns = [self.ask("/purchase/5", "PUT").headers["X-Replica"] for _ in range(4)]
        self.assertEqual(turns, ["order-1", "order-2"] * 2)

    @gen_test(timeout=PATIENCE_S)
    async def test_concurrent_misses_are_one_flight(self) -> None:
        paths = [self.get_url("/info/6")] * 8
        responses = await asyncio.gather(*(self.http_client.fetch(path) for path in paths))
        self.assertEqual({r.body for r in responses}, {responses[0].body})
        replicas = {r.headers["X-Replica"] for r in responses}
        self.assertEqual(len(replicas), 1)  # one of them was asked, once
        entries = self.shop.frontend.status()["sources"]["catalog"]
        self.assertEqual(entries["misses"] + entries["hits"], 8)


class SmallCacheTest(ShopTestCase):
    settings: ClassVar[dict[str, Any]] = {"caches": {"local": {"entries": 1, "ttl_s": 300}}}

    def test_with_a_cache_of_one_entry_a_second_book_misses(self) -> None:
        paths = ("/info/1", "/info/1", "/info/2", "/info/1", "/search?topic=dis", "/info/1")
        verdicts = [self.ask(path).headers["X-Cache"] for path in paths]
        self.assertEqual(verdicts, ["miss", "hit", "miss", "miss", "miss", "miss"])


class ShortCacheTest(ShopTestCase):
    settings: ClassVar[dict[str, Any]] = {"caches": {"local": {"entries": 10, "ttl_s": 5}}}

    def test_an_entry_ends_with_its_ttl(self) -> None:
        self.get("/info/1")
        self.shop.pass_time(5)  # its leases last longer
        self.assertEqual(self.ask("/info/1").headers["X-Cache"], "miss")
