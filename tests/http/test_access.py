"""Who may call what: every route says so, and the cluster token is asked for."""

from __future__ import annotations

import logging
import re
from typing import Any, ClassVar

from bazar.node.server import INTERNAL, PUBLIC, Route
from bazar.rpc.client import CALLS_PATH
from tests.http.shop import NODES, TOKEN, ShopTestCase

DESCRIPTION = {"/openapi.json", "/docs", "/static/1"}
PUBLIC_PATHS = {
    "frontend": {
        "/info/1",
        "/search",
        "/topics",
        "/purchase/1",
        "/purchase",
        "/orders/1",
        "/",
        "/books",
        "/books/1",
        "/buy",
        "/confirm",
        "/receipt",
        "/receipt/1",
        "/receipt/1/undo",
        "/basket",
        "/basket/buy",
        "/static/1",
        "/cluster",
        "/cluster/events",
        "/cluster/try",
        "/keeper/sign-in",
        "/keeper/sign-out",
        "/healthz",
        "/readyz",
        *DESCRIPTION,
    },
    "catalog": {"/info/1", "/search", "/healthz", "/readyz", *DESCRIPTION},
    "order": {"/purchase/1", "/purchase", "/orders/1", "/healthz", "/readyz", *DESCRIPTION},
}
INTERNAL_PATHS = {
    "frontend": {
        "/update/1",
        "/create",
        "/invalidateCache/1",
        "/status",
        "/metrics",
        "/cluster/nodes/1",
        "/orders",
        "/orders/1/cancel",
        "/links/1",
        "/cluster/links",
        "/keeper",
        "/keeper/books",
        "/keeper/books.csv",
        "/keeper/add",
        "/keeper/orders",
        "/keeper/orders.csv",
        "/keeper/orders/1",
        "/keeper/books/1",
    },
    "catalog": {
        "/update/1",
        "/create",
        "/import",
        "/samples",
        "/sales",
        "/feed",
        CALLS_PATH,
        "/read",
        "/write",
        "/status",
        "/metrics",
        "/links/1",
    },
    "order": {
        "/listing",
        "/orders",
        "/orders/1/cancel",
        "/purchases",
        "/cancellations",
        "/feed",
        CALLS_PATH,
        "/read",
        "/write",
        "/status",
        "/metrics",
        "/links/1",
    },
}
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")


def path(route: Route) -> str:
    """A path that the route answers."""
    shown = route.pattern.replace("2?", "").replace("([^/]+)", "1")
    assert re.fullmatch(route.pattern, shown), route
    return shown


