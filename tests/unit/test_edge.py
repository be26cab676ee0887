"""The edge as a public HTTP server: each of its duties, on real sockets."""

from __future__ import annotations

import asyncio
import logging
from typing import ClassVar
from unittest import IsolatedAsyncioTestCase

from bazar.access import AccessLog, LineByLine
from bazar.edge import Limits
from bazar.edge_connection import UNSENT_BYTES, WAITING_BYTES
from tests.unit.door import CACHED, PATIENCE_S, Answer, Client, Door, get, request, until


class EdgeTestCase(IsolatedAsyncioTestCase):
    limits: ClassVar[Limits | None] = None

    async def asyncSetUp(self) -> None:
        self.door = await self.enterAsyncContext(Door(self.limits))

    def assert_refused(self, answer: Answer, status: int, code: str) -> None:
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.json["code"], code)
        self.assertEqual(answer.json["request_id"], answer.headers["X-Request-Id"])
        self.assertTrue(answer.json["error"])
        self.assertEqual(answer.headers["Connection"], "close")
        self.assertEqual(answer.headers["Content-Type"], "application/json; charset=utf-8")
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(answer.headers["Cache-Control"], "no-cache")
        self.assertNotIn("Server", answer.headers)


class HitTest(EdgeTestCase):
    async def test_a_hit_never_enters_the_application(self) -> None:
        answer = await self.door.ask(get())
        self.assertEqual((answer.status, answer.body), (200, CACHED))
        self.assertEqual(self.door.settings["seen"], [])
        request_id = answer.headers.pop("X-Request-Id")
        self.assertRegex(request_id, "^[0-9a-f]{16}$")
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
        total = 40 * (WAITING_BYTES + UNSENT_BYTES)
        client.send(get() * (total // len(get())))
        [connection] = self.door.edge.connections
        await until(lambda: len(connection._reader) > WAITING_BYTES, "it stops reading")
        transport = connection._transport
        await until(lambda: not transport.is_reading(), "it stops reading")
        self.assertLess(len(connection._reader), WAITING_BYTES + (1 << 19))
        self.assertLess(transport.get_write_buffer_size(), 2 * UNSENT_BYTES)
        for _ in range(total // len(get())):
            self.assertEqual((await client.answer()).body, CACHED)
        self.assertTrue(transport.is_reading())

    async def test_behind_a_slow_request_reading_stops(self) -> None:
        client = await self.door.client()
        count = 8 * WAITING_BYTES // len(get())
        client.send(get("/waits") + get() * count)
        [connection] = self.door.edge.connections
        await until(lambda: len(connection._reader) > WAITING_BYTES, "it stops reading")
        await until(lambda: not connection._transport.is_reading(), "it stops reading")
        self.door.settings["let"].set()
        self.assertEqual((await client.answer()).body, b"let\n")
        for _ in range(count):
            self.assertEqual((await client.answer()).body, CACHED)

    async def test_many_requests_at_once_let_others_in(self) -> None:
        greedy, modest = await self.door.client(), await self.door.client()
        greedy.send(get() * 2000)
        modest.send(get())
        self.assertEqual((await modest.answer()).status, 200)
        for _ in range(2000):
            await greedy.answer()

    async def test_upgrades_are_declined_politely(self) -> None:
        for target in ("/cached", "/other"):
            asked = get(target, "Connection: Upgrade", "Upgrade: h2c")
            answers = await self.door.talk(asked + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self.assertTrue(answers.startswith(b"HTTP/1.1 200 OK\r\n"), answers)
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
        limit = self.door.edge.limits.head_bytes
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
            request("GET", "/", "Upgrade: x", "Connection: upgrade", "Content-Length: 3"),
        ):
            answers = await self.door.talk(asked + smuggled)
            self.assertEqual(answers.count(b"HTTP/1.1 "), 1, answers)
            self.assertTrue(answers.startswith(b"HTTP/1.1 400"), answers)
        self.assertEqual(self.door.settings["seen"], [])


class TimeTest(EdgeTestCase):
    limits = Limits(head_s=10, body_s=10, idle_s=60, write_s=30, linger_s=2)

    async def started(self, sent: bytes) -> Client:
        """A client whose bytes have arrived."""
        client = await self.door.client()
        client.send(sent)
        await until(lambda: self.door.edge.connections, "it is connected")
        [connection] = self.door.edge.connections
        stage = "BODY" if b"\r\n\r\n" in sent else "HEAD"
        await until(lambda: f"{stage}>" in f"{connection!r}".upper(), "it is read")
        await until(lambda: len(connection._reader) or stage == "BODY", "it is read")
        return client

    async def test_a_slow_head_is_408(self) -> None:
        client = await self.started(b"GET /cached HT")
        self.door.pass_time(9.9)
        client.send(b"TP/1.1\r\n")
        await asyncio.sleep(0)
        self.door.pass_time(0.2)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json["code"]), (408, "request_timeout"))
        self.assertEqual(await client.rest(), b"")

    async def test_a_slow_second_head_is_408_too(self) -> None:
        client = await self.door.client()
        client.send(get() + b"GET")
        await client.answer()
        [connection] = self.door.edge.connections
        await until(lambda: len(connection._reader), "it is read")
        self.door.pass_time(10.1)
        self.assertEqual((await client.answer()).status, 408)

    async def test_a_slow_body_is_408(self) -> None:
        client = await self.started(request("PUT", "/a", "Content-Length: 3", body=b"x"))
        self.door.pass_time(9.9)
        client.send(b"x")
        self.door.pass_time(0.2)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json["code"]), (408, "request_timeout"))
        self.assertEqual(self.door.settings["seen"], [])

    async def test_an_idle_connection_is_closed(self) -> None:
        for target in ("/cached", "/other"):
            client = await self.door.client()
            client.send(get(target))
            await client.answer()
            self.door.pass_time(59.9)
            client.send(get(target))
            await client.answer()
            self.door.pass_time(59.9)
            self.assertFalse(client.reader.at_eof())
            self.door.pass_time(0.2)
            self.assertEqual(await client.rest(), b"")

    async def test_one_that_never_says_a_word_is_closed(self) -> None:
        client = await self.door.client()
        await until(lambda: self.door.edge.connections, "it is connected")
        self.door.pass_time(10.1)
        self.assertEqual(await client.rest(), b"")

    async def test_the_application_may_take_its_time(self) -> None:
        client = await self.door.client()
        client.send(get("/waits"))
        await self.door.settings["waiting"].wait()
        self.door.pass_time(1000)
        self.door.settings["let"].set()
        self.assertEqual((await client.answer()).body, b"let\n")

    async def test_one_that_does_not_read_is_cut_off(self) -> None:
        client = await self.door.client(receive_buffer=4096)
        client.send(get() * 100_000)
        [connection] = self.door.edge.connections
        await until(lambda: connection.write_deadline < 1e9, "nobody reads")
        self.door.pass_time(29.9)
        self.assertTrue(self.door.edge.connections)
        self.door.pass_time(0.2)
        await until(lambda: not self.door.edge.connections, "it is cut off")

    async def test_the_connection_does_not_linger_for_ever(self) -> None:
        client = await self.door.client()
        client.send(get("/cached", "Connection: close"))
        await client.answer()
        self.assertEqual(await client.rest(), b"")
        self.assertTrue(self.door.edge.connections)  # the client has not closed
        self.door.pass_time(2.1)
        await until(lambda: not self.door.edge.connections, "it is closed")


