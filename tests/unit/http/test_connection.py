"""The edge as a public HTTP server: each of its duties, on real sockets."""

from __future__ import annotations

import asyncio

from bazar.http.connection import UNSENT_BYTES, WAITING_BYTES
from tests.patience import PATIENCE_S, until
from tests.unit.http.door import CACHED, EdgeTestCase, get, request


class HitTest(EdgeTestCase):
    async def test_a_hit_never_enters_the_application(self) -> None:
        answer = await self.door.ask(get())
        self.assertEqual((answer.status, answer.body), (200, CACHED))
        self.assertEqual(self.door.settings["seen"], [])
        request_id = answer.headers.pop("X-Request-Id")
        self.assertRegex(request_id, "^[0-9a-f]{32}$")
        self.assertEqual(
            dict(answer.headers.get_all()),
            {
                "Date": "Sun, 09 Sep 2001 01:46:40 GMT",
                "Etag": self.door.rendered.etag.decode() if self.door.rendered else "",
                "X-Cache": "hit",
                "X-Replica": "catalog-1",
                "Cache-Control": "no-cache",
                "X-Content-Type-Options": "nosniff",
                "Content-Type": "application/json; charset=utf-8",
                "Content-Length": str(len(CACHED)),
            },
        )

    async def test_the_application_would_have_said_the_same(self) -> None:
        for lines in ((), ('If-None-Match: "x"',), ("If-None-Match: *",)):
            for method in ("GET", "HEAD"):
                self.door.rendered, kept = None, self.door.rendered
                told = await self.door.ask(request(method, "/cached", *lines), method)
                self.door.rendered = kept
                hit = await self.door.ask(request(method, "/cached", *lines), method)
                for answer in (hit, told):
                    answer.headers.pop("X-Request-Id", None)
                    answer.headers.pop("Date")
                self.assertEqual((hit.status, hit.body), (told.status, told.body))
                self.assertEqual(sorted(hit.headers.get_all()), sorted(told.headers.get_all()))

    async def test_what_is_not_found_is_the_applications(self) -> None:
        self.door.rendered = None
        self.assertEqual((await self.door.ask(get())).body, CACHED)
        self.assertEqual(self.door.settings["seen"], ["/cached"])

    async def test_a_request_id_is_taken_if_it_is_one(self) -> None:
        for given, taken in (
            ("my-id_1.2", True),
            ("x" * 64, True),
            ("x" * 65, False),
            ("a b", False),
            ("\xe4", False),
            ("", False),
        ):
            answer = await self.door.ask(get("/cached", f"x-request-ID:  {given}\t"))
            self.assertEqual(answer.headers["X-Request-Id"] == given, taken, given)

    async def test_made_request_ids_are_unique(self) -> None:
        client = await self.door.client()
        client.send(get() * 20)
        made = {(await client.answer()).headers["X-Request-Id"] for _ in range(20)}
        self.assertEqual(len(made), 20)

    async def test_if_none_match(self) -> None:
        assert self.door.rendered is not None
        etag = self.door.rendered.etag.decode()
        for given, status in (
            (etag, 304),
            (f"W/{etag}", 304),
            ("*", 304),
            (f'"a", W/"b" ,{etag}', 304),
            ('"a", "b"', 200),
            (etag.strip('"'), 200),
            ("", 200),
        ):
            for method in ("GET", "HEAD"):
                asked = request(method, "/cached", f"if-none-match: {given}")
                answer = await self.door.ask(asked, method)
                self.assertEqual(answer.status, status, given)
                self.assertEqual(answer.headers["Etag"], etag)
                self.assertEqual("Content-Type" in answer.headers, status == 200)
                self.assertEqual("Content-Length" in answer.headers, status == 200)

    async def test_head_has_no_body(self) -> None:
        client = await self.door.client()
        client.send(request("HEAD", "/cached") + get("/cached", "Connection: close"))
        answer = await client.answer("HEAD")
        self.assertEqual(answer.headers["Content-Length"], str(len(CACHED)))
        self.assertTrue((await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n"))

    async def test_the_date_is_the_second(self) -> None:
        client = await self.door.client()
        for passed, second in ((0.0, 40), (0.7, 40), (0.1, 41), (0.9, 41), (0.1, 42), (30.0, 12)):
            self.door.now += passed
            client.send(get())
            self.assertIn(f":{second:02} GMT", (await client.answer()).headers["Date"])

    async def test_the_unusual_is_the_applications(self) -> None:
        for asked in (
            get("/cached", "If-None-Match: a", "If-None-Match: b"),
            get("/cached", "X-Request-Id: a", "x-request-id: b"),
            get("/cached", "Content-Length: 1") + b"x",
            get("/cached", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        ):
            self.door.settings["seen"].clear()
            self.assertEqual((await self.door.ask(asked)).status, 200)
            self.assertEqual(self.door.settings["seen"], ["/cached"])
        for asked in (
            get("/cached", "Host: b"),
            b"GET /cached HTTP/1.1\r\n\r\n",
            b"GET /cached HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"GET /cached HTTP/1.1\r\nHost: a,b\r\n\r\n",
            b"GET /cached HTTP/1.1\r\nHost: a/b\r\n\r\n",
        ):
            self.assert_refused(await self.door.ask(asked), 400, "bad_request")

    async def test_header_names_have_no_case_and_fields_may_change(self) -> None:
        client = await self.door.client()
        for _ in range(2):
            for host, status in ((b"HOST:a", 200), (b"hOsT: \t[::1]:80 ", 200), (b"Host:%41", 200)):
                client.send(b"GET /cached HTTP/1.1\r\n%b\r\nIf-NONE-match: *\r\n\r\n" % host)
                self.assertEqual((await client.answer()).status, 304)
                client.send(b"GET /cached HTTP/1.1\r\n%b\r\n\r\n" % host)
                self.assertEqual((await client.answer()).status, status)
        self.assertEqual(self.door.settings["seen"], [])


class ConnectionsTest(EdgeTestCase):
    async def test_a_connection_is_kept_or_closed(self) -> None:
        for target in ("/cached", "/other"):
            for version, connection, kept, said in (
                ("1.1", None, True, None),
                ("1.1", "keep-alive", True, None),
                ("1.1", "close", False, "close"),
                ("1.0", None, False, None),
                ("1.0", "keep-alive", True, "Keep-Alive"),
            ):
                lines = [] if connection is None else [f"Connection: {connection}"]
                client = await self.door.client()
                client.send(get(target, *lines, version=version))
                answer = await client.answer()
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers.get("Connection"), said)
                if kept:
                    client.send(get("/cached", "Connection: close"))
                    self.assertEqual((await client.answer()).status, 200)
                self.assertEqual(await client.rest(), b"")

    async def test_one_that_waits_keeps_nothing_of_its_last_head(self) -> None:
        client = await self.door.client()
        client.send(request("PUT", "/"))
        await client.answer()
        connection = await self.door.connection()
        await until(lambda: connection.idle_since is not None, "it waits")
        self.assertIsNone(connection._parser.headers)

    async def test_answers_come_in_order(self) -> None:
        targets = [f"/{number}" if number % 3 else "/cached" for number in range(200)]
        client = await self.door.client()
        client.send(b"".join(get(target) for target in targets))
        for target in targets:
            answer = await client.answer()
            told = "/cached" if answer.body == CACHED else answer.json["uri"]
            self.assertEqual(told, target)

    async def test_what_follows_a_request_waits_for_its_answer(self) -> None:
        """A cached read behind a purchase must see the purchase."""
        client = await self.door.client()
        client.send(get("/waits") + get())
        await self.door.settings["waiting"].wait()
        self.door.rendered = None  # as the purchase would have it
        self.door.settings["let"].set()
        self.assertEqual((await client.answer()).body, b"let\n")
        await client.answer()
        self.assertEqual(self.door.settings["seen"], ["/cached"])

    async def test_a_client_that_only_writes_is_not_read_for_ever(self) -> None:
        client = await self.door.client(receive_buffer=4096)
        total = 8 * (WAITING_BYTES + UNSENT_BYTES)
        client.send(get() * (total // len(get())))
        connection = await self.door.connection()
        await until(lambda: len(connection._parser) > WAITING_BYTES, "it stops reading")
        transport = connection._transport
        await until(lambda: not transport.is_reading(), "it stops reading")
        self.assertLess(len(connection._parser), WAITING_BYTES + (1 << 19))
        self.assertLess(transport.get_write_buffer_size(), 2 * UNSENT_BYTES)
        client.read_quickly()
        await client.hits(total // len(get()))
        self.assertTrue(transport.is_reading())

    async def test_behind_a_slow_request_reading_stops(self) -> None:
        client = await self.door.client()
        count = 8 * WAITING_BYTES // len(get())
        client.send(get("/waits") + get() * count)
        connection = await self.door.connection()
        await until(lambda: len(connection._parser) > WAITING_BYTES, "it stops reading")
        await until(lambda: not connection._transport.is_reading(), "it stops reading")
        self.door.settings["let"].set()
        self.assertEqual((await client.answer()).body, b"let\n")
        await client.hits(count)

    async def test_many_requests_at_once_let_others_in(self) -> None:
        greedy, modest = await self.door.client(), await self.door.client()
        greedy.send(get() * 2000)
        modest.send(get())
        self.assertEqual((await modest.answer()).status, 200)
        await greedy.hits(2000)

    async def test_an_offer_of_another_protocol_is_passed_over(self) -> None:
        for lines in (
            ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
            ("upgrade:websocket", "connection:upgrade", "Sec-WebSocket-Version: 13"),
            ("Connection: keep-alive, Upgrade", "Upgrade: TLS/1.2, h2c"),
        ):
            client = await self.door.client()
            for target in ("/cached", "/other"):
                for method in ("GET", "HEAD"):
                    client.send(request(method, target, *lines))
                    answer = await client.answer(method)
                    self.assertEqual(answer.status, 200)
                    self.assertNotIn("Connection", answer.headers)
            for method in ("PUT", "POST", "PATCH"):
                sized = request(method, "/other", *lines, "Content-Length: 5", body=b"a\r\n\r\n")
                coded = request(method, "/other", *lines, "Transfer-Encoding: chunked")
                coded += b"5\r\na\r\n\r\n\r\n0\r\n\r\n"
                client.send(sized + coded + request(method, "/other", *lines))
                bodies = [(await client.answer(method)).json["body"] for _ in range(3)]
                self.assertEqual(bodies, ["a\r\n\r\n", "a\r\n\r\n", ""])
            asks = request("PUT", "/other", *lines, "Content-Length: 2", "Expect: 100-continue")
            client.send(asks)
            self.assertEqual((await client.answer()).status, 100)
            client.send(b"ab")
            self.assertEqual((await client.answer()).json["body"], "ab")
            client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")  # which it must not: it got no 101
            self.assert_refused(await client.answer(), 400, "bad_request")
            self.assertEqual(await client.rest(), b"")

    async def test_nothing_is_read_behind_a_tunnel_that_is_not_there(self) -> None:
        asked = b"CONNECT shop:80 HTTP/1.1\r\nHost: shop:80\r\n\r\n"
        answers = await self.door.talk(asked + get("/smuggled"))
        self.assertTrue(answers.startswith(b"HTTP/1.1 405"), answers)
        self.assertIn(b"Connection: close", answers)
        self.assertEqual(answers.count(b"HTTP/1.1 "), 1)

    async def test_the_last_answer_is_heard_by_a_client_that_still_sends(self) -> None:
        client = await self.door.client()
        client.send(get("/cached", "Connection: close"))
        client.send(b"x" * 300_000)
        self.assertEqual((await client.answer()).body, CACHED)
        self.assertEqual(await client.rest(), b"")

    async def test_a_client_that_never_stops_sending_is_cut_off(self) -> None:
        client = await self.door.client()
        client.send(get("/cached", "Connection: close"))
        with self.assertRaises(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    client.send(b"x" * 100_000)
                    await client.writer.drain()


class BodiesTest(EdgeTestCase):
    async def test_bodies_arrive_whole(self) -> None:
        for body in (b"", b"x", b"\r\n\r\n", b"x" * 1000):
            sized = request("PUT", "/a", f"Content-Length: {len(body)}", body=body)
            pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"
            chunked = request("PUT", "/a", "Transfer-Encoding: chunked", body=chunks)
            for sent in (sized, chunked):
                client = await self.door.client()
                client.send(sent + get("/cached", "Connection: close"))
                self.assertEqual((await client.answer()).json["body"], body.decode())
                self.assertEqual((await client.answer()).body, CACHED)

    async def test_over_the_limit_is_413_even_while_sending(self) -> None:
        for asked in (
            request("PUT", "/a", "Content-Length: 1001"),
            request("PUT", "/a", "Content-Length: 200000", body=b"x" * 200_000),
            request("PUT", "/a", "Content-Length: 1000000000"),
            request(
                "PUT",
                "/a",
                "Transfer-Encoding: chunked",
                body=b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
            ),
        ):
            client = await self.door.client()
            client.send(asked)
            self.assert_refused(await client.answer(), 413, "too_large")
            self.assertEqual(await client.rest(), b"")
        self.assertEqual(self.door.settings["seen"], [])

    async def test_expect_100_continue(self) -> None:
        client = await self.door.client()
        client.send(request("PUT", "/a", "Content-Length: 2", "Expect: 100-continue"))
        self.assertEqual((await client.answer()).status, 100)
        client.send(b"hi")
        self.assertEqual((await client.answer()).json["body"], "hi")
        client.send(request("PUT", "/a", "Content-Length: 2000", "Expect: 100-continue"))
        self.assert_refused(await client.answer(), 413, "too_large")

    async def test_byte_by_byte(self) -> None:
        whole = (
            get()
            + request("PUT", "/a", "Content-Length: 4", body=b"\r\n\r\n")
            + request("HEAD", "/cached")
            + request("PUT", "/b", "Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\n")
            + get("/c")
            + get("/cached", "Connection: close")
        )
        answers = await self.door.talk(whole[at : at + 1] for at in range(len(whole)))
        self.assertEqual(answers.count(b"HTTP/1.1 200 OK"), 6)
        self.assertEqual(self.door.settings["seen"], ["/a", "/b", "/c"])


class RefusalsTest(EdgeTestCase):
    async def test_too_large_a_head(self) -> None:
        limit = self.door.server.state.limits.head_bytes
        room = limit - len(get("/cached", "A: "))
        self.assertEqual((await self.door.ask(get("/cached", "A: " + "x" * room))).status, 200)
        for asked, status, code in (
            (get("/cached", "A: " + "x" * (room + 1)), 431, "headers_too_large"),
            (get("/cached", *["A: b"] * limit), 431, "headers_too_large"),
            (get("/" + "x" * limit), 414, "target_too_long"),
            (b"GET /" + b"x" * 10 * limit, 414, "target_too_long"),
        ):
            self.assert_refused(await self.door.ask(asked), status, code)

    async def test_malformed_is_400_and_closed(self) -> None:
        """test_edge_reader has the whole table."""
        for asked in (
            b"nonsense\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            request("PUT", "/", "Content-Length: 1", "Content-Length: 1", body=b"x"),
            request("PUT", "/", "Content-Length: 1", "Transfer-Encoding: chunked", body=b"x"),
            request("PUT", "/", "Transfer-Encoding: chunked", body=b"zz\r\n\r\n"),
            b"\x16\x03\x01\x02\x00\x01\x00",
        ):
            client = await self.door.client()
            client.send(asked)
            self.assert_refused(await client.answer(), 400, "bad_request")
            client.send(get())
            self.assertEqual(await client.rest(), b"")
        self.assertEqual(self.door.settings["seen"], [])

    async def test_a_refusal_keeps_the_request_id_and_heads_stay_bare(self) -> None:
        answer = await self.door.ask(
            request("PUT", "/", "Content-Length: 1001", "X-Request-Id: mine")
        )
        self.assertEqual(answer.json["request_id"], "mine")
        answers = await self.door.talk(b"HEAD / HTTP/1.1\r\n\r\n")
        self.assertTrue(answers.startswith(b"HTTP/1.1 400 Bad Request\r\n"))
        self.assertTrue(answers.endswith(b"\r\n\r\n"))

    async def test_nothing_behind_a_refused_request_is_taken_for_one(self) -> None:
        smuggled = get("/smuggled")
        for asked in (
            request("PUT", "/", "Content-Length: 0", "Transfer-Encoding: chunked", body=smuggled),
            request("PUT", "/", "Content-Length: 0", f"Content-Length: {len(smuggled)}"),
            request("PUT", "/", "Transfer-Encoding: chunked ,", body=b"0\r\n\r\n"),
            request("PUT", "/", "Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n"),
            request("PUT", "/", "X: y\r\n Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        ):
            answers = await self.door.talk(asked + smuggled)
            self.assertEqual(answers.count(b"HTTP/1.1 "), 1, answers)
            self.assertTrue(answers.startswith(b"HTTP/1.1 400"), answers)
        self.assertEqual(self.door.settings["seen"], [])
