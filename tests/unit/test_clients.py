"""What clients and proxies do that is rare and right, at every port."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.shop import ShopTestCase
from tests.unit.test_frontend import book

H2C = ("Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
WEBSOCKET = ("Connection: upgrade, close", "upgrade: websocket", "Sec-WebSocket-Version: 13")


class ClientsTestCase(ShopTestCase):
    def send(
        self,
        node: str,
        line: str,
        *lines: str,
        host: str | None = "localhost",
        body: bytes = b"",
    ) -> tuple[int, Any]:
        """The status and the JSON that a node answers."""
        head = [f"{line} HTTP/1.1", *lines]
        if host is not None:
            head.append(f"Host: {host}")
        if not any(one.lower().startswith("connection:") for one in lines):
            head.append("Connection: close")
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        answer = self.raw("\r\n".join([*head, "", ""]).encode() + body, node)
        answered, _, content = answer.partition(b"\r\n\r\n")
        plain = b"application/json" in answered
        return int(answered[9:12]), json.loads(content) if plain else content


class UpgradeTest(ClientsTestCase):
    def test_an_offer_is_passed_over_and_the_body_read(self) -> None:
        left = book(5)["count"]
        for offer in (H2C, WEBSOCKET):
            for node in ("frontend-1", "catalog-1", "catalog-2"):
                for _ in range(2):  # missed, and then from the cache
                    status, shown = self.send(node, "GET /info/4", *offer)
                    self.assertEqual((status, shown), (200, book(4)), node)
            for node in ("frontend-1", "order-1", "order-2"):
                status, sold = self.send(node, "PUT /purchase/5", *offer, body=b'{"quantity": 2}')
                left -= 2
                self.assertEqual((status, sold.get("new_count")), (200, left), sold)
                if left < 2:
                    left += self.update(5, count_add=10)["count"] - left


class AbsoluteTest(ClientsTestCase):
    def test_a_whole_url_is_served_as_its_path(self) -> None:
        for url in ("http://localhost", "HTTP://LOCALHOST:80", "https://127.0.0.1:8001"):
            for node in ("frontend-1", "catalog-1", "catalog-2"):
                for _ in range(2):
                    self.assertEqual(self.send(node, f"GET {url}/info/4"), (200, book(4)))
                status, found = self.send(node, f"GET {url}/search?topic=dis&limit=1")
                self.assertEqual((status, found), (200, [book(1)]))
            for node in ("frontend-1", "order-1", "order-2"):
                status, order = self.send(node, f"PUT {url}/purchase/5", body=b'{"quantity": 1}')
                self.assertEqual((status, order["quantity"]), (200, 1))
            status, page = self.send("frontend-1", f"GET {url}")
            self.assertEqual(status, 200)
            self.assertIn(b"<!DOCTYPE html>", page)
            self.assertEqual(self.send("order-1", f"GET {url}/healthz")[0], 200)

    def test_it_is_the_same_answer_to_the_cache(self) -> None:
        self.assertEqual(self.ask("/info/4").headers["X-Cache"], "miss")
        self.send("frontend-1", "GET http://localhost/info/4")
        self.send("frontend-1", "GET http://127.0.0.1/info/4")
        self.assertEqual(self.shop.frontend.status()["shelves"]["local"]["entries"], 1)

    def test_a_url_without_a_host_or_with_more_is_malformed(self) -> None:
        for node in ("frontend-1", "catalog-1", "order-1"):
            for url in ("http:///", "http://a@localhost/", "http://a:b@localhost/",
                        "http://lo cal/", "http://localhost,b/", "http://?a"):  # fmt: skip
                self.assertEqual(self.send(node, f"GET {url}healthz")[0], 400, url)
            self.assertEqual(self.send(node, "GET http://localhost/healthz", host=None)[0], 400)
            self.assertEqual(self.send(node, "GET http://localhost/healthz", "Host: b")[0], 400)