class CrowdTest(EdgeTestCase):
    limits = Limits(connections=3)

    async def test_one_too_many_is_told_so(self) -> None:
        clients = [await self.door.client() for _ in range(3)]
        for client in clients:
            client.send(get())
            self.assertEqual((await client.answer()).status, 200)
        late = await self.door.client()
        answer = await late.answer()
        self.assert_refused(answer, 503, "unavailable")
        self.assertEqual(answer.headers["Retry-After"], "1")
        await late.close()
        await clients[0].close()
        await until(lambda: len(self.door.edge.connections) == 2, "there is room")
        self.assertEqual((await self.door.ask(get())).status, 200)


class StoppingTest(EdgeTestCase):
    async def test_each_next_answer_says_close(self) -> None:
        for target in ("/cached", "/other"):
            door = await self.enterAsyncContext(Door())
            client = await door.client()
            client.send(get(target))
            self.assertNotIn("Connection", (await client.answer()).headers)
            door.edge.stop()
            client.send(get(target))
            answer = await client.answer()
            self.assertEqual((answer.status, answer.headers["Connection"]), (200, "close"))
            self.assertEqual(await client.rest(), b"")
            await client.close()
            await door.edge.say_goodbye()
            self.assertFalse(door.edge.connections)

    async def test_nobody_new_gets_in(self) -> None:
        self.door.edge.stop()
        with self.assertRaises(OSError):
            await self.door.client()

    async def test_what_is_under_way_is_finished(self) -> None:
        client = await self.door.client()
        client.send(get("/waits"))
        await self.door.settings["waiting"].wait()
        self.door.edge.stop()
        self.door.settings["let"].set()
        answer = await client.answer()
        self.assertEqual((answer.body, answer.headers["Connection"]), (b"let\n", "close"))

    async def test_in_the_end_all_are_closed(self) -> None:
        idle, busy = await self.door.client(), await self.door.client()
        idle.send(get())
        await idle.answer()
        busy.send(get("/waits"))
        await self.door.settings["waiting"].wait()
        self.door.edge.stop()
        await self.door.edge.close_all_connections()
        self.assertFalse(self.door.edge.connections)
        self.assertTrue(self.door.settings["left"].is_set())
        for client in (idle, busy):
            self.assertEqual(await client.rest(), b"")


