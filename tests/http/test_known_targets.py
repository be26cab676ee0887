"""What was asked before is answered without a handler, hit or miss, and says the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tornado.httpclient import HTTPResponse

from handlers.base import Handler
from tests.http.shop import TOKEN, ShopTestCase
from tests.http.test_tracing import lines

PATHS = ("/info/4", "/search?topic=dis&limit=2", "/topics", "/", "/books?q=python", "/books/4")
OWN = ("Date", "X-Request-Id", "X-Replica")  # of each answer


@contextmanager
def no_handler(service: Any) -> Iterator[None]:
    """Fail where a handler of this service is made."""
    made = Handler.initialize

    def initialize(self: Handler, service_: Any, *rest: Any, **options: Any) -> None:
        assert service_ is not service, self
        made(self, service_, *rest, **options)

    with mock.patch.object(Handler, "initialize", initialize):
        yield


def shown(response: HTTPResponse) -> tuple[int, bytes, dict[str, str]]:
    headers = {name: value for name, value in response.headers.get_all() if name not in OWN}
    return response.code, response.body, headers


class FrontEndTest(ShopTestCase):
    def test_a_miss_needs_no_handler_and_says_the_same(self) -> None:
        for path in PATHS:
            with self.subTest(path):
                first = self.ask(path)
                self.assertEqual(first.headers["X-Cache"], "miss")
                for source in self.shop.frontend.sources:
                    source.cache.reset()
                with no_handler(self.shop.frontend):
                    again, hit = self.ask(path), self.ask(path)
                self.assertEqual(shown(again), shown(first))
                self.assertEqual(hit.headers.pop("X-Cache"), "hit")
                again.headers.pop("X-Cache")
                self.assertEqual(shown(hit), shown(again))

    def test_it_shows_what_has_changed(self) -> None:
        self.get("/info/4")
        bought = self.buy(4)
        with no_handler(self.shop.frontend):
            found = self.ask("/info/4")
        self.assertEqual(found.headers["X-Cache"], "miss")
        self.assertEqual(json.loads(found.body)["count"], bought["new_count"])

    def test_its_line_says_which_replica_was_asked(self) -> None:
        self.get("/info/4")
        self.buy(4)
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            response = self.ask("/info/4", X_Request_Id="my-id.7")
        told = [one for one in lines(logs.records) if one.get("trace_id") == "my-id.7"]
        number = response.headers["X-Replica"].removeprefix("catalog-")
        notes = {(one["node"], one.get("note")) for one in told}
        note = f"data is not cached - Forwarding request to replica: {number}"
        self.assertEqual(notes, {("frontend-1", note), (response.headers["X-Replica"], "1 items")})
        self.assertIn(
            '{method="GET",node="frontend-1",route="/info/*",status="200"} 2.0',
            self.ask("/metrics", token=TOKEN).body.decode(),
        )

    def test_what_is_no_more_is_told_by_the_handler(self) -> None:
        for path in ("/info/3", "/books/3"):
            self.assertEqual(self.ask(path).code, 200)
        self.ask("/samples", "DELETE", node="catalog-1", token=TOKEN)
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            response = self.ask("/info/3", X_Request_Id="my-id.7")
        body = self.assert_error(response, 404, "not_found")
        self.assertEqual(body["request_id"], "my-id.7")
        [line] = [one for one in lines(logs.records) if one["node"] == "frontend-1"]
        self.assertEqual((line["status"], line["trace_id"]), (404, "my-id.7"))
        self.assertIn("Forwarding request to replica", line["note"])
        page = self.ask("/books/3", Accept="text/html")
        self.assertEqual(page.code, 404)
        self.assertIn("text/html", page.headers["Content-Type"])
        # Its id is the one under which the replica was asked.
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            response = self.ask("/info/3")
        asked = {one["trace_id"] for one in lines(logs.records)}
        self.assertEqual(asked, {response.headers["X-Request-Id"]})

    def test_what_goes_wrong_within_is_a_500_and_in_the_log(self) -> None:
        self.get("/info/4")
        self.buy(4)
        broken = mock.patch.object(self.shop.frontend.catalog, "read", side_effect=KeyError("odd"))
        with broken, self.assertLogs("handlers.base", logging.ERROR) as logs:
            self.assert_error(self.ask("/info/4"), 500)
        self.assertIn("odd", logs.output[0])


class CatalogTest(ShopTestCase):
    def test_a_book_in_memory_needs_no_handler_and_is_the_same(self) -> None:
        for number in (1, 2):
            node, service = f"catalog-{number}", self.shop.catalog(number)
            first = self.ask("/info/4", node=node)
            with no_handler(service):
                again = self.ask("/info/4", node=node)
                self.assertEqual(shown(again), shown(first))
                self.assertEqual(again.headers["X-Replica"], node)
                etag = {"If_None_Match": first.headers["Etag"]}
                self.assertEqual(self.ask("/info/4", node=node, **etag).code, 304)

    def test_a_change_is_shown_at_once(self) -> None:
        nodes = ("catalog-1", "catalog-2")
        for node in nodes:
            self.get("/info/4", node)
        for cost in (71, 72, 73):
            self.update(4, cost=cost)
            for node in nodes:
                with no_handler(self.shop.catalog(int(node[-1]))):
                    for _ in range(2):  # from its row, from memory
                        self.assertEqual(self.get("/info/4", node)["cost"], cost)

    def test_a_replica_that_may_not_answer_says_so(self) -> None:
        leader = self.shop.catalog(1).replica.leader
        assert leader is not None
        follower = {"catalog-1": "catalog-2", "catalog-2": "catalog-1"}[leader.name]
        self.get("/info/4", follower)
        with mock.patch.object(
            self.shop.catalog(int(follower[-1])).replica.subscriber, "lease_until", 0.0
        ):
            self.assert_error(self.ask("/info/4", node=follower), 503, "unavailable")
