"""A known target whose answer must be fetched: on real sockets, without the application."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from unittest import mock

from bazar.errors import BadRequest, NotFound
from bazar.http.parser import Parser
from bazar.http.response import HEADERS, RawResponse, entity_of
from tests.patience import until
from tests.unit.http.door import CACHED, KIND, EdgeTestCase, RawClient, get, request

FETCHED = b'{"from": "a replica"}\n'
ANSWER = RawResponse.of(entity_of(FETCHED), {**HEADERS, "X-Cache": "miss"}, "not cached", KIND)


class FetchTest(EdgeTestCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        self.door.rendered = None
        self.door.fetched = asyncio.get_running_loop().create_future()
        self.fetched = self.door.fetched

    async def begun(self, *requests: bytes) -> RawClient:
        """Return a client for whose first request an answer is being fetched."""
        client = await self.door.client()
        client.send(b"".join(requests))
        await self.door.fetching.wait()
        return client

    def logged(self) -> bool:
        """Whether there has been a line since this was asked last."""
        log = self.door.server.state.log
        found = bool(log._lines)
        log.flush()
        return found

    async def test_it_is_answered_without_the_application(self) -> None:
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            client = await self.begun(get("/cached", "X-Request-Id: mine"))
            self.door.now += 2.5
            self.fetched.set_result(ANSWER)
            answer = await client.answer()
            self.door.server.state.log.flush()
        self.assertEqual((answer.status, answer.body), (200, FETCHED))
        self.assertEqual(answer.headers["X-Request-Id"], "mine")
        self.assertEqual(answer.headers["X-Cache"], "miss")
        self.assertEqual(answer.headers["Date"], "Sun, 09 Sep 2001 01:46:42 GMT")
        self.assertEqual(self.door.settings["seen"], [])
        [record] = logs.records
        [line] = str(record.msg).splitlines()
        said = "frontend-1 mine 127.0.0.1 GET /cached 200 2500.0 ms - not cached - asks a replica"
        self.assertEqual(line, said)

    async def test_its_trace_is_its_own(self) -> None:
        ids = set()
        for given in ("a", "b", ""):
            self.door.fetching.clear()
            client = await self.begun(get("/cached", f"X-Request-Id: {given}"))
            ids.add(self.door.traced)
            await client.close()
        self.assertEqual(len(ids), 3)
        self.assertLess({"a", "b"}, ids)

    async def test_a_condition_and_head_are_heeded(self) -> None:
        self.fetched.set_result(ANSWER)
        etag = ANSWER.etag.decode()
        answer = await self.door.ask(get("/cached", f"If-None-Match: {etag}"))
        self.assertEqual((answer.status, answer.body), (304, b""))
        answer = await self.door.ask(request("HEAD", "/cached"), "HEAD")
        self.assertEqual(answer.headers["Content-Length"], str(len(FETCHED)))

    async def test_what_follows_waits_for_its_answer(self) -> None:
        client = await self.begun(get(), get("/other"), get())
        self.assertEqual(self.door.settings["seen"], [])
        self.fetched.set_result(ANSWER)
        self.assertEqual((await client.answer()).body, FETCHED)
        self.assertEqual((await client.answer()).json["uri"], "/other")
        self.assertEqual((await client.answer()).body, FETCHED)

    async def test_it_has_no_deadline_of_the_clients(self) -> None:
        client = await self.begun(get())
        self.door.pass_time(3600)
        self.fetched.set_result(ANSWER)
        self.assertEqual((await client.answer()).body, FETCHED)
        self.door.pass_time(self.door.server.state.limits.idle_s)
        self.assertEqual(await client.rest(), b"")

    async def test_a_client_that_has_said_all_gets_its_answer(self) -> None:
        client = await self.begun(get())
        client.writer.write_eof()
        connection = await self.door.connection()
        await until(lambda: connection._ended, "it has heard that")
        self.fetched.set_result(ANSWER)
        self.assertEqual((await client.answer()).body, FETCHED)
        self.assertEqual(await client.rest(), b"")

    async def test_a_client_that_has_gone_is_not_answered_and_in_the_log(self) -> None:
        for fails in (False, True):
            self.door.fetching.clear()
            client = await self.begun(get("/cached", "X-Request-Id: mine"))
            reset = struct.pack("ii", 1, 0)  # without a word, as when its machine fails
            peer: socket.socket = client.writer.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.writer.transport.abort()
            await until(lambda: not self.door.server.connections, "it has gone")
            if fails:
                self.fetched.set_exception(NotFound("no such book"))
                await until(lambda: self.door.settings["seen"], "the application is told")
                [failed] = self.door.settings["failed"]
                self.assertEqual(failed.request_id, "mine")
            else:
                with self.assertLogs("bazar.access", logging.INFO) as logs:
                    self.fetched.set_result(ANSWER)
                    await until(self.logged, "it is in the log")
                self.assertIn("mine 127.0.0.1 GET /cached 200", str(logs.records[0].msg))
                self.door.fetched = self.fetched = asyncio.get_running_loop().create_future()

    async def test_a_node_that_stops_says_so(self) -> None:
        client = await self.begun(get())
        self.door.server.stop()
        self.fetched.set_result(ANSWER)
        answer = await client.answer()
        self.assertEqual((answer.body, answer.headers["Connection"]), (FETCHED, "close"))
        self.assertEqual(await client.rest(), b"")

    async def test_what_fails_is_the_applications_to_tell(self) -> None:
        error = NotFound("no such book")
        self.fetched.set_exception(error)
        client = await self.door.client()
        client.send(get("/cached", "X-Request-Id: mine") + get("/cached"))
        for given in ("mine", ""):
            self.assertEqual((await client.answer()).body, CACHED)
            failed = self.door.settings["failed"].pop()
            self.assertIs(failed.error, error)
            self.assertEqual(failed.notes, ["asks a replica"])
            self.assertEqual(failed.request_id, given or self.door.traced)
            self.assertEqual(failed.spent_s, 0.0)  # time stands still

    async def test_how_long_it_took_to_fail_is_told(self) -> None:
        client = await self.begun(get())
        self.door.now += 1.5
        self.fetched.set_exception(NotFound("no such book"))
        await client.answer()
        [failed] = self.door.settings["failed"]
        self.assertEqual(failed.spent_s, 1.5)
        self.assertGreater(self.door.settings["spent"].pop(), 1.5)

    async def test_what_fails_and_is_no_request_after_all_is_refused(self) -> None:
        self.fetched.set_exception(NotFound("no such book"))
        with mock.patch.object(Parser, "parse", side_effect=BadRequest("not at all")):
            answer = await self.door.ask(get())
        self.assert_refused(answer, 400, "bad_request")


class HitTest(EdgeTestCase):
    async def test_what_is_cached_is_not_fetched(self) -> None:
        self.door.fetched = asyncio.get_running_loop().create_future()
        self.assertEqual((await self.door.ask(get())).body, CACHED)
        self.assertFalse(self.door.fetching.is_set())