class StreamsTest(EdgeTestCase):
    async def test_events_leave_as_they_are_written(self) -> None:
        client = await self.door.client()
        client.send(get("/events") + get("/cached", "Connection: close"))
        status, headers = await client.head()
        self.assertEqual((status, headers["Transfer-Encoding"]), (200, "chunked"))
        for event in (b"data: 1\n\n", b"data: 2\n\n"):
            self.door.settings["events"].put_nowait(event)
            self.assertEqual(await client.chunk(), event)
        self.door.settings["events"].put_nowait(None)
        self.assertEqual(await client.chunk(), b"")
        self.assertEqual((await client.answer()).body, CACHED)

    async def test_http_1_0_gets_them_until_the_end(self) -> None:
        client = await self.door.client()
        client.send(get("/events", "Connection: keep-alive", version="1.0"))
        _, headers = await client.head()
        self.assertNotIn("Transfer-Encoding", headers)
        self.assertNotIn("Connection", headers)
        for event in (b"data: 1\n\n", b"data: 2\n\n", None):
            self.door.settings["events"].put_nowait(event)
        self.assertEqual(await client.rest(), b"data: 1\n\ndata: 2\n\n")

    async def test_the_application_hears_when_the_client_goes(self) -> None:
        for target in ("/events", "/waits"):
            self.door.settings["left"].clear()
            client = await self.door.client()
            client.send(get(target))
            await until(lambda: self.door.edge.connections, "it is there")
            if target == "/events":
                await client.head()
            else:
                await self.door.settings["waiting"].wait()
            await client.close()
            async with asyncio.timeout(PATIENCE_S):
                await self.door.settings["left"].wait()
        self.door.settings["let"].set()
        for event in (b"x", None):
            self.door.settings["events"].put_nowait(event)

    async def test_flush_waits_for_a_slow_reader(self) -> None:
        client = await self.door.client(receive_buffer=4096)
        client.send(get("/events"))
        await client.head()
        count = 300
        for _ in range(count):
            self.door.settings["events"].put_nowait(b"x" * 100_000)
        [connection] = self.door.edge.connections
        await until(lambda: connection.write_deadline < 1e9, "nobody reads")
        self.assertLess(self.door.settings["flushed"], count)
        self.assertLess(connection._transport.get_write_buffer_size(), 300_000)
        for _ in range(count):
            self.assertEqual(len(await client.chunk()), 100_000)
        await until(lambda: self.door.settings["flushed"] == count, "all is flushed")
        self.door.settings["events"].put_nowait(None)
        self.assertEqual(await client.chunk(), b"")

    async def test_a_slow_reader_that_goes_ends_the_wait(self) -> None:
        client = await self.door.client(receive_buffer=4096)
        client.send(get("/events"))
        await client.head()
        for _ in range(300):
            self.door.settings["events"].put_nowait(b"x" * 100_000)
        [connection] = self.door.edge.connections
        await until(lambda: connection.write_deadline < 1e9, "nobody reads")
        client.writer.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            await self.door.settings["left"].wait()

    async def test_an_answer_that_is_not_whole_is_cut_off(self) -> None:
        for length in (4, 6):
            with self.assertLogs("tornado", logging.ERROR):
                client = await self.door.client()
                client.send(get(f"/lies?length={length}"))
                answer = await client.rest()
            self.assertNotIn(b"\r\n\r\n12345", answer[: -5 - length])
            self.assertNotEqual(len(answer.partition(b"\r\n\r\n")[2]), length)


