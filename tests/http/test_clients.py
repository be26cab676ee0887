"""What clients and proxies do that is rare and right, at every port."""

from __future__ import annotations

import json
import logging
import re
from typing import Any, ClassVar

from tests.http.shop import ShopTestCase
from tests.http.test_frontend import book

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
WEBSOCKET = ("Connection: upgrade", "upgrade: websocket", "Sec-WebSocket-Version: 13")


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
        keeps = any(one.lower().startswith("connection:") for one in lines)
        if not keeps:
            head.append("Connection: close")
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        answer = self.raw("\r\n".join([*head, "", ""]).encode() + body, node, one=keeps)
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
        self.update(5, count_add=20)
        for url in ("http://localhost", "HTTP://LOCALHOST:80", "https://127.0.0.1:8001"):
            for node in ("frontend-1", "catalog-1", "catalog-2"):
                for _ in range(2):
                    self.assertEqual(self.send(node, f"GET {url}/info/4"), (200, book(4)))
                status, found = self.send(node, f"GET {url}/search?topic=dis&limit=1")
                self.assertEqual((status, found), (200, [book(1)]))
            for node in ("frontend-1", "order-1", "order-2"):
                status, order = self.send(node, f"PUT {url}/purchase/5", body=b'{"quantity": 2}')
                self.assertEqual((status, order["quantity"]), (200, 2))
            status, page = self.send("frontend-1", f"GET {url}")
            self.assertEqual(status, 200)
            self.assertIn(b"<!DOCTYPE html>", page)
            self.assertEqual(self.send("order-1", f"GET {url}/healthz")[0], 200)

    def test_it_is_the_same_answer_to_the_cache(self) -> None:
        self.assertEqual(self.ask("/info/4").headers["X-Cache"], "miss")
        self.send("frontend-1", "GET http://localhost/info/4")
        self.send("frontend-1", "GET http://127.0.0.1/info/4")
        self.assertEqual(self.shop.frontend.status()["caches"]["local"]["entries"], 1)

    def test_a_url_without_a_host_or_with_more_is_malformed(self) -> None:
        for node in ("frontend-1", "catalog-1", "order-1"):
            for url in ("http:///", "http://a@localhost/", "http://a:b@localhost/",
                        "http://lo cal/", "http://localhost,b/", "http://?a"):  # fmt: skip
                self.assertEqual(self.send(node, f"GET {url}healthz")[0], 400, url)
            self.assertEqual(self.send(node, "GET http://localhost/healthz", host=None)[0], 400)
            self.assertEqual(self.send(node, "GET http://localhost/healthz", "Host: b")[0], 400)


EVIL = ("evil.example", "evil.example:8001", "localhost.evil.example", "127.0.0.1.nip.io",
        "10.0.0.9", "[::2]", "127.0.0.2", "xn--localhost", "localhost..", "shop.example.evil",
        "a.b")  # fmt: skip
OWN = ("localhost", "LocalHost:99", "localhost.", "127.0.0.1", "127.0.0.1:", "[::1]:8001",
       "[0:0::1]", "a", "shop.example", "SHOP.example:1")  # fmt: skip


