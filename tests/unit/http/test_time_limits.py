"""The edge over time: slow and silent clients, crowds, its end, long answers, its log."""

from __future__ import annotations

import asyncio
import logging
import socket

from bazar.http.access_log import AccessLog
from bazar.http.connection import WAITING_BYTES
from bazar.http.response import RawResponse, entity_of
from bazar.http.state import Limits
from bazar.node.log_format import LineByLine
from tests.patience import PATIENCE_S, until
from tests.unit.http.door import (
    CACHED,
    KIND,
    PAGE_HEADERS,
    Door,
    EdgeTestCase,
    RawClient,
    get,
    request,
)


class TimeTest(EdgeTestCase):
    limits = Limits(head_s=10, body_s=10, idle_s=60, write_s=30, linger_s=2)

    async def started(self, sent: bytes) -> RawClient:
        """A client whose bytes have arrived."""
        client = await self.door.client()
        client.send(sent)
        connection = await self.door.connection()
        stage = "BODY" if b"\r\n\r\n" in sent else "HEAD"
        await until(lambda: f"{stage}>" in f"{connection!r}".upper(), "it is read")
        await until(lambda: len(connection._parser) or stage == "BODY", "it is read")
        return client

    async def test_a_slow_head_is_408(self) -> None:
        client = await self.started(b"GET /cached HT")
        connection = await self.door.connection()
        self.door.pass_time(9.9)
        client.send(b"TP/1.1\r\n")
        line = len(b"GET /cached HTTP/1.1\r\n")
        await until(lambda: len(connection._parser) == line, "it is read")
        self.door.pass_time(0.2)
        answer = await client.answer()
        self.assertEqual((answer.status, answer.json["code"]), (408, "request_timeout"))
        self.assertEqual(await client.rest(), b"")

    async def test_a_slow_second_head_is_408_too(self) -> None:
        client = await self.door.client()
        client.send(get() + b"GET")
        await client.answer()
        connection = await self.door.connection()
        await until(lambda: len(connection._parser), "it is read")
        self.door.pass_time(10.1)
        self.assertEqual((await client.answer()).status, 408)

    async def test_a_slow_body_is_408(self) -> None:
        client = await self.started(request("PUT", "/a", "Content-Length: 3", body=b"x"))
        incoming = (await self.door.connection())._parser._incoming
        assert incoming is not None
        await until(lambda: incoming.remaining == 2, "it is read")
        self.door.pass_time(9.9)
        client.send(b"x")
        await until(lambda: incoming.remaining == 1, "it is read")
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
        await until(lambda: self.door.server.connections, "it is connected")
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
        connection = await self.door.connection()
        await until(lambda: connection.outflow.deadline < 1e9, "nobody reads")
        self.door.pass_time(29.9)
        self.assertTrue(self.door.server.connections)

        def cut_off() -> bool:
            self.door.pass_time(0.2)  # again: what its kernel still took has begun a new wait
            over = self.door.now >= connection.outflow.deadline
            self.assertEqual(connection._transport.is_closing(), over)
            return over

        await until(cut_off, "it is cut off")
        await until(lambda: not self.door.server.connections, "it is gone")

    async def test_the_connection_does_not_linger_for_ever(self) -> None:
        client = await self.door.client()
        client.send(get("/cached", "Connection: close"))
        await client.answer()
        self.assertEqual(await client.rest(), b"")
        self.assertTrue(self.door.server.connections)  # the client has not closed
        self.door.pass_time(2.1)
        await until(lambda: not self.door.server.connections, "it is closed")


class CrowdTest(EdgeTestCase):
    limits = Limits(connections=3)

    async def busy(self) -> RawClient:
        """A client whose request is being answered."""
        self.door.settings["waiting"].clear()
        client = await self.door.client()
        client.send(get("/waits"))
        await self.door.settings["waiting"].wait()
        return client

    async def test_one_too_many_is_told_so(self) -> None:
        clients = [await self.busy() for _ in range(3)]
        late = await self.door.client()
        answer = await late.answer()
        self.assert_refused(answer, 503, "unavailable")
        self.assertEqual(answer.headers["Retry-After"], "1")
        await late.close()
        await clients[0].close()
        await until(lambda: any(one._ended for one in self.door.server.connections), "it ended")
        self.door.pass_time(10.1)
        await until(lambda: len(self.door.server.connections) == 2, "there is room")
        self.assertEqual((await self.door.ask(get())).status, 200)

    async def test_whose_answers_are_on_their_way_stays(self) -> None:
        slow = await self.door.client(receive_buffer=4096)
        connection = await self.door.connection()
        # So little that what has been asked for is more than all buffers take.
        kernel: socket.socket = connection._transport.get_extra_info("socket")
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        slow.send(get() * 20_000)
        await until(lambda: len(connection._parser) > WAITING_BYTES, "it has much to do")
        await until(lambda: not connection.outflow.open, "nobody reads")
        await self.busy()
        await self.busy()
        self.assert_refused(await (await self.door.client()).answer(), 503, "unavailable")
        self.assertIn(connection, self.door.server.connections)

    async def test_who_has_waited_longest_makes_room(self) -> None:
        busy = await self.busy()
        used, silent = await self.door.client(), await self.door.client()
        await until(lambda: len(self.door.server.connections) == 3, "they are connected")
        self.door.pass_time(5)
        used.send(get())
        await used.answer()
        for gone in (silent, used):
            self.door.pass_time(1)
            late = await self.door.client()
            late.send(get())
            self.assertEqual((await late.answer()).status, 200)
            self.assertEqual(await gone.rest(), b"")
        self.door.settings["let"].set()
        self.assertEqual((await busy.answer()).status, 200)