class AccessTest(ShopTestCase):
    def routes(self, node: str) -> list[Route]:
        return list(self.shop.servers[node].service.routes())

    def test_every_route_says_public_or_internal(self) -> None:
        for node in NODES:
            for route in self.routes(node):
                self.assertIn(route.access, (PUBLIC, INTERNAL), route)

    def test_nothing_is_public_by_mistake(self) -> None:
        for node, role in NODES.items():
            public = {path(route) for route in self.routes(node) if route.access == PUBLIC}
            self.assertLessEqual(PUBLIC_PATHS[role], public)
            internal = {path(route) for route in self.routes(node) if route.access == INTERNAL}
            self.assertLessEqual(INTERNAL_PATHS[role], internal)
            self.assertFalse(public & internal)

    def test_every_internal_route_is_401_without_and_403_with_a_wrong_token(self) -> None:
        tried = 0
        for node in NODES:
            for route in self.routes(node):
                if route.access != INTERNAL:
                    continue
                for method in METHODS:
                    with self.subTest(node=node, route=route.pattern, method=method):
                        response = self.ask(path(route), method, node=node)
                        self.assertEqual(response.code, 401)
                        self.assertEqual(response.headers["WWW-Authenticate"], "Bearer")
                        response = self.ask(path(route), method, node=node, token="wrong")
                        self.assertEqual(response.code, 403)
                        tried += 1
                response = self.ask(path(route), "PATCH", node=node)
                self.assertIn(response.code, (401, 405))
                self.assert_error(self.ask(path(route), "GET", node=node), 401, "unauthorized")
                response = self.ask(path(route), "GET", node=node, token="wrong")
                self.assert_error(response, 403, "forbidden")
        self.assertGreater(tried, 100)

    def test_prefixes_and_spellings_are_no_way_around(self) -> None:
        for node, shown in (
            ("frontend-1", "/FrontEnd_service/invalidateCache/1"),
            ("catalog-1", "/catalog/update/1"),
            ("catalog-2", "/catalog2/update/1"),
            ("catalog-2", "/catalog/update/%31"),
            ("catalog-1", "/update/1?token=x"),
            ("order-1", "/order_service/orders"),
            ("order-2", "/order_service2/purchases"),
        ):
            self.assert_error(self.ask(shown, node=node), 401, "unauthorized")
        self.assertIn(self.ask("/%75pdate/1", node="catalog-1").code, (401, 404))

    def test_every_public_route_wants_none(self) -> None:
        for node in NODES:
            for route in self.routes(node):
                if route.access == PUBLIC:
                    method = "HEAD" if route.pattern == "/cluster/events" else "GET"  # no end
                    response = self.ask(path(route), method, node=node, token="wrong")
                    self.assertNotIn(response.code, (401, 403), route)

    def test_the_token_is_taken_as_bearer_and_whole(self) -> None:
        for given, status in (
            (f"Bearer {TOKEN}", 200),
            (f"bearer {TOKEN}", 200),
            (f"Basic {TOKEN}", 401),
            (TOKEN, 401),
            ("Bearer", 401),
            ("Bearer ", 401),
            (f"Bearer {TOKEN[:-1]}", 403),
            (f"Bearer {TOKEN}x", 403),
            (f"Bearer {TOKEN.upper()}", 403),
            ("Bearer é", 403),
        ):
            response = self.ask("/status", node="catalog-1", Authorization=given)
            self.assertEqual(response.code, status, given)

    def test_a_wrong_token_changes_nothing(self) -> None:
        self.get("/info/1")
        self.ask("/update/1", "PUT", {"cost": 1}, node="catalog-1", token="wrong")
        self.ask("/invalidateCache/1")
        self.assertEqual(self.ask("/info/1").headers["X-Cache"], "hit")
        self.assertEqual(self.get("/info/1", "catalog-1")["cost"], 4000)

    def test_a_connection_of_frames_wants_the_token(self) -> None:
        upgrade = {"Upgrade": "bazar-frames", "Connection": "Upgrade"}
        for node in ("catalog-1", "catalog-2", "order-1", "order-2"):
            for path in ("/feed", CALLS_PATH):
                self.assert_error(self.ask(path, node=node, **upgrade), 401, "unauthorized")
                response = self.ask(path, node=node, token="wrong", **upgrade)
                self.assert_error(response, 403, "forbidden")


class WhoWasItTest(ShopTestCase):
    """Who is turned away is told what is missing, and the log says who it was."""

    settings: ClassVar[dict[str, Any]] = {"trusted_proxies": ["127.0.0.1"]}

    def test_a_refusal_names_the_header_and_the_log_the_client(self) -> None:
        for path, method, headers, status, words in (
            ("/status", "GET", {}, 401, "Authorization: is missing"),
            ("/status", "GET", {"Authorization": TOKEN}, 401, "Authorization: is of another form"),
            ("/status", "GET", {"Authorization": "Basic YTpi"}, 401, "wants 'Bearer <cluster tok"),
            ("/status", "GET", {"Authorization": "Bearer x"}, 403, "Authorization: is not this"),
            ("/purchase/4", "PUT", {"Origin": "http://evil"}, 403, "Origin: 'http://evil': ano"),
            ("/purchase/4", "PUT", {"Sec_Fetch_Site": "cross-site", "Origin": "null"}, 403,
             "Sec-Fetch-Site: 'cross-site': another site"),
            ("/basket", "POST", {"Origin": "null"}, 403, "Origin: 'null': another site"),
        ):  # fmt: skip
            with self.assertLogs("bazar.access", logging.INFO) as logs:
                response = self.ask(path, method, X_Forwarded_For="203.0.113.9", **headers)
            [line] = logs.records[-1].getMessage().split("\n")
            self.assertIn(f" 203.0.113.9 {method} {path} {status} ", line)
            self.assertEqual(response.code, status)
            self.assertIn(words, line)
            if path != "/basket":  # a page, with words for readers
                self.assertIn(words, self.assert_error(response, status)["error"])
            self.assertNotIn(TOKEN, line)
            self.assertNotIn("YTpi", line)
