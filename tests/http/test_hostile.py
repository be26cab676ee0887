"""The whole table of hostile input, on every service that takes it from outside."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from urllib.parse import quote

from bazar.http.state import Limits
from bazar.node.server import MAX_BODY_BYTES
from tests.http.shop import TOKEN, ShopTestCase
from tests.http.test_frontend import book
from tests.patience import PATIENCE_S

SLOWED = ("frontend-1", "catalog-2", "order-1")
SERVICES = (("frontend-1", "/info"), ("catalog-1", "/info"), ("catalog-2", "/catalog2/info"))

BAD_IDS = (
    "١٢", "１", "1_0", "+3", "-3", " 7", "7 ", "01", "00", "1.0", "1e0", "0x1", "", "a", "1\x00",
    "1\n", "9" * 19, "9" * 5000, "½", "²", "\u200b1", "NaN", "None", "1;2", "1,2", "1'", "%31",
)  # fmt: skip

BAD_JSON = (
    b"NaN", b"Infinity", b"1e999", b"[" * 10_000 + b"]" * 10_000, b"null", b"[]", b"1", b'"x"',
    b"{", b"{}x", b"{'quantity': 1}", b"\xef\xbb\xbf{}", b"\xff\xfe{}", b'{"quantity": "\xff"}',
    b"\x00", b"   ", b'{"quantity": 1,}', b"{\"a\":" * 10_000 + b"1" + b"}" * 10_000,
    b'{"\\ud800": 1}', b"// comment\n{}",
)  # fmt: skip

BAD_INTEGERS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"true", b"false", b"1.0", b"1e0",
    b'"1"', b"null", b"[1]", b"{}", b"-1", b"1" * 5000, b"01", b"0x1", b"+1", b"1_0",
)  # fmt: skip

BAD_TEXTS = (
    b'""', b"1", b"null", b"true", b"[]", b"{}", b'"' + b"x" * 501 + b'"', b'"a\\u0000b"',
    b'"a\\nb"', b'"a\\u001fb"', b'"a\\u007fb"', b'"a\\u0085b"', b'"a\\u2028b"', b'"\\ud800"',
    b'"\\udc00\\ud800"', b'"a\x00b"', b'"a\nb"', b'" "', b'"\xed\xa0\x80"',
)  # fmt: skip


class IdsTest(ShopTestCase):
    def test_an_id_has_one_spelling(self) -> None:
        for node, prefix in SERVICES:
            for bad in BAD_IDS:
                with self.subTest(node=node, id=bad[:20]):
                    response = self.ask(f"{prefix}/{quote(bad, safe='')}", node=node)
                    self.assertIn(response.code, (400, 404))
                    self.assert_error(response, response.code)
        self.assertEqual(self.shop.frontend.status()["caches"]["local"]["entries"], 0)

    def test_a_path_that_is_not_utf8(self) -> None:
        for node, prefix in SERVICES:
            self.assert_error(self.ask(f"{prefix}/%ff", node=node), 400)
        answer = self.raw(b"GET /info/\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertIn(answer.split(b" ")[1], (b"400", b"404"))

    def test_a_bad_id_buys_nothing(self) -> None:
        for node in ("frontend-1", "order-1", "order-2"):
            for bad in BAD_IDS:
                with self.subTest(node=node, id=bad[:20]):
                    response = self.ask(f"/purchase/{quote(bad, safe='')}", "PUT", node=node)
                    self.assertIn(response.code, (400, 404))
        self.assertEqual(self.shop.rows("catalog-1", "sales"), [])


class BodiesTest(ShopTestCase):
    def assert_refused(self, node: str, path: str, body: bytes, method: str = "PUT") -> str:
        with self.subTest(node=node, path=path, body=body[:40]):
            response = self.ask(path, method, body, node=node, token=TOKEN)
            error: str = self.assert_error(response, 400, "bad_request")["error"]
            self.assertLess(len(error), 300)
            return error
        return ""

    def test_malformed_json(self) -> None:
        for body in BAD_JSON:
            for node in ("frontend-1", "order-2"):
                self.assert_refused(node, "/purchase/4", body)
            self.assert_refused("catalog-2", "/update/4", body)
            self.assert_refused("catalog-1", "/create", body, "POST")
            self.assert_refused("catalog-1", "/import", body, "POST")
        self.assertEqual(self.get("/info/4"), book(4))

    def test_duplicate_keys(self) -> None:
        self.assert_refused("frontend-1", "/purchase/4", b'{"quantity": 1, "quantity": 1}')
        error = self.assert_refused("catalog-1", "/update/4", b'{"cost": 1, "cost": 2}')
        self.assertIn("cost", error)
        error = self.assert_refused("catalog-1", "/update/4", b'{"cost": 1, "c\\u006fst": 2}')
        self.assertIn("cost", error)

    def test_integers(self) -> None:
        for value in BAD_INTEGERS:
            for node in ("frontend-1", "order-1"):
                self.assert_refused(node, "/purchase/4", b'{"quantity": ' + value + b"}")
            for name in (b"cost", b"count"):
                self.assert_refused("catalog-1", "/update/4", b'{"' + name + b'": ' + value + b"}")
        self.assertEqual(self.get("/info/4"), book(4))

    def test_integers_have_bounds(self) -> None:
        for quantity in (b"0", b"1001", b"9223372036854775808"):
            error = self.assert_refused("frontend-1", "/purchase/4", b'{"quantity":%s}' % quantity)
            self.assertIn("quantity", error)
        for name in ("cost", "count"):
            body = json.dumps({name: 10**12 + 1}).encode()
            self.assertIn(name, self.assert_refused("catalog-1", "/update/4", body))
            self.assertEqual(self.update(4, "catalog-1", **{name: 10**12})[name], 10**12)
            self.assertEqual(self.update(4, "catalog-1", **{name: 0})[name], 0)

    def test_texts(self) -> None:
        for value in BAD_TEXTS:
            for name in (b"title", b"topic"):
                error = self.assert_refused(
                    "catalog-1", "/update/4", b'{"' + name + b'": ' + value + b"}"
                )
                if b"\xed" not in value and b"\x00" not in value and b"\n" not in value:
                    self.assertTrue(name.decode() in error or "surrogate" in error, error)
        self.assertEqual(self.get("/info/4"), book(4))
        self.assertEqual(self.update(4, title="x" * 500)["title"], "x" * 500)

    def test_length_is_counted_in_nfc(self) -> None:
        decomposed = "e\N{COMBINING ACUTE ACCENT}" * 500
        self.assertEqual(self.update(4, title=decomposed)["title"], "\xe9" * 500)

    def test_unknown_fields_are_named(self) -> None:
        for node, path, method in (
            ("frontend-1", "/purchase/4", "PUT"),
            ("order-1", "/purchase/4", "PUT"),
            ("catalog-1", "/update/4", "PUT"),
            ("catalog-1", "/create", "POST"),
            ("catalog-1", "/import", "POST"),
        ):
            error = self.assert_refused(node, path, b'{"colour": "red"}', method)
            self.assertIn("colour", error)
        for name in ("id", "catalog_id", "Cost"):
            body = json.dumps({name: 1}).encode()
            self.assertIn(name, self.assert_refused("catalog-1", "/update/4", body))

    def test_search_topics(self) -> None:
        for node in ("frontend-1", "catalog-1", "catalog-2"):
            for bad in ("", "x" * 501, "a\x00b", "dis\x00", "a\nb", "a\x1fb", "a\x7fb", "a\u2028b"):
                with self.subTest(node=node, topic=bad[:20]):
                    response = self.ask(f"/search?topic={quote(bad)}", node=node)
                    self.assertIn("topic", self.assert_error(response, 400)["error"])
            with self.subTest(node=node, topic="not UTF-8"):
                self.assert_error(self.ask("/search?topic=%ff", node=node), 400)
            # A topic may be as long as that, and its link leads to it.
            self.assertEqual(self.get(f"/search?topic={'x' * 500}", node), [])
            self.assertEqual(self.get(f"/search?topic={quote('é' * 500)}", node), [])
            self.assertEqual(self.get(f"/search?topic={quote('Distributed%20')}", node), [])

    def test_a_body_wants_its_content_type(self) -> None:
        form = "application/x-www-form-urlencoded"
        for kind in ("text/plain", "", form, "application/jsonx"):
            for node in ("frontend-1", "order-1"):
                response = self.ask("/purchase/4", "PUT", b"{}", node=node, Content_Type=kind)
                self.assert_error(response, 415, "unsupported_media_type")
        response = self.ask(
            "/update/4", "PUT", b"{}", node="catalog-1", token=TOKEN, Content_Type="text/json"
        )
        self.assert_error(response, 415, "unsupported_media_type")
        for kind in ("application/json", "Application/JSON; charset=utf-8"):
            self.assertEqual(self.ask("/purchase/4", "PUT", b"{}", Content_Type=kind).code, 200)

    def test_a_body_over_its_limit_is_413(self) -> None:
        fits = b" " * (MAX_BODY_BYTES - 2) + b"{}"
        for node, path in (
            ("frontend-1", "/purchase/5"),
            ("order-1", "/purchase/5"),
            ("catalog-1", "/update/5"),
        ):
            for body in (b" " + fits, b" " * (8 * MAX_BODY_BYTES)):
                with self.subTest(node=node, size=len(body)):
                    response = self.ask(path, "PUT", body, node=node, token=TOKEN)
                    self.assert_error(response, 413, "too_large")
            response = self.ask(path, "PUT", fits, node=node, token=TOKEN)
            self.assertNotEqual(response.code, 413)


class WireTest(ShopTestCase):
    """What an HTTP client won't send."""

    PURCHASE = b"PUT /purchase/5 HTTP/1.1\r\n"

    def assert_refused_and_closed(self, request: bytes, *statuses: bytes) -> None:
        """`raw` returns only when the node has closed the connection."""
        for node in ("frontend-1", "catalog-1", "order-1"):
            with self.subTest(node=node, request=request[:60]):
                answer = self.raw(request, node)
                self.assertIn(answer[9:12], statuses, answer[:200])
                self.assertEqual(answer.count(b"HTTP/1.1"), 1, answer)

    def test_the_raw_tests_themselves_can_succeed(self) -> None:
        answer = self.raw(
            b"PUT /purchase/5 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
        )
        self.assertEqual(answer[9:12], b"200")

    def test_host_is_missing(self) -> None:
        self.assert_refused_and_closed(b"GET /healthz HTTP/1.1\r\n\r\n", b"400")

    def test_two_hosts(self) -> None:
        self.assert_refused_and_closed(
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"
        )

    def test_two_lengths(self) -> None:
        for second in (b"3", b"0", b"02", b"2"):
            self.assert_refused_and_closed(
                self.PURCHASE + b"Host: a\r\nContent-Type: application/json\r\n"
                b"Content-Length: 2\r\nContent-Length: " + second + b"\r\n\r\n{}",
                b"400",
            )

    def test_malformed_lengths(self) -> None:
        for length in (b"-1", b"+2", b"2_0", b"0x2", b"2 2", b"\xd9\xa2", b"2,3", b"9" * 30):
            self.assert_refused_and_closed(
                self.PURCHASE + b"Host: a\r\nContent-Length: " + length + b"\r\n\r\n{}",
                b"400",
                b"413",
            )

    def test_transfer_encoding_with_content_length(self) -> None:
        self.assert_refused_and_closed(
            self.PURCHASE + b"Host: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            b"400",
        )

    def test_unknown_transfer_encoding(self) -> None:
        for encoding in (b"gzip", b"chunked, chunked", b"xchunked", b"identity"):
            self.assert_refused_and_closed(
                self.PURCHASE + b"Host: a\r\nTransfer-Encoding: " + encoding + b"\r\n\r\n",
                b"400",
                b"501",
            )

    def test_malformed_requests(self) -> None:
        for request in (
            b"nonsense\r\n\r\n",
            b"GET /healthz\r\n\r\n",
            b"GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nSpace : x\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
        ):
            self.assert_refused_and_closed(request, b"400")

    def test_a_header_block_over_16_kib(self) -> None:
        for filler in (b"X-Filler: " + b"x" * Limits().head_bytes, b"X: y\r\n" * (16 << 10)):
            request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + filler + b"\r\n\r\n"
            for node in ("frontend-1", "catalog-1", "order-1"):
                answer = self.raw(request, node)
                self.assertIn(answer[9:12], (b"431", b""), answer[:100])

    def test_a_body_that_never_fits_is_cut_off(self) -> None:
        for node in ("frontend-1", "catalog-1", "order-1"):
            answer = self.raw(
                self.PURCHASE + b"Host: a\r\nContent-Length: 1000000000\r\n\r\n{}", node
            )
            self.assertIn(answer[9:12], (b"413", b"400"))

    def test_a_chunked_body_has_the_same_limit(self) -> None:
        head = (
            self.PURCHASE + b"Host: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        self.assertEqual(self.raw(head + b"2\r\n{}\r\n0\r\n\r\n")[9:12], b"200")
        self.assertEqual(self.raw(head + chunk * 2 + b"0\r\n\r\n")[9:12], b"413")

    def test_the_shop_is_unharmed(self) -> None:
        for junk in (
            b"\x00" * 1000,
            b"\x16\x03\x01\x02\x00\x01\x00\x01",
            b"PRI * HTTP/2.0\r\n\r\n",
        ):
            self.raw(junk + b"\r\n\r\n")
        self.assertEqual(self.get("/info/5"), book(5))


class SlowClientTest(ShopTestCase):
    """A client that drips is cut off; here after a tenth of a second instead of ten. That is too
    short for an honest client of a busy machine: whether anything was bought is asked elsewhere."""

    def setUp(self) -> None:
        super().setUp()
        for node in SLOWED:
            state = self.shop.servers[node].http.state
            self.assertEqual((state.limits.head_s, state.limits.body_s), (10, 10))
            state.limits = replace(state.limits, head_s=0.1, body_s=0.1)

    def test_dripping_headers(self) -> None:
        for node in SLOWED:
            status = self.drip(node, b"GET /info/1 HTTP/1.1\r\nHost: a\r\nX: ", b"y")
            self.assertIn(status, (b"", b"408"))

    def test_dripping_body(self) -> None:
        head = (
            b"PUT /purchase/5 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 60000\r\n\r\n"
        )
        for node in SLOWED:
            self.assertIn(self.drip(node, head, b" "), (b"", b"408"))
        self.assertEqual(self.get("/info/5", "catalog-1"), book(5))

    def drip(self, node: str, start: bytes, more: bytes) -> bytes:
        """The status answered to `start` and then `more`, again and again, until cut off."""

        async def talk() -> bytes:
            port = self.shop.node(node).port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answer = asyncio.create_task(reader.read())
            try:
                writer.write(start)
                async with asyncio.timeout(PATIENCE_S):
                    while not answer.done():
                        writer.write(more)
                        await asyncio.wait([answer], timeout=0.01)
                    return (await answer)[9:12]
            except ConnectionError:
                return b""
            finally:
                writer.transport.abort()

        status: bytes = self.io_loop.run_sync(talk)
        return status