class HalfClosedTest(EdgeTestCase):
    """Clients that send all they want, say so, and listen: `nc -N`."""

    async def rest(self, sent: bytes) -> bytes:
        client = await self.door.client()
        client.send(sent)
        client.writer.write_eof()
        return await client.rest()

    async def test_what_was_asked_for_is_answered(self) -> None:
        for targets in (["/cached"], ["/other"], ["/other", "/cached", "/other"]):
            rest = await self.rest(b"".join(map(get, targets)))
            self.assertEqual(rest.count(b"HTTP/1.1 200 OK\r\n"), len(targets), targets)
        await until(lambda: not self.door.server.connections, "all are closed")

    async def test_what_takes_long_too(self) -> None:
        client = await self.door.client()
        client.send(get("/waits"))
        await self.door.settings["waiting"].wait()
        client.writer.write_eof()
        connection = await self.door.connection()
        await until(lambda: connection._ended, "it has heard")
        self.door.settings["let"].set()
        self.assertEqual((await client.answer()).body, b"let\n")
        self.assertEqual(await client.rest(), b"")

    async def test_whoever_listens_gets_all_of_a_long_answer(self) -> None:
        body = b"x" * 8_000_000
        self.door.rendered = RawResponse.of(entity_of(body), PAGE_HEADERS, "long", KIND)
        client = await self.door.client(receive_buffer=4096)
        client.send(get("/cached", "Connection: close"))
        client.writer.write_eof()
        await client.head()
        for _ in range(5):
            self.door.pass_time(2.1)
            await client.reader.readexactly(1_000_000)
        self.assertEqual(len(await client.rest()), 3_000_000)

    async def test_what_was_not_all_sent_is_not(self) -> None:
        for sent in (
            get()[:-2],
            request("PUT", "/a", "Content-Length: 3", body=b"xy"),
            b"",
        ):
            self.assertEqual(await self.rest(sent), b"")
        self.assertEqual(self.door.settings["seen"], [])

    async def test_a_long_answer_is_whole(self) -> None:
        rest = await self.rest(get() * 5000)
        self.assertEqual(rest.count(b"HTTP/1.1 200 OK\r\n"), 5000)


