"""What is given twice, or where nobody reads it, is refused: whoever sent it meant something."""

from __future__ import annotations

import json
from typing import Any

from tests.http.shop import TOKEN, ShopTestCase
from tests.http.test_frontend import book

BUYING = ("frontend-1", "order-1", "order-2")
SINCE = "If-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT"
PART = "Content-Range: bytes 0-1/20"


class UnreadTest(ShopTestCase):
    def head(self, method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
        head = [
            f"{method} {path} HTTP/1.1",
            "Host: localhost",
            "Connection: close",
            f"Authorization: Bearer {TOKEN}",
            *lines,
        ]
        if body:
            head.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*head, "", ""]).encode() + body

    def assert_refused(self, node: str, request: bytes, status: int, *named: str) -> None:
        with self.subTest(node=node, request=request[:200]):
            head, _, body = self.raw(request, node).partition(b"\r\n\r\n")
            self.assertEqual(int(head[9:12]), status, head + body)
            error = json.loads(body)["error"]
            for name in named:
                self.assertIn(name, error)

    def test_two_headers_where_one_is_meant(self) -> None:
        put = "PUT", "/purchase/4"
        kind = "Content-Type: application/json"
        for node in BUYING:
            for first, second in (("a", "a"), ("a", "b"), ("", "a")):
                keys = f"Idempotency-Key: {first}", f"idempotency-key: {second}"
                self.assert_refused(node, self.head(*put, *keys), 400, "Idempotency-Key")
            request = self.head(*put, kind, kind, body=b"{}")
            self.assert_refused(node, request, 400, "Content-Type")
        update = self.head("PUT", "/update/4", kind, "Authorization: Bearer x", body=b'{"cost": 1}')
        self.assertIn(self.raw(update, "catalog-1")[9:12], (b"400", b"403"))
        self.assertEqual(self.get("/info/4"), book(4))

    def test_a_query_that_nobody_reads(self) -> None:
        for node, path, name in (
            ("frontend-1", "/info/4?quantity=5", "quantity"),
            ("frontend-1", "/info/4?since", "since"),
            ("frontend-1", "/info/4?=", "unknown"),
            ("frontend-1", "/topics?limit=5", "limit"),
            ("frontend-1", "/search?topic=a&Limit=5", "Limit"),
            ("frontend-1", "/search?topic=a&topik=b", "topik"),
            ("frontend-1", "/search?topic=a&%74opic=b", "topic"),
            ("frontend-1", f"/orders/{'0' * 32}?x=", "x"),
            ("frontend-1", "/invalidateCache/4?book=5", "book"),
            ("frontend-1", "/healthz?deep=1", "deep"),
            ("catalog-1", "/catalog/info/4?x=1", "x"),
            ("catalog-2", "/search?topic=a&limit=1&limit=2", "limit"),
            ("catalog-2", "/search?topic=a&limit=1&limit=1", "limit"),
            ("catalog-2", "/status?alone=1", "alone"),
            ("order-1", "/orders?since=5", "since"),
            ("order-2", "/orders?after=1&after=1", "after"),
            ("order-2", "/orders?since=5&after=1", "since"),
        ):
            self.assert_refused(node, self.head("GET", path), 400, name)

    def test_a_write_with_a_query_writes_nothing(self) -> None:
        body = b'{"quantity": 1}'
        kind = "Content-Type: application/json"
        for node in BUYING:
            self.assert_refused(node, self.head("PUT", "/purchase/3?quantity=5"), 400, "quantity")
            request = self.head("PUT", "/purchase/3?quantity=1", kind, body=body)
            self.assert_refused(node, request, 400, "quantity")
            lines = b'{"lines": [{"book": 3}]}'
            request = self.head("POST", "/purchase?key=a", kind, body=lines)
            self.assert_refused(node, request, 400, "key")
        for node in ("catalog-1", "catalog-2"):
            request = self.head("PUT", "/update/3?count=5", kind, body=b'{"cost": 1}')
            self.assert_refused(node, request, 400, "count")
        self.assertEqual(self.get("/info/3"), book(3))

    def test_a_body_where_none_is_read(self) -> None:
        kind = "Content-Type: application/json"
        for node, path in (
            ("frontend-1", "/info/4"),
            ("frontend-1", "/search?topic=a"),
            ("catalog-1", "/info/4"),
            ("order-1", "/orders"),
            ("order-2", "/healthz"),
        ):
            for lines in ((kind,), ()):
                self.assert_refused(node, self.head("GET", path, *lines, body=b"{}"), 400, "body")
            head = self.raw(self.head("HEAD", path, kind, body=b"{}"), node)
            self.assertEqual(head[9:12], b"400")
        self.assertEqual(self.raw(self.head("GET", "/", body=b"x=y"))[9:12], b"400")  # a page
        chunked = self.head("GET", "/info/4", kind, "Transfer-Encoding: chunked")
        self.assert_refused("frontend-1", chunked + b"2\r\n{}\r\n0\r\n\r\n", 400, "body")

    def test_a_body_is_read_as_it_is(self) -> None:
        for node in BUYING:
            for line, name in (
                ("Content-Encoding: gzip", "Content-Encoding"),
                ("Content-Type: application/json; charset=latin-1", "charset"),
                ('Content-Type: application/json; x=1; CHARSET="utf-16"', "charset"),
            ):
                lines = [line]
                if not line.startswith("Content-Type"):
                    lines.append("Content-Type: application/json")
                request = self.head("PUT", "/purchase/3", *lines, body=b"{}")
                self.assert_refused(node, request, 415, name)
        for line in ("Content-Encoding: identity", "X-Nothing: 1"):
            kind = 'Content-Type: application/json; charset="UTF-8"'
            request = self.head("PUT", "/purchase/4", kind, line, body=b"{}")
            self.assertEqual(self.raw(request)[9:12], b"200")

    def test_conditions_that_nobody_heeds(self) -> None:
        for node in BUYING:
            for name in ("If-Match", "If-None-Match"):
                self.assert_refused(node, self.head("PUT", "/purchase/3", f"{name}: *"), 400, name)
            for line in (SINCE, PART):
                request = self.head("PUT", "/purchase/3", line)
                self.assert_refused(node, request, 400, line.partition(":")[0])
        for line in (SINCE, PART):
            kind = "Content-Type: application/json"
            request = self.head("PUT", "/update/3", kind, line, "If-Match: *", body=b'{"count": 1}')
            self.assert_refused("catalog-1", request, 400, line.partition(":")[0])
        self.assertEqual(self.raw(self.head("GET", "/info/3", SINCE))[9:12], b"200")  # RFC 9110
        request = self.head(
            "POST", "/create", "If-None-Match: *", "Content-Type: application/json", body=b"{}"
        )
        self.assert_refused("catalog-1", request, 400, "If-None-Match")
        self.assertEqual(self.get("/info/3"), book(3))

    def test_fields_of_calls_between_nodes(self) -> None:
        body: Any = {"items": [], "itens": []}
        response = self.ask("/read", "POST", body, node="catalog-1", token=TOKEN)
        self.assertIn("itens", self.assert_error(response, 400)["error"])

    def test_pages_let_pass_what_others_add_to_a_link(self) -> None:
        for path in ("/", "/books/4", "/books?topic=dis", "/books?q=rpc", "/basket", "/cluster"):
            more = f"{path}{'&' if '?' in path else '?'}utm_source=a&utm_source=b&fbclid"
            self.assertEqual(self.ask(more).code, 200, path)
            self.assertEqual(self.ask(more).code, 200, path)
