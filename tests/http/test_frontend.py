"""The front end over HTTP: its paths, its turns, and what it is told to refuse."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from urllib.parse import quote

from tests.http.shop import TOKEN, ShopTestCase

STARTING_STOCK = [
    (1, "How to get a good grade in DOS in 40 minutes a day", "Distributed Systems", 1, 4000, 19),
    (2, "RPCs for Noobs", "Distributed Systems", 1, 506, 1),
    (3, "Xen and the Art of Surviving Undergraduate School", "Undergraduate School", 2, 50, 2),
    (4, "Cooking for the Impatient Undergrad", "Undergraduate School", 2, 20, 7),
    (5, "How to finish Project 3 on time", "Undergraduate School", 2, 1200, 10),
    (6, "Why theory classes are so hard", "Undergraduate School", 2, 1500, 10),
    (7, "Spring in the Pioneer Valley", "Undergraduate School", 2, 2500, 10),
]
FIELDS = ("id", "title", "topic", "catalog_id", "cost", "count")


def book(number: int) -> dict[str, Any]:
    return dict(zip(FIELDS, STARTING_STOCK[number - 1], strict=True))


class PathsTest(ShopTestCase):
    def test_info_shows_the_starting_stock(self) -> None:
        for row in STARTING_STOCK:
            self.assertEqual(self.get(f"/FrontEnd_service/info/{row[0]}"), book(row[0]))

    def test_the_prefix_is_optional(self) -> None:
        self.assertEqual(self.get("/info/4"), self.get("/FrontEnd_service/info/4"))
        self.assertEqual(self.ask("/FrontEnd_service/info/4").headers["X-Cache"], "hit")
        for path in ("/search?topic=dis", "/FrontEnd_service/search?topic=dis"):
            self.assertEqual([one["id"] for one in self.get(path)], [1, 2])
        for count, path in ((6, "/purchase/4"), (5, "/FrontEnd_service/purchase/4")):
            response = self.ask(path, "PUT")
            self.assertEqual(json.loads(response.body)["new_count"], count)
        self.assert_error(self.ask("/Other_service/info/4"), 404, "not_found")
        self.assert_error(self.ask("/FrontEnd_service/FrontEnd_service/info/4"), 404)

    def test_search_matches_anywhere_whatever_the_case(self) -> None:
        for topic, found in (
            ("dis", [1, 2]),
            ("DISTRIBUTED SYSTEMS", [1, 2]),
            ("grad", [3, 4, 5, 6, 7]),
            ("s", [1, 2, 3, 4, 5, 6, 7]),
            ("nothing of the kind", []),
        ):
            response = self.ask(f"/search?topic={quote(topic)}")
            self.assertEqual(response.code, 200)
            self.assertEqual([one["id"] for one in json.loads(response.body)], found, topic)
            self.assertNotIn("Link", response.headers)

    def test_search_takes_percent_and_underscore_literally(self) -> None:
        for topic in ("%", "_", "dis%", "d_s", "'", '"', "\\", "*"):
            self.assertEqual(self.get(f"/search?topic={quote(topic)}"), [], topic)
        self.update(7, topic="100% _pure_ 'joy'")
        for topic in ("%", "_", "0% _p", "'joy'"):
            self.assertEqual([b["id"] for b in self.get(f"/search?topic={quote(topic)}")], [7])

    def test_search_folds_case_beyond_ascii(self) -> None:
        self.update(7, topic="Élan VITAL und Straße")
        for topic in ("élan", "ÉLAN", "E\N{COMBINING ACUTE ACCENT}lan", "STRASSE", "straße"):
            found = self.get(f"/search?topic={quote(topic)}")
            self.assertEqual([one["id"] for one in found], [7], topic)

    def test_search_without_topic_is_400(self) -> None:
        for query in ("", "?", "?topic=", "?Topic=dis", "?topic=dis&topic=under"):
            body = self.assert_error(self.ask(f"/search{query}"), 400, "bad_request")
            self.assertIn("topic", body["error"])

    def test_search_is_paged_with_link(self) -> None:
        seen: list[int] = []
        path = "/search?topic=grad&limit=2"
        pages = 0
        while True:
            response = self.ask(path)
            self.assertEqual(response.code, 200)
            seen += [one["id"] for one in json.loads(response.body)]
            pages += 1
            if "Link" not in response.headers:
                break
            target, _, relation = response.headers["Link"].partition(">; ")
            self.assertEqual(relation, 'rel="next"')
            path = target.removeprefix("<")
        self.assertEqual((seen, pages), ([3, 4, 5, 6, 7], 3))

    def test_the_next_page_keeps_the_prefix_and_the_topic(self) -> None:
        self.update(1, topic="R&D <new> 100%")
        self.update(2, topic="R&D <new> 100%")
        topic = quote("R&D <new>")
        response = self.ask(f"/FrontEnd_service/search?topic={topic}&limit=1")
        target = response.headers["Link"].partition(">")[0].removeprefix("<")
        self.assertTrue(target.startswith("/FrontEnd_service/search?"), target)
        self.assertEqual([one["id"] for one in self.get(target)], [2])

    def test_a_cached_page_keeps_its_link(self) -> None:
        first, second = (self.ask("/search?topic=grad&limit=2") for _ in range(2))
        self.assertEqual(second.headers["X-Cache"], "hit")
        self.assertEqual(second.headers["Link"], first.headers["Link"])

    def test_limit_and_offset_have_bounds(self) -> None:
        for query in ("limit=0", "limit=101", "limit=-1", "limit=1.0", "limit=x", "limit=",
                      "limit=1&limit=2", "offset=-1", "offset=01", "offset=1e3", "offset=%20",
                      "offset=10000000000", "limit=%D9%A1"):  # fmt: skip
            body = self.assert_error(self.ask(f"/search?topic=a&{query}"), 400)
            self.assertIn(query[:5], body["error"])
        self.assertEqual(self.get("/search?topic=s&limit=100&offset=7"), [])

    def test_topics(self) -> None:
        self.assertEqual(
            self.get("/topics"),
            [
                {"catalog_id": 1, "topic": "Distributed Systems"},
                {"catalog_id": 2, "topic": "Undergraduate School"},
            ],
        )
        self.assertEqual(self.ask("/topics").headers["X-Cache"], "hit")
        self.update(7, topic="Anything else")
        self.assertEqual(self.get("/topics")[0], {"catalog_id": 3, "topic": "Anything else"})

    def test_purchase_answers_what_was_bought(self) -> None:
        answer = self.buy(4, body={"quantity": 3}, Idempotency_Key="my-key")
        order_id = answer.pop("order_id")
        self.assertRegex(order_id, "^[0-9a-f]{32}$")
        self.assertEqual(
            answer,
            {
                "message": "Purchased book 4",
                "new_count": 4,
                "quantity": 3,
                "cost": 60,
                "key": "my-key",
                "replayed": False,
            },
        )

    def test_purchase_takes_one_without_a_body(self) -> None:
        self.assertEqual([self.buy(4)["new_count"] for _ in range(2)], [6, 5])
        self.assertEqual(self.buy(4, body={})["new_count"], 4)

    def test_order_by_id(self) -> None:
        bought = self.buy(5, body={"quantity": 2})
        order = self.get(f"/orders/{bought['order_id']}")
        self.assertRegex(order.pop("sold_at"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            order,
            {
                "order_id": bought["order_id"],
                "cost": 2400,
                "lines": [
                    {
                        "book": 5,
                        "title": "How to finish Project 3 on time",
                        "quantity": 2,
                        "unit_cost": 1200,
                        "new_count": 8,
                    }
                ],
            },
        )
        self.assertEqual(self.ask(f"/orders/{bought['order_id']}").headers["X-Cache"], "hit")
        self.assert_error(self.ask(f"/orders/{'0' * 32}"), 404, "not_found")
        for bad in ("1", "0" * 31, "0" * 33, bought["order_id"].upper() + "G", "%20"):
            self.assert_error(self.ask(f"/orders/{bad}"), 400, "bad_request")

    def test_an_unknown_book_is_404(self) -> None:
        for method, path in (("GET", "/info/8"), ("GET", "/info/0"), ("PUT", "/purchase/99")):
            self.assert_error(self.ask(path, method), 404, "not_found")
        self.assert_error(self.ask("/info/999999999999999999"), 404)

    def test_out_of_stock_is_409_and_leaves_no_trace(self) -> None:
        self.buy(2)
        for quantity in (1, 1000):
            body = self.assert_error(
                self.ask("/purchase/2", "PUT", {"quantity": quantity}), 409, "out_of_stock"
            )
            self.assertIn("key", body)
        self.assertEqual(self.get("/info/2")["count"], 0)
        self.assert_error(self.ask("/purchase/4", "PUT", {"quantity": 8}), 409)
        self.assertEqual(self.get("/info/4")["count"], 7)
        self.assertEqual(len(self.shop.rows("catalog-1", "sales")), 1)

    def test_wrong_methods_are_405(self) -> None:
        for method, path, allowed in (
            ("GET", "/purchase/4", "PUT"),
            ("HEAD", "/purchase/4", "PUT"),
            ("POST", "/purchase/4", "PUT"),
            ("DELETE", "/info/4", "GET, HEAD"),
            ("PATCH", "/info/4", "GET, HEAD"),
            ("OPTIONS", "/info/4", "GET, HEAD"),
            ("BREW", "/search?topic=a", "GET, HEAD"),
        ):
            response = self.ask(path, method)
            self.assertEqual(response.code, 405, (method, path))
            self.assertEqual(response.headers["Allow"], allowed)
            if method != "HEAD":
                self.assert_error(response, 405, "method_not_allowed")

    def test_an_unknown_path_is_404(self) -> None:
        for path in ("/info", "/info/", "/info/1/", "/info/1/2", "/catalog/info/1", "//info/1",
                     "/favicon.ico", "/.git/config", "/info/..%2f1/x", "/%00"):  # fmt: skip
            self.assert_error(self.ask(path), 404, "not_found")

    def test_health(self) -> None:
        self.assertEqual(self.get("/healthz"), {"node": "frontend-1", "healthy": True})
        self.assertEqual(self.get("/readyz"), {"node": "frontend-1", "ready": True})


class HeadersTest(ShopTestCase):
    def test_every_answer_has_a_request_id(self) -> None:
        first, second = self.ask("/info/1"), self.ask("/info/1")
        self.assertRegex(first.headers["X-Request-Id"], "^[0-9a-f]{32}$")
        self.assertNotEqual(first.headers["X-Request-Id"], second.headers["X-Request-Id"])

    def test_what_a_replica_has_answered_names_it(self) -> None:
        order = self.buy(5)["order_id"]
        for method, path, body, role in (
            ("GET", "/orders", None, "order"),
            ("POST", f"/orders/{order}/cancel", None, "order"),
            ("PUT", "/update/5", {"cost": 3}, "catalog"),
        ):
            response = self.ask(path, method, body, token=TOKEN)
            self.assertEqual(response.code, 200, response.body)
            self.assertRegex(response.headers["X-Replica"], f"^{role}-[12]$")

    def test_a_callers_request_id_is_kept_if_it_is_harmless(self) -> None:
        response = self.ask("/info/99", X_Request_Id="my-id.7")
        self.assertEqual(self.assert_error(response, 404)["request_id"], "my-id.7")
        for bad in ("a b", "x" * 65, "é", '"><script>'):
            given = self.ask("/info/1", X_Request_Id=bad).headers["X-Request-Id"]
            self.assertRegex(given, "^[0-9a-f]{32}$")

    def test_answers_are_json_and_are_not_sniffed(self) -> None:
        for path in ("/info/1", "/search?topic=a", "/info/99", "/nowhere", "/healthz"):
            headers = self.ask(path).headers
            self.assertEqual(headers["Content-Type"], "application/json; charset=utf-8")
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(headers["Cache-Control"], "no-cache")
            self.assertNotIn("Server", headers)

    def test_etag_and_304(self) -> None:
        for path in ("/info/4", "/search?topic=under", "/topics"):
            first = self.ask(path)
            etag = first.headers["Etag"]
            again = self.ask(path, If_None_Match=etag)
            self.assertEqual((again.code, again.body), (304, b""), path)
            self.assertEqual(again.headers["Etag"], etag)
            self.assertEqual(self.ask(path, If_None_Match='"another"').code, 200)
            self.assertEqual(self.ask(path, If_None_Match=f'"x", W/{etag}').code, 304)

    def test_304_never_hides_a_new_value(self) -> None:
        etag = self.ask("/info/4").headers["Etag"]
        self.buy(4)
        response = self.ask("/info/4", If_None_Match=etag)
        self.assertEqual(json.loads(response.body)["count"], 6)
        self.assertNotEqual(response.headers["Etag"], etag)

    def test_an_error_has_no_etag(self) -> None:
        self.assertNotIn("Etag", self.ask("/info/99").headers)
        self.assert_error(self.ask("/info/99", If_None_Match="*"), 404)

    def test_head_is_get_without_a_body(self) -> None:
        for path in ("/info/4", "/search?topic=under", "/topics", "/healthz", "/readyz"):
            with self.assertNoLogs("tornado.application"), self.assertNoLogs("handlers.base"):
                head, get = self.ask(path, "HEAD"), self.ask(path)
            self.assertEqual((head.code, head.body), (200, b""), path)
            self.assertEqual(head.headers["Content-Length"], get.headers["Content-Length"])
            self.assertEqual(head.headers["Etag"], get.headers["Etag"])
        self.assertEqual(self.ask("/info/99", "HEAD").code, 404)

    def test_the_log_line_has_the_references_words(self) -> None:
        def lines(path: str, method: str = "GET") -> str:
            with self.assertLogs("bazar.access", logging.INFO) as logs:
                self.ask(path, method, X_Request_Id="the-id")
            [line] = [one for one in logs.output if "frontend-1" in one]
            self.assertRegex(line, r"frontend-1 the-id 127.0.0.1 \w+ \S+ \d+ \d+\.\d ms - ")
            return line

        missed = lines("/info/1")
        self.assertIn("data is not cached - Forwarding request to replica: 1", missed)
        self.assertIn("Forwarding request to replica: 2", lines("/info/2"))
        hit = lines("/info/1")
        self.assertIn("data is cached", hit)
        self.assertNotIn("Forwarding", hit)
        self.assertIn("data is not cached", lines("/search?topic=dis"))
        self.assertIn("Data retrieved from cache", lines("/search?topic=dis"))
        self.assertIn("Forwarding request to replica: 1", lines("/purchase/4", "PUT"))

    def test_the_log_line_escapes_control_characters(self) -> None:
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            self.raw(b"GET /info/\xc2\x9b1\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertFalse(any(ord(char) < 32 or 127 <= ord(char) < 160 for char in logs.output[0]))


class TogetherTest(ShopTestCase):
    def test_what_leaves_together_goes_to_one_replica_and_the_next_to_the_other(self) -> None:
        service = self.shop.frontend

        async def buy(*keys: str) -> set[str]:
            lines = [{"book": 5, "quantity": 1}]
            bought = (service.buy({"key": key, "lines": lines}, lambda word: None) for key in keys)
            return {replica for _, replica in await asyncio.gather(*bought)}

        async def rounds() -> list[set[str]]:
            return [await buy("a", "b", "c"), await buy("d", "e"), await buy("f")]

        first, second, third = self.io_loop.run_sync(rounds)
        self.assertEqual((len(first), len(second), first), (1, 1, third))
        self.assertNotEqual(first, second)