class LeavingTest(EdgeTestCase):
    """Connections that go on in another protocol."""

    async def ask(self, behind: bytes) -> RawClient:
        client = await self.door.client()
        client.send(get() + get("/leaves", "Connection: Upgrade", "Upgrade: odd") + behind)
        self.assertEqual((await client.answer()).body, CACHED)
        await self.door.settings["waiting"].wait()
        return client

    async def said(self, client: RawClient, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await client.reader.readexactly(size)

    async def test_what_came_behind_the_request_is_the_other_protocols(self) -> None:
        for behind in (b"", b"GET /", b"\r\n" * WAITING_BYTES):
            self.door.settings["let"].clear()
            client = await self.ask(behind)
            connection = await self.door.connection()
            least = min(len(behind), WAITING_BYTES + 1)  # then it reads no more
            await until(lambda: len(connection._parser) >= least, "it is read")  # noqa: B023
            self.door.settings["let"].set()
            client.send(b"last")
            said = await self.said(client, len(b"hello " + behind + b"last"))
            self.assertEqual(said, b"hello " + behind + b"last")
            await client.close()

    async def test_it_counts_no_more_and_no_time_runs(self) -> None:
        client = await self.ask(b"")
        self.door.settings["let"].set()
        self.assertEqual(await self.said(client, 6), b"hello ")
        self.assertFalse(self.door.server.connections)
        self.door.pass_time(1000)
        self.door.server.stop()
        await self.door.server.close_all_connections()
        client.send(b"still here")
        self.assertEqual(await self.said(client, 10), b"still here")
        await client.close()
        async with asyncio.timeout(PATIENCE_S):
            await self.door.settings["left"].wait()

    async def test_whoever_has_gone_leaves_nobody_behind(self) -> None:
        client = await self.ask(b"")
        connection = await self.door.connection()
        await client.close()
        await until(lambda: connection._ended, "it sends no more")
        self.door.settings["let"].set()
        async with asyncio.timeout(PATIENCE_S):
            await self.door.settings["left"].wait()
        await until(lambda: not self.door.server.connections, "it is closed")


class StoppingTest(EdgeTestCase):
    async def test_each_next_answer_says_close(self) -> None:
        for target in ("/cached", "/other"):
            door = await self.enterAsyncContext(Door())
            client = await door.client()
            client.send(get(target))
            self.assertNotIn("Connection", (await client.answer()).headers)
            door.server.stop()
            client.send(get(target))
            answer = await client.answer()
            self.assertEqual((answer.status, answer.headers["Connection"]), (200, "close"))
            self.assertEqual(await client.rest(), b"")
            await client.close()
            await door.server.close_gracefully()
            self.assertFalse(door.server.connections)

    async def test_nobody_new_gets_in(self) -> None:
        self.door.server.stop()
        with self.assertRaises(OSError):
            await self.door.client()

    async def test_what_is_under_way_is_finished(self) -> None:
        client = await self.door.client()
        client.send(get("/waits"))
        await self.door.settings["waiting"].wait()
        self.door.server.stop()
        self.door.settings["let"].set()
        answer = await client.answer()
        self.assertEqual((answer.body, answer.headers["Connection"]), (b"let\n", "close"))

    async def test_in_the_end_all_are_closed(self) -> None:
        idle, busy = await self.door.client(), await self.door.client()
        idle.send(get())
        await idle.answer()
        busy.send(get("/waits"))
        await self.door.settings["waiting"].wait()
        self.door.server.stop()
        await self.door.server.close_all_connections()
        self.assertFalse(self.door.server.connections)
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
            connection = await self.door.connection()
            if target == "/events":
                await client.head()
            else:
                await self.door.settings["waiting"].wait()
            await client.close()
            await until(lambda: connection._ended, "it sends no more")  # noqa: B023
            left = self.door.settings["left"]
            if target == "/events":  # nobody takes what is written
                events = self.door.settings["events"]
                await until(lambda: events.put_nowait(b"x") or left.is_set(), "it hears")  # noqa: B023
            else:
                self.door.pass_time(9.9)
                self.assertFalse(left.is_set())
                self.door.pass_time(0.2)
                async with asyncio.timeout(PATIENCE_S):
                    await left.wait()
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
        connection = await self.door.connection()
        await until(lambda: connection.outflow.deadline < 1e9, "nobody reads")
        self.assertLess(self.door.settings["flushed"], count)
        self.assertLess(connection._transport.get_write_buffer_size(), 300_000)
        client.read_quickly()
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
        connection = await self.door.connection()
        await until(lambda: connection.outflow.deadline < 1e9, "nobody reads")
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
            self.door.server.state.log.flush()
        [record] = logs.records
        lines = record.getMessage().split("\n")
        self.assertEqual(lines[0], "frontend-1 a 127.0.0.1 GET /cached 200 0.0 ms - data is cached")
        self.assertRegex(lines[1], r"^frontend-1 [0-9a-f]{32} \S+ HEAD /cached 200 0\.0 ms - data")
        self.assertRegex(lines[2], r"^frontend-1 [0-9a-f]{32} \S+ GET /cached 304 0\.0 ms - data")

    async def test_they_are_written_in_time(self) -> None:
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            await self.door.ask(get())
            await until(lambda: logs.records, "it is written")

    async def test_refusals_are_logged_with_the_reason(self) -> None:
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            await self.door.ask(b"GET / HTTP/1.1\r\nHost: \x85\xe4\r\n\r\n")
            self.door.server.state.log.flush()
        self.assertRegex(logs.output[0], r" 400 0\.0 ms - Invalid Host")
        self.assertTrue(logs.records[0].getMessage().isprintable())

    async def test_control_characters_are_escaped_and_many_lines_do_not_wait(self) -> None:
        log = AccessLog("node")
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            for _ in range(1000):
                log.add(b"id", b"::1", b"GET", b"/a\n\x1b\x9f", 200, 1.25, b"data is cached", KIND)
            self.assertEqual(len(logs.records), 1)
            log.flush()
        lines = "\n".join(record.getMessage() for record in logs.records).split("\n")
        self.assertEqual(len(lines), 1000)
        line = r"node id ::1 GET /a\x0a\x1b\x9f 200 1.2 ms - data is cached"
        self.assertEqual(set(lines), {line})

    async def test_writes_that_are_answered_together_leave_together_and_at_once(self) -> None:
        log = AccessLog("node")
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            for method in (b"GET", b"PUT", b"GET", b"POST", b"GET"):
                log.add(b"id", b"::1", method, b"/", 200, 1.0, b"", KIND)
            await asyncio.sleep(0)
            [record] = logs.records
            self.assertEqual(record.getMessage().count("\n"), 4)
            log.add(b"id", b"::1", b"GET", b"/", 200, 1.0, b"", KIND)
            await asyncio.sleep(0)
            self.assertEqual(len(logs.records), 1)
            log.flush()

    def test_every_line_begins_alike(self) -> None:
        formatter = LineByLine("%(levelname)s: %(message)s")
        record = logging.makeLogRecord({"levelname": "INFO", "msg": "%s", "args": ("a\nb\na",)})
        self.assertEqual(formatter.format(record), "INFO: a\nINFO: b\nINFO: a")
        record = logging.makeLogRecord({"levelname": "INFO", "msg": "a"})
        self.assertEqual(formatter.format(record), "INFO: a")