class HostsTest(ClientsTestCase):
    """A name that may have been led here by another site is not served (DNS rebinding)."""

    settings: ClassVar[dict[str, Any]] = {"public_url": "http://shop.example:8080"}

    def test_every_port_serves_its_own_names_alone(self) -> None:
        for node in ("frontend-1", "catalog-1", "catalog-2", "order-1", "order-2"):
            for path in ("/healthz", "/nothing", "/status"):
                for host in EVIL:
                    status, error = self.send(node, f"GET {path}", host=host)
                    self.assertEqual((status, error["code"]), (421, "misdirected"), (node, host))
                    self.assertIn(host, error["error"])
                status, _ = self.send(node, f"GET http://{EVIL[0]}{path}", host="localhost")
                self.assertEqual(status, 421)
                for host in OWN:
                    self.assertNotEqual(self.send(node, f"GET {path}", host=host)[0], 421, host)
                self.assertEqual(
                    self.send(node, f"GET http://{OWN[0]}/healthz", host=EVIL[0])[0], 200
                )

    def test_what_is_cached_is_served_to_them_alone_too(self) -> None:
        for _ in range(2):
            for path in ("/info/4", "/books/4", "/"):
                self.assertEqual(self.send("frontend-1", f"GET {path}")[0], 200)
                self.assertEqual(self.send("frontend-1", f"GET {path}", host=EVIL[0])[0], 421)
        request = "GET /info/4 HTTP/1.1\r\nHost: {}\r\n\r\n"  # on one connection
        kept = "".join(request.format(host) for host in ("a", "evil", "a", "evil"))
        last = "GET /info/4 HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n"
        answer = self.raw((kept + last).encode())
        statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
        self.assertEqual(statuses, [b"200", b"421", b"200", b"421", b"421"])

    def test_nothing_is_bought_under_another_name(self) -> None:
        body = b'{"quantity": 1}'
        for node in ("frontend-1", "order-1", "order-2"):
            self.assertEqual(self.send(node, "PUT /purchase/4", host=EVIL[0], body=body)[0], 421)
        body = b'{"do": "buy", "book": 4}'
        self.assertEqual(
            self.send("frontend-1", "POST /cluster/try", host=EVIL[0], body=body)[0], 421
        )
        for path in ("/buy", "/basket/buy", "/basket"):
            status, _ = self.send("frontend-1", f"POST {path}", "Origin: http://evil", host="evil")
            self.assertEqual(status, 421)
        self.assertEqual(self.get("/info/4"), book(4))

    def test_http_1_0_needs_no_host(self) -> None:
        for node in ("frontend-1", "order-1"):
            self.assertIn(b" 200 OK", self.raw(b"GET /healthz HTTP/1.0\r\n\r\n", node)[:20])


