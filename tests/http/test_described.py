"""Each node describes itself, to programs and to people, and is asked nothing else."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any, ClassVar

from bazar.errors import answered
from handlers.base import METHODS, Handler, NoRoute
from tests.http.shop import NODES, TOKEN, ShopTestCase


class Page(HTMLParser):
    """What a page names, and what it leads to and loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: set[str] = set()
        self.loads: set[str] = set()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.tags.add(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        href = given.get("href") or ""
        if href.startswith("#"):
            self.anchors.add(href[1:])
        elif tag == "link":
            self.loads.add(href)


class DescriptionTest(ShopTestCase):
    def test_every_node_describes_its_routes(self) -> None:
        for node in NODES:
            response = self.ask("/openapi.json", node=node)
            self.assertEqual(response.code, 200)
            self.assertTrue(response.headers["Content-Type"].startswith("application/json"))
            paths = json.loads(response.body)["paths"]
            for route in self.shop.servers[node].service.routes():
                assert issubclass(route.handler, Handler)
                if not issubclass(route.handler, NoRoute):
                    self.assertTrue(route.handler.operations, route)
                for method, one in route.handler.operations.items():
                    found = [
                        path
                        for path, methods in paths.items()
                        if re.fullmatch(route.pattern, re.sub(r"\{\w+\}", "1", path))
                        and methods.get(method.lower(), {}).get("summary") == one.summary
                    ]
                    self.assertTrue(found, (route.pattern, method))
            again = self.ask("/openapi.json", node=node, If_None_Match=response.headers["Etag"])
            self.assertEqual(again.code, 304)

    def test_a_method_that_is_not_declared_is_not_allowed(self) -> None:
        for node in NODES:
            for route in self.shop.servers[node].service.routes():
                assert issubclass(route.handler, Handler)
                declared = {method.lower() for method in route.handler.operations}
                own = {name for name in METHODS if name in vars(route.handler)}
                self.assertLessEqual(own, declared, route)
        response = self.ask("/info/4", "DELETE")
        self.assert_error(response, 405, "method_not_allowed")
        self.assertEqual(response.headers["Allow"], "GET, HEAD")

    def test_a_page_shows_it_without_scripts(self) -> None:
        for node in NODES:
            response = self.ask("/docs", node=node)
            page = Page(response.body.decode())
            self.assertEqual(response.code, 200)
            self.assertNotIn("unsafe", response.headers["Content-Security-Policy"])
            self.assertFalse(page.tags & {"script", "style", "img", "iframe"})
            self.assertEqual(len(page.ids), len(set(page.ids)))
            self.assertLessEqual(page.anchors, set(page.ids))
            for path in page.loads:
                self.assertEqual(self.ask(path, node=node).code, 200, path)
            for error in answered():
                self.assertIn(f"<code>{error.code}</code>".encode(), response.body)


class WritesTest(ShopTestCase):
    """What is no operation gets into no batch."""

    SELL: ClassVar[dict[str, Any]] = {
        "op": "sell",
        "key": "s",
        "lines": [{"book": 4, "quantity": 1}],
    }

    UPDATE: ClassVar[dict[str, Any]] = {
        "op": "update",
        "key": "u",
        "book": 4,
        "fields": {"cost": 1},
    }

    def write(self, node: str, *items: Any) -> list[Any]:
        response = self.ask("/write", "POST", {"items": items}, node=node, token=TOKEN)
        self.assertEqual(response.code, 200, response.body)
        results: list[Any] = json.loads(response.body)["results"]
        return results

    def test_what_is_no_operation_is_refused_by_itself(self) -> None:
        begin = {"op": "begin", "epoch": 9, "id": "x"}
        bad: tuple[Any, ...] = (
            *(None, [None, None], {}, "sell", 5, begin),
            *({**self.SELL, "lines": [{}]}, {**self.SELL, "key": ""}, {**self.SELL, "lines": 4}),
            *({**self.SELL, "cursor": {"number": -1, "id": None}}, {**self.SELL, "more": 1}),
            *({"op": "update", "key": "u", "book": 4}, {"op": "create", "key": "c", "books": [1]}),
            *({**self.UPDATE, "if_none_match": [5]}, {**self.UPDATE, "if_match": [[]]}),
            {**self.UPDATE, "tell": 1},
            *(
                {**self.SELL, **of, "lines": [*self.SELL["lines"], {"book": 4, "quantity": 2}]}
                for of in ({}, {"op": "cancel", "order_id": "0" * 32})
            ),
        )
        for node in ("catalog-1", "catalog-2"):
            *refused, sold = self.write(node, *bad, {**self.SELL, "key": node})
            for item, result in zip(bad, refused, strict=True):
                self.assertEqual(result.get("error", {}).get("status"), 400, (item, result))
            self.assertIn("answer", sold)
        for node in ("order-1", "order-2"):
            for item in (*bad, self.SELL, {"op": "project"}, {"op": "adopt", "after": 5}):
                [result] = self.write(node, item)
                self.assertEqual(result["error"]["status"], 400, item)
        self.assertEqual(self.get("/info/4")["count"], 5)

    def test_a_bad_read_is_refused_by_itself(self) -> None:
        part = {"op": "search", "topic": "dis", "limit": 1}
        items = [
            *({"op": "info", "book": 10**30}, {"op": "info", "book": -1}, {"op": "info"}, None),
            *({"op": "books", "books": [{}]}, {"op": "books", "books": [10**30]}),
            *({**part, "limit": "x"}, {**part, "after": 5}, {**part, "skip": None}),
            {**part, "limit": 10**30},
        ]
        body = {"items": items}
        response = self.ask("/read", "POST", body, node="catalog-2", token=TOKEN)
        results = json.loads(response.body)["results"]
        self.assertEqual([one["error"]["status"] for one in results], [400] * len(items))