class LogTest(EdgeTestCase):
    async def test_hits_are_logged_together(self) -> None:
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            client = await self.door.client()
            client.send(get("/cached", "X-Request-Id: a") + request("HEAD", "/cached"))
            client.send(get("/cached", "If-None-Match: *"))
            for method in ("GET", "HEAD", "GET"):
                await client.answer(method)
            self.door.edge.log.flush()
        [record] = logs.records
        lines = record.getMessage().split("\n")
        self.assertEqual(lines[0], "frontend-1 a GET /cached 200 0.0 ms - data is cached")
        self.assertRegex(lines[1], r"^frontend-1 [0-9a-f]{16} HEAD /cached 200 0\.0 ms - data")
        self.assertRegex(lines[2], r"^frontend-1 [0-9a-f]{16} GET /cached 304 0\.0 ms - data")

    async def test_they_are_written_in_time(self) -> None:
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            await self.door.ask(get())
            await until(lambda: logs.records, "it is written")

    async def test_refusals_are_logged_with_the_reason(self) -> None:
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            await self.door.ask(b"GET / HTTP/1.1\r\nHost: \x85\xe4\r\n\r\n")
            self.door.edge.log.flush()
        self.assertRegex(logs.output[0], r" 400 0\.0 ms - Invalid Host")
        self.assertTrue(logs.records[0].getMessage().isprintable())

    async def test_control_characters_are_escaped_and_many_lines_do_not_wait(self) -> None:
        log = AccessLog("node")
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            for _ in range(1000):
                log.add(b"id", b"GET", b"/a\n\x1b\x9f", 200, 1.25, b"data is cached")
            self.assertEqual(len(logs.records), 1)
            log.flush()
        lines = "\n".join(record.getMessage() for record in logs.records).split("\n")
        self.assertEqual(len(lines), 1000)
        line = r"node id GET /a\x0a\x1b\x9f 200 1.2 ms - data is cached"
        self.assertEqual(set(lines), {line})

    def test_every_line_begins_alike(self) -> None:
        formatter = LineByLine("%(levelname)s: %(message)s")
        record = logging.makeLogRecord({"levelname": "INFO", "msg": "%s", "args": ("a\nb\na",)})
        self.assertEqual(formatter.format(record), "INFO: a\nINFO: b\nINFO: a")
        record = logging.makeLogRecord({"levelname": "INFO", "msg": "a"})
        self.assertEqual(formatter.format(record), "INFO: a")