class ProxyTest(ClientsTestCase):
    """Behind a proxy that names this port, not the shop."""

    settings: ClassVar[dict[str, Any]] = {
        "public_url": "https://Shop.Example:443/",
        "trusted_proxies": ["127.0.0.1", "10.0.0.0/8"],
    }

    def line(self, *lines: str, target: str = "/info/4") -> str:
        """What the log says of this request: the client, method, target and status."""
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            self.send("frontend-1", f"GET {target}", *lines)
        [line] = [
            line
            for record in logs.records
            for line in record.getMessage().split("\n")
            if line.startswith("frontend-1")
        ]
        return " ".join(line.split(" ")[2:6])

    def test_the_log_shows_the_client_that_the_proxy_speaks_for(self) -> None:
        for lines, client in (
            ((), "127.0.0.1"),
            (("X-Forwarded-For: 203.0.113.9",), "203.0.113.9"),
            (("X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.1.2.3",), "203.0.113.9"),
            (("X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.9"), "203.0.113.9"),
            (("X-Forwarded-For: 10.0.0.1, 10.1.2.3",), "10.0.0.1"),
            (("X-Forwarded-For: 203.0.113.9:4711",), "203.0.113.9"),
            (("X-Forwarded-For: nonsense",), "127.0.0.1"),
            (("X-Forwarded-For: 1.1.1.1, unknown, 10.1.2.3",), "10.1.2.3"),
            (("Forwarded: for=203.0.113.9;proto=https",), "203.0.113.9"),
            (('Forwarded: For="[2001:db8::1]:99" ; x="a,b", for=10.0.0.1',), "2001:db8::1"),
            (("Forwarded: for=_hidden",), "127.0.0.1"),
            # A client leaves a quote open, to make what the proxy adds its own word.
            (('Forwarded: for=9.9.9.9;x=", for="[2001:db8::1]"',), "127.0.0.1"),
            (('Forwarded: for=9.9.9.9;x="\\", for="[2001:db8::1]"',), "127.0.0.1"),
            (("Forwarded: " + 15_000 * "a",), "127.0.0.1"),
            (("Forwarded: for=1.1.1.1", "X-Forwarded-For: 1.1.1.1"), "1.1.1.1"),
            (("Forwarded: for=1.1.1.1", "X-Forwarded-For: 203.0.113.9"), "127.0.0.1"),
        ):
            for target in ("/info/4", "/info/4", "/nothing"):
                line = self.line(*lines, target=target)
                status = 404 if target == "/nothing" else 200
                self.assertEqual(line, f"{client} GET {target} {status}", lines)

    def test_the_host_that_the_client_asked_is_the_one_that_counts(self) -> None:
        for lines, status in (
            ((), 421),
            (("X-Forwarded-Host: shop.example",), 200),
            (("X-Forwarded-Host: evil.example",), 421),
            (("Forwarded: host=shop.example;for=1.1.1.1",), 200),
            (("Forwarded: host=evil.example;for=1.1.1.1",), 421),
            (("Forwarded: host=shop.example, host=evil.example;for=1.1.1.1",), 421),
        ):
            for _ in range(2):
                answered = self.send("frontend-1", "GET /info/4", *lines, host="upstream")[0]
                self.assertEqual(answered, status, lines)

    def test_forms_of_the_shop_are_its_own_under_any_name_that_a_proxy_gives_it(self) -> None:
        for lines, host, status in (
            (("Origin: https://shop.example",), "127.0.0.1:8001", 303),
            (("Origin: https://shop.example",), "localhost", 303),
            (("Origin: https://shop.example", "Sec-Fetch-Site: cross-site"), "localhost", 403),
            (("Origin: https://shop.example:8443",), "localhost", 403),
            (("Origin: http://shop.example",), "localhost", 403),
            (("Origin: https://evil.example",), "localhost", 403),
            (("Origin: null",), "localhost", 403),
            (("Origin: http://a:99", "X-Forwarded-Host: a:99"), "localhost", 303),
        ):
            form = "Content-Type: application/x-www-form-urlencoded"
            length = "Content-Length: 6"
            request = "\r\n".join(
                ["POST /basket HTTP/1.1", f"Host: {host}", *lines, form, length,
                 "Connection: close", "", "do=new"]
            )  # fmt: skip
            answer = self.raw(request.encode())
            self.assertEqual(int(answer[9:12]), status, (lines, host))
            if status == 303:
                cookies = re.findall(rb"Set-Cookie: (basket|visitor)=(.*)\r\n", answer)
                self.assertEqual(len(cookies), 2)
                for _, cookie in cookies:
                    self.assertIn(b"secure", cookie.lower())


class StrangerTest(ProxyTest):
    """Whom nobody trusts speaks for nobody."""

    settings: ClassVar[dict[str, Any]] = {"trusted_proxies": ["10.0.0.0/8", "::/0"]}

    def test_the_log_shows_the_client_that_the_proxy_speaks_for(self) -> None:
        for lines in (
            ("X-Forwarded-For: 203.0.113.9",),
            ("Forwarded: for=203.0.113.9",),
            ("Forwarded: for=10.0.0.1",),
        ):
            for _ in range(2):
                self.assertEqual(self.line(*lines), "127.0.0.1 GET /info/4 200")

    def test_the_host_that_the_client_asked_is_the_one_that_counts(self) -> None:
        for line in ("X-Forwarded-Host: localhost", "Forwarded: host=localhost"):
            self.assertEqual(self.send("frontend-1", "GET /info/4", line, host="upstream")[0], 421)
            self.assertEqual(self.send("order-1", "GET /healthz", line, host="upstream")[0], 421)

    def test_forms_of_the_shop_are_its_own_under_any_name_that_a_proxy_gives_it(self) -> None:
        form = "Content-Type: application/x-www-form-urlencoded"
        for host, more, status in (
            ("shop.example", "X: y", 421),
            ("localhost", "X-Forwarded-Host: shop.example", 403),
        ):
            request = (
                f"POST /basket HTTP/1.1\r\nHost: {host}\r\nOrigin: http://shop.example\r\n{more}\r\n"
                f"{form}\r\nContent-Length: 6\r\nConnection: close\r\n\r\ndo=new"
            )
            self.assertEqual(int(self.raw(request.encode())[9:12]), status)
