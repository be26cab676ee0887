"""Where the reference breaks, and this shop does not: its seven faults, by number.

Those that only a killed process shows are played again on real processes in tests/cluster.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.testing import gen_test

from bazar.replication.store import Answer
from storage.books import info_key
from tests.http.shop import TOKEN, ShopTestCase
from tests.patience import PATIENCE_S, until


class FaultsTest(ShopTestCase):
    async def send(self, node: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
        """A PUT, with the token."""
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers}
        request = HTTPRequest(
            self.shop.url(node, path),
            method="PUT",
            headers=sent,
            body=json.dumps({} if body is None else body),
            request_timeout=PATIENCE_S,
        )
        return await self.http_client.fetch(request, raise_error=False)

    async def read(self, path: str) -> HTTPResponse:
        url = self.shop.url("frontend-1", path)
        return await self.http_client.fetch(url, request_timeout=PATIENCE_S)

    def test_fault_1_a_cached_search_is_invalidated(self) -> None:
        def shown() -> Any:
            return {one["id"]: one["count"] for one in self.get("/search?topic=under")}[4]

        for count in (7, 6, 5):
            self.assertEqual((shown(), shown()), (count, count))
            self.assertEqual(self.ask("/search?topic=under").headers["X-Cache"], "hit")
            self.buy(4)
        self.update(4, count=100)
        self.assertEqual(shown(), 100)

    @gen_test(timeout=2 * PATIENCE_S)
    async def test_fault_2_an_invalidation_that_fails_is_not_forgotten(self) -> None:
        for path in ("/info/4", "/search?topic=under"):
            await self.read(path)
            self.assertEqual((await self.read(path)).headers["X-Cache"], "hit")
        # The front end goes deaf without a word, its lease still running.
        await self.shop.frontend._tasks.close()
        update = asyncio.create_task(self.send("catalog-1", "/update/4", {"count": 70}))
        primary = self.shop.catalog(1).replica.primary
        assert primary is not None
        before = primary.committed

        def only_it_is_waited_for() -> bool:
            acked = {feed.acked for feed in primary.feeds.values()}
            return primary.tail != before and acked == {primary.tail}

        await until(only_it_is_waited_for, "all others have acknowledged")
        self.assertEqual((primary.committed, update.done()), (before, False))
        self.shop.pass_time(1.1 * self.shop.config.replication.lease_s)
        self.assertEqual((await update).code, 200)
        response = await self.read("/info/4")
        self.assertEqual(response.headers["X-Cache"], "pass")
        self.assertEqual(json.loads(response.body)["count"], 70)
        response = await self.read("/search?topic=under")
        self.assertEqual({b["id"]: b["count"] for b in json.loads(response.body)}[4], 70)

    @gen_test(timeout=2 * PATIENCE_S)
    async def test_fault_3_a_stale_fill_is_not_stored(self) -> None:
        service = self.shop.frontend
        cache, shelf, key = service.catalog.cache, service.local, info_key(4)
        has_read, may_store = asyncio.Event(), asyncio.Event()

        async def slow_fetch() -> tuple[Answer, frozenset[str]]:
            """Reads the replica and then takes its time, like a reader that is paused."""
            answer = await self.shop.catalog(2).read({"op": "info", "book": 4})
            has_read.set()
            await may_store.wait()
            return answer, frozenset({key})

        reader = asyncio.create_task(cache.read(shelf, key, frozenset({key}), slow_fetch))
        await has_read.wait()
        self.assertEqual((await self.send("catalog-1", "/update/4", {"count": 1})).code, 200)
        may_store.set()
        answer, verdict = await reader
        self.assertEqual((answer["book"]["count"], verdict), (7, "miss"))  # it began before
        response = await self.read("/info/4")
        self.assertEqual(response.headers["X-Cache"], "miss")
        self.assertEqual(json.loads(response.body)["count"], 1)

    @gen_test(timeout=2 * PATIENCE_S)
    async def test_fault_4_concurrent_updates_leave_the_databases_equal(self) -> None:
        responses = await asyncio.gather(
            *(
                self.send(f"catalog-{1 + number % 2}", "/update/1", {"cost": number})
                for number in range(40)
            )
        )
        self.assertEqual({response.code for response in responses}, {200})
        await self.shop.ready()
        for table in ("books", "topics", "answers", "log"):
            rows = self.shop.rows("catalog-1", table)
            self.assertEqual(rows, self.shop.rows("catalog-2", table))
        digests = {self.shop.catalog(n).replica.core.committed for n in (1, 2)}
        self.assertEqual(len(digests), 1)

    @gen_test(timeout=2 * PATIENCE_S)
    async def test_fault_4_a_replica_that_was_away_holds_the_same_rows_again(self) -> None:
        await self.shop.stop_node("catalog-2")
        for cost in range(5):
            response = await self.send("catalog-1", "/update/1", {"cost": cost})
            self.assertEqual(response.code, 200)
        await self.shop.start_node("catalog-2")
        await self.shop.ready()
        for table in ("books", "answers", "log"):
            self.assertEqual(self.shop.rows("catalog-1", table), self.shop.rows("catalog-2", table))

    @gen_test(timeout=2 * PATIENCE_S)
    async def test_fault_5_concurrent_buyers_do_not_oversell(self) -> None:
        doors = ("frontend-1", "order-1", "order-2")
        responses = await asyncio.gather(
            *(self.send(doors[number % 3], "/purchase/5") for number in range(30))
        )
        self.assertEqual(Counter(r.code for r in responses), {200: 10, 409: 20})
        sold = [json.loads(r.body) for r in responses if r.code == 200]
        self.assertEqual(sorted(one["new_count"] for one in sold), list(range(10)))
        await self.shop.ready()
        for number in (1, 2):
            counts = dict(
                row[:1] + row[5:6] for row in self.shop.rows(f"catalog-{number}", "books")
            )
            self.assertEqual(counts[5], 0)
            orders = {row[0] for row in self.shop.rows(f"order-{number}", "orders")}
            self.assertEqual(orders, {one["order_id"] for one in sold})

    @gen_test(timeout=2 * PATIENCE_S)
    async def test_fault_5_a_retried_purchase_buys_once(self) -> None:
        header = {"Idempotency-Key": "one-purchase"}
        doors = ("frontend-1", "order-1", "order-2")
        responses = await asyncio.gather(
            *(self.send(doors[number % 3], "/purchase/5", **header) for number in range(12))
        )
        answers = [json.loads(response.body) for response in responses]
        self.assertEqual({response.code for response in responses}, {200})
        self.assertEqual({one["new_count"] for one in answers}, {9})
        self.assertEqual(len({one["order_id"] for one in answers}), 1)
        self.assertEqual([one["replayed"] for one in answers].count(False), 1)
        self.assertEqual(len(self.shop.rows("catalog-1", "sales")), 1)

    @gen_test(timeout=2 * PATIENCE_S)
    async def test_fault_6_a_dead_replica_is_skipped_and_used_again(self) -> None:
        await self.shop.stop_node("catalog-2")
        for number in range(1, 8):
            response = await self.read(f"/info/{number}")
            self.assertEqual(response.headers["X-Replica"], "catalog-1")
        self.assertEqual((await self.send("catalog-1", "/update/1", {"cost": 1})).code, 200)
        await self.shop.start_node("catalog-2")
        await self.shop.ready()
        self.assertEqual(self.shop.rows("catalog-1", "books"), self.shop.rows("catalog-2", "books"))
        offset = iter(range(10**6))
        seen: Counter[str] = Counter()
        while seen["catalog-2"] < 3:
            response = await self.read(f"/search?topic=s&offset={next(offset)}")
            seen[response.headers["X-Replica"]] += 1
            self.assertLess(seen.total(), 10_000)

    @gen_test(timeout=2 * PATIENCE_S)
    async def test_fault_6_a_dead_order_replica_is_skipped_and_catches_up(self) -> None:
        await self.shop.stop_node("order-2")
        for _ in range(4):
            response = await self.send("frontend-1", "/purchase/5")
            self.assertEqual((response.code, response.headers["X-Replica"]), (200, "order-1"))
        await self.shop.start_node("order-2")
        await self.shop.ready()
        for table in ("orders", "cursors", "log"):
            self.assertEqual(self.shop.rows("order-1", table), self.shop.rows("order-2", table))
        self.assertEqual(len(self.shop.rows("order-2", "orders")), 4)

    @gen_test(timeout=2 * PATIENCE_S)
    async def test_fault_6_the_shop_goes_on_without_the_first_of_each(self) -> None:
        await self.read("/info/4")
        await self.shop.stop_node("order-1")
        await self.shop.stop_node("catalog-1")
        response = await self.send("frontend-1", "/purchase/4")
        self.assertEqual((response.code, response.headers["X-Replica"]), (200, "order-2"))
        self.assertEqual(json.loads((await self.read("/info/4")).body)["count"], 6)
        self.assertEqual(self.shop.catalog(2).status()["primary"], "catalog-2")
        await self.shop.start_node("catalog-1")
        await self.shop.start_node("order-1")
        await self.shop.ready()
        self.assertEqual(self.shop.rows("catalog-1", "books"), self.shop.rows("catalog-2", "books"))

    def test_fault_7_it_can_be_seen(self) -> None:
        for node in self.shop.config.nodes:
            self.assertEqual(self.get("/healthz", node), {"node": node, "healthy": True})
            self.assertEqual(self.get("/readyz", node), {"node": node, "ready": True})
            status = json.loads(self.ask("/status", node=node, token=TOKEN).body)
            self.assertEqual(status["node"], node)

    def test_fault_7_not_anyone_can_update_or_invalidate(self) -> None:
        self.get("/info/1")
        for node, path, method in (
            ("catalog-1", "/catalog/update/1", "PUT"),
            ("catalog-2", "/catalog2/update/1", "PUT"),
            ("frontend-1", "/FrontEnd_service/invalidateCache/1", "GET"),
        ):
            self.assertEqual(self.ask(path, method, node=node).code, 401)
            self.assertEqual(self.ask(path, method, node=node, token="wrong").code, 403)
        self.assertEqual(self.ask("/info/1").headers["X-Cache"], "hit")

    @gen_test(timeout=2 * PATIENCE_S)
    async def test_a_front_end_without_a_lease_says_that_it_is_not_ready(self) -> None:
        await self.shop.frontend._tasks.close()
        self.shop.pass_time(1.1 * self.shop.config.replication.lease_s)
        request = self.shop.url("frontend-1", "/readyz")
        response = await self.http_client.fetch(request, raise_error=False)
        self.assert_error(response, 503, "unavailable")
        self.assertEqual(response.headers["Retry-After"], "1")
        self.assertEqual((await self.read("/info/1")).headers["X-Cache"], "pass")
