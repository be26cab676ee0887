"""Single requests between nodes, as plain HTTP, against a real server."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any
from unittest import mock

from tornado.netutil import bind_sockets

from bazar.config import NodeConfig
from bazar.errors import BadRequest, BazarError, Indeterminate, OutOfStock, Unavailable
from bazar.rpc.client import RPCClient
from tests.patience import PATIENCE_S, until
from tests.unit.rpc.there import ThereTestCase


class RequestsTest(ThereTestCase):
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

    async def test_a_refusal_is_the_error_that_was_raised_there(self) -> None:
        with self.assertRaisesRegex(OutOfStock, "none left"):
            await self.client.call(self.node, "/refuses", {}, PATIENCE_S)
        with self.assertRaisesRegex(BadRequest, "which?"):
            await self.client.call(self.node, "/strange", None, PATIENCE_S)
        with self.assertRaises(BazarError) as caught:
            await self.client.call(self.node, "/newer", {}, PATIENCE_S)
        self.assertEqual((caught.exception.status, caught.exception.code), (418, "teapot"))

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

    async def test_a_request_that_libcurl_sends_again_is_whole(self) -> None:
        """The reused connection was closed when it came."""
        received: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while len(received) < 3:
                received.append(await reader.readuntil(b"}"))
                if len(received) == 2:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            there = NodeConfig("there", "catalog", server.sockets[0].getsockname()[1])
            for key in (1, 2):
                await self.client.call(there, "/write", {"key": key}, PATIENCE_S)
        sent = [request.partition(b"\r\n\r\n")[2] for request in received]
        self.assertEqual(sent, [b'{"key":1}', b'{"key":2}', b'{"key":2}'])

    async def test_r5_no_answer_in_time_is_unknown(self) -> None:
        with self.assertRaises(Indeterminate):
            await self.client.call(self.node, "/hangs", {}, 0.05)

    async def test_r5_a_connection_that_breaks_is_unknown(self) -> None:
        call = asyncio.create_task(self.client.call(self.node, "/hangs", {}, PATIENCE_S))
        await until(lambda: self.server._connections, "it has connected")
        await self.server.close_all_connections()
        with self.assertRaises(Indeterminate):
            await call
