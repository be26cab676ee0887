"""Calls between nodes: batches without a timer, and the client against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import unittest
from typing import Any, ClassVar
from unittest import mock

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from bazar import deadlines
from bazar.config import NodeConfig
from bazar.drift import DRIFT
from bazar.errors import (
    BadRequest,
    BazarError,
    Indeterminate,
    OtherToken,
    OutOfStock,
    ShuttingDown,
    Unavailable,
)
from bazar.rpc import client
from bazar.rpc.client import CALLS_PATH, FRESH_S, RPCClient, error_body
from bazar.rpc.frames import SWITCHING, FrameConnection
from tests.patience import PATIENCE_S, until


class Peer(RequestHandler):
    """Another node: says what its path names."""

    async def answer(self) -> None:
        what = self.request.path
        if what == "/echo":
            names = ("Authorization", "Idempotency-Key")
            told = {name: self.request.headers.get(name) for name in names}
            self.write({**told, "method": self.request.method})
        elif what == "/refuses":
            self.set_status(409)
            self.write({"error": "none left", "code": "out_of_stock"})
        elif what == "/strange":
            self.set_status(400)
            self.write({"error": "which?", "code": "bad_request"})
        elif what == "/moved":
            self.redirect("/echo")
        elif what == "/newer":
            self.set_status(418)
            self.write({"error": "tea", "code": "teapot"})
        elif what == "/garbage":
            self.write("<html>")
        elif what == "/hangs":
            await asyncio.Event().wait()

    async def get(self) -> None:
        await self.answer()

    post = put = get


class CallsPeer(RequestHandler):
    """The same, for calls: answers as the path of the call says."""

    async def get(self) -> None:
        assert self.request.headers["Authorization"] == "Bearer the-token"
        self.connection = FrameConnection(self.on_frame)
        stream = self.detach()
        sock = stream.socket.dup()
        stream.close()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(lambda: self.connection, sock)
        transport.write(SWITCHING)

    may_answer: ClassVar[asyncio.Event]

    async def answer_when_it_may(self, number: int) -> None:
        await self.may_answer.wait()
        self.connection.send(json.dumps({"id": number, "results": []}).encode())

    def on_frame(self, frame: bytes) -> None:
        call = json.loads(frame)
        answers: dict[str, Any] = {
            "/items": {
                "primary": "peer-2",
                "results": [
                    {"error": error_body(OutOfStock("none"))} if item == 13 else {"answer": item}
                    for item in call["items"]
                ],
            },
            "/refuses": {"error": error_body(ShuttingDown("not now"))},
            "/short": {"results": [], "primary": None},
            "/odd": {"results": 7},
            "/none": {},
            "/until": {"results": [{"answer": call.get("until")}], "primary": None, "now": 100.0},
        }
        match call["path"]:
            case "/garbage":
                self.connection.send(b"<html>")
            case "/slow":
                self.slow = asyncio.ensure_future(self.answer_when_it_may(call["id"]))
            case "/breaks":
                self.connection.close()
            case path if path in answers:
                self.connection.send(json.dumps({"id": call["id"], **answers[path]}).encode())


class ClientTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        CallsPeer.may_answer = asyncio.Event()
        sockets = bind_sockets(0, "127.0.0.1")
        self.node = NodeConfig("peer-1", "catalog", sockets[0].getsockname()[1])
        self.server = HTTPServer(
            Application([(CALLS_PATH, CallsPeer), ("/.*", Peer)], log_function=lambda handler: None)
        )
        self.server.add_sockets(sockets)
        self.client = RPCClient("the-token", PATIENCE_S)

    async def asyncTearDown(self) -> None:
        self.client.close()
        self.server.stop()
        await self.server.close_all_connections()

    async def test_it_shows_the_token_and_the_key(self) -> None:
        answer = await self.client.call(self.node, "/echo", None, PATIENCE_S)
        shown = {"Authorization": "Bearer the-token", "Idempotency-Key": None}
        self.assertEqual(answer, {**shown, "method": "GET"})
        answer = await self.client.call(self.node, "/echo", {}, PATIENCE_S, key="k")
        self.assertEqual((answer["Idempotency-Key"], answer["method"]), ("k", "POST"))
        answer = await self.client.call(self.node, "/echo", {}, PATIENCE_S, method="PUT")
        self.assertEqual(answer["method"], "PUT")

    async def test_it_asks_no_proxy(self) -> None:
        """Which would be told the token."""
        with socket.socket() as proxy, mock.patch.dict(os.environ):
            proxy.bind(("127.0.0.1", 0))  # it does not listen
            for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
                os.environ[name] = f"http://127.0.0.1:{proxy.getsockname()[1]}"
            os.environ.pop("no_proxy", None)
            os.environ.pop("NO_PROXY", None)
            bodies: tuple[Any, ...] = (None, {})
            for body in bodies:
                answer = await self.client.call(self.node, "/echo", body, PATIENCE_S)
                self.assertEqual(answer["Authorization"], "Bearer the-token")

    async def test_one_that_is_broken_off_is_not_complained_of(self) -> None:
        call = asyncio.create_task(self.client.call(self.node, "/hangs", None, PATIENCE_S))
        await until(lambda: self.server._connections, "it has connected")
        call.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await call
        http = self.client._http
        assert http is not None
        with self.assertNoLogs():
            await self.server.close_all_connections()
            await until(lambda: len(http._free_list) == len(http._curls), "its transfer ends")

    async def test_items_travel_together_and_come_back_one_by_one(self) -> None:
        answers = await asyncio.gather(
            *(self.client.submit(self.node, "/items", item, PATIENCE_S) for item in (1, 13, "é")),
            return_exceptions=True,
        )
        self.assertEqual((answers[0], answers[2]), (1, "é"))
        self.assertIsInstance(answers[1], OutOfStock)
        self.assertEqual(self.client.primaries, {self.node.role: "peer-2"})

    async def test_a_refusal_is_the_error_that_was_raised_there(self) -> None:
        with self.assertRaisesRegex(OutOfStock, "none left"):
            await self.client.call(self.node, "/refuses", {}, PATIENCE_S)
        with self.assertRaisesRegex(BadRequest, "which?"):
            await self.client.call(self.node, "/strange", None, PATIENCE_S)
        with self.assertRaises(BazarError) as caught:
            await self.client.call(self.node, "/newer", {}, PATIENCE_S)
        self.assertEqual((caught.exception.status, caught.exception.code), (418, "teapot"))

    async def test_r5_an_answer_that_cannot_be_read_is_unknown(self) -> None:
        with self.assertRaises(Indeterminate):
            await self.client.call(self.node, "/garbage", {}, PATIENCE_S)
        with self.assertRaises(Indeterminate):  # nor is anybody else asked
            await self.client.call(self.node, "/moved", None, PATIENCE_S)
        for path in ("/short", "/odd", "/garbage", "/none", "/breaks"):
            for _ in range(2):  # the first does not stop the next
                with self.subTest(path=path), self.assertRaises(Indeterminate):
                    await self.client.submit(self.node, path, 1, PATIENCE_S)
        self.assertEqual(await self.client.submit(self.node, "/items", 1, PATIENCE_S), 1)

    async def test_a_call_may_be_refused_as_a_whole(self) -> None:
        with self.assertRaisesRegex(ShuttingDown, "not now"):
            await self.client.submit(self.node, "/refuses", 1, PATIENCE_S)

    async def test_r5_nobody_there_is_unavailable(self) -> None:
        with socket.socket() as taken:  # it does not listen, and nobody else can
            taken.bind(("127.0.0.1", 0))
            gone = NodeConfig("gone-1", "catalog", taken.getsockname()[1])
            with self.assertRaises(Unavailable):
                await self.client.call(gone, "/echo", {}, PATIENCE_S)
            with self.assertRaises(Unavailable):
                await self.client.submit(gone, "/items", 1, PATIENCE_S)

    async def test_who_knows_another_token_is_told_apart(self) -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            there = NodeConfig("there", "catalog", server.sockets[0].getsockname()[1])
            with self.assertRaises(OtherToken):
                await self.client.submit(there, "/items", 1, PATIENCE_S)
            with self.assertRaises(OtherToken):
                await self.client.call(there, "/status", None, PATIENCE_S)

    async def test_r5_who_does_not_take_calls_is_unavailable(self) -> None:
        """Nothing has been sent that could have been carried out."""
        listening = bind_sockets(0, "127.0.0.1")

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
            writer.close()

        async with await asyncio.start_server(refuse, sock=listening[0]):
            there = NodeConfig("there", "catalog", listening[0].getsockname()[1])
            with self.assertRaisesRegex(Unavailable, "503"):
                await self.client.submit(there, "/items", 1, PATIENCE_S)

        [silent] = bind_sockets(0, "127.0.0.1")  # its kernel answers, as a paused process's does
        with silent:
            there = NodeConfig("silent", "catalog", silent.getsockname()[1])
            with self.assertRaisesRegex(Unavailable, "no connection in time"):
                await client.Peer(there, "the-token").call("/items", [1], 0.05)

    async def test_a_call_with_little_time_leaves_the_others_their_connection(self) -> None:
        peer = client.Peer(self.node, "the-token", PATIENCE_S, silent_s=PATIENCE_S)
        await peer.call("/items", [1], PATIENCE_S)
        connection = peer._connection
        slow = asyncio.create_task(peer.call("/slow", [1], PATIENCE_S))
        with self.assertRaises(Indeterminate):
            await peer.call("/hangs", [1], 0.05)
        self.assertFalse(slow.done())
        CallsPeer.may_answer.set()
        self.assertEqual((await slow)["results"], [])
        await peer.call("/items", [1], PATIENCE_S)
        assert connection is not None
        self.assertIs(peer._connection, connection)
        self.assertFalse(connection.closed)
        peer.close()

    async def test_r9_a_call_says_until_when_it_is_waited_for_by_the_others_clock(self) -> None:
        now = 7.0
        asking = RPCClient("the-token", PATIENCE_S, clock=lambda: now)

        async def said(timeout_s: float) -> Any:
            return await asking.submit(self.node, "/until", 1, timeout_s)

        slowest = 1 - DRIFT
        self.assertEqual(await said(PATIENCE_S), [PATIENCE_S * slowest])  # it has just been opened
        now += 1.0  # since it said that it shows 100
        self.assertEqual(await said(PATIENCE_S), [100.0 + (1.0 + PATIENCE_S) * slowest])
        deadlines.current.set(now + 2.0)  # of whoever asked
        self.assertEqual(await said(PATIENCE_S), [100.0 + 2.0 * slowest])
        asking.close()

    async def test_r9_a_connection_that_was_silent_for_long_is_opened_anew(self) -> None:
        """Else it would be known too badly what the clock at its other end shows."""
        now = 7.0
        peer = client.Peer(self.node, "the-token", PATIENCE_S, clock=lambda: now)
        connections = []
        for silent_s, is_new in ((0.0, True), (FRESH_S, False), (FRESH_S + 0.1, True)):
            now += silent_s
            await peer.call("/until", [1], PATIENCE_S)
            assert peer._connection is not None
            self.assertEqual(peer._connection not in connections, is_new)
            connections.append(peer._connection)
        self.assertEqual([one.closed for one in connections], [True, True, False])
        peer.close()

    async def test_a_silent_connection_stays_open_for_the_calls_under_way(self) -> None:
        now = 7.0
        peer = client.Peer(self.node, "the-token", PATIENCE_S, clock=lambda: now)
        CallsPeer.may_answer.clear()
        slow = asyncio.create_task(peer.call("/slow", [1], PATIENCE_S))
        await until(lambda: peer._answers, "it is under way")
        now += FRESH_S + 0.1
        await peer.call("/items", [1], PATIENCE_S)
        CallsPeer.may_answer.set()
        self.assertEqual((await slow)["results"], [])
        peer.close()

    async def test_a_primary_that_does_not_answer_is_preferred_no_more(self) -> None:
        for _ in range(2):
            self.client.primaries["catalog"] = "peer-1"
            with self.assertRaises(Indeterminate):
                await self.client.submit(self.node, "/breaks", 1, PATIENCE_S)
            self.assertEqual(self.client.primaries, {})

    async def test_r5_a_call_without_an_answer_is_unknown_and_its_connection_given_up(self) -> None:
        peer = client.Peer(self.node, "the-token", PATIENCE_S, silent_s=0.01)
        connections = []
        for _ in range(3):
            answer = await peer.call("/items", [1], PATIENCE_S)
            self.assertEqual(answer["results"], [{"answer": 1}])
            connections.append(peer._connection)
            with self.assertRaisesRegex(Indeterminate, "no answer in"):
                await peer.call("/hangs", [1], 0.05)
        self.assertEqual(len(set(connections)), 3)
        peer.close()

    async def test_a_call_that_is_given_up_breaks_off_no_other(self) -> None:
        CallsPeer.may_answer.clear()
        peer = client.Peer(self.node, "the-token", PATIENCE_S, silent_s=0.01)
        await peer.call("/items", [1], PATIENCE_S)
        first = peer._connection
        slow = asyncio.create_task(peer.call("/slow", [1], PATIENCE_S))
        await until(lambda: peer._answers, "it is under way")
        with self.assertRaises(Indeterminate):
            await peer.call("/hangs", [1], 0.05)
        answer = await peer.call("/items", [1], PATIENCE_S)  # over another connection
        self.assertEqual(answer["results"], [{"answer": 1}])
        self.assertIsNot(peer._connection, first)
        CallsPeer.may_answer.set()
        self.assertEqual((await slow)["results"], [])
        assert first is not None
        self.assertTrue(first.closed)
        peer.close()

    async def test_r5_what_is_under_way_when_it_is_closed_is_unknown(self) -> None:
        """Over the connection that was given up as well."""
        peer = client.Peer(self.node, "the-token", PATIENCE_S, silent_s=0.01)
        await peer.call("/items", [1], PATIENCE_S)
        first = peer._connection
        asked = [asyncio.create_task(peer.call("/slow", [1], 2 * PATIENCE_S))]
        await until(lambda: peer._answers, "it is under way")
        with self.assertRaises(Indeterminate):
            await peer.call("/hangs", [1], 0.05)
        await peer.call("/items", [1], PATIENCE_S)
        self.assertIsNot(peer._connection, first)
        asked.append(asyncio.create_task(peer.call("/hangs", [1], 2 * PATIENCE_S)))
        await until(lambda: len(peer._answers) == 2, "both are under way")
        peer.close()
        async with asyncio.timeout(PATIENCE_S):
            answers = await asyncio.gather(*asked, return_exceptions=True)
        self.assertEqual([type(answer) for answer in answers], [Indeterminate] * 2)
        assert first is not None
        self.assertTrue(first.closed)

    async def test_only_calls_that_wait_make_a_connection_silent(self) -> None:
        CallsPeer.may_answer.clear()
        peer = client.Peer(self.node, "the-token", PATIENCE_S)
        await peer.call("/items", [1], PATIENCE_S)
        self.assertIsNone(peer._unheard_since)
        slow = asyncio.create_task(peer.call("/slow", [1], PATIENCE_S))
        await until(lambda: peer._answers, "it is under way")
        await peer.call("/items", [1], PATIENCE_S)
        self.assertIsNotNone(peer._unheard_since)
        CallsPeer.may_answer.set()
        await slow
        self.assertIsNone(peer._unheard_since)
        peer.close()

    async def test_a_node_that_stops_asks_nobody_any_more(self) -> None:
        self.client.close()
        for asking in (
            self.client.submit(self.node, "/items", 1, PATIENCE_S),
            self.client.call(self.node, "/echo", None, PATIENCE_S),
        ):
            with self.assertRaisesRegex(Unavailable, "peer-1 is not asked: this node stops"):
                await asking

    async def test_libcurl_is_not_closed_under_a_transfer(self) -> None:
        """It would use what was freed; nor when whoever asked for that has gone."""
        call = asyncio.create_task(self.client.call(self.node, "/hangs", None, PATIENCE_S))
        await until(lambda: self.server._connections, "it has connected")
        http = self.client._http
        assert http is not None
        with mock.patch.object(http, "close") as close:
            self.client.close()
            call.cancel()
            await asyncio.wait([call])
            self.client.close()
        close.assert_not_called()

    async def test_libcurl_is_closed_once_nothing_is_under_way(self) -> None:
        """However the transfers have ended."""
        await self.client.call(self.node, "/echo", None, PATIENCE_S)
        with self.assertRaises(OutOfStock):
            await self.client.call(self.node, "/refuses", {}, PATIENCE_S)
        with socket.socket() as taken, self.assertRaises(Unavailable):  # it does not listen
            taken.bind(("127.0.0.1", 0))
            gone = NodeConfig("gone-1", "catalog", taken.getsockname()[1])
            await self.client.call(gone, "/echo", None, PATIENCE_S)
        http = self.client._http
        assert http is not None
        with mock.patch.object(http, "close") as close:
            self.client.close()
        close.assert_called_once_with()

    async def test_one_that_is_closed_closes_no_other(self) -> None:
        other = RPCClient("the-token", PATIENCE_S)
        for one in (other, self.client):
            await one.call(self.node, "/echo", None, PATIENCE_S)
        other.close()
        await self.client.call(self.node, "/echo", None, PATIENCE_S)

    async def test_r5_a_request_that_libcurl_sent_twice_is_unknown(self) -> None:
        """The first got through on a reused connection that then died; the second was refused."""
        listening = bind_sockets(0, "127.0.0.1")
        port = listening[0].getsockname()[1]
        received: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for turn in range(2):
                received.append(await reader.readuntil(b"}"))
                if turn == 0:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            server.close()
            writer.close()

        server = await asyncio.start_server(serve, sock=listening[0])
        there = NodeConfig("there", "catalog", port)
        await self.client.call(there, "/write", {"key": 1}, PATIENCE_S)
        with self.assertRaises(Indeterminate):
            await self.client.call(there, "/write", {"key": 2}, PATIENCE_S)
        self.assertIn(b'{"key":2}', received[1])
        with self.assertRaises(Unavailable):  # now nobody is there at all
            await self.client.call(there, "/write", {"key": 3}, PATIENCE_S)

    async def test_r5_no_answer_in_time_is_unknown(self) -> None:
        with self.assertRaises(Indeterminate):
            await self.client.call(self.node, "/hangs", {}, 0.05)

    async def test_r5_a_connection_that_breaks_is_unknown(self) -> None:
        call = asyncio.create_task(self.client.call(self.node, "/hangs", {}, PATIENCE_S))
        await until(lambda: self.server._connections, "it has connected")
        await self.server.close_all_connections()
        with self.assertRaises(Indeterminate):
            await call
