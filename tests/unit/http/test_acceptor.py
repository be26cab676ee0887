"""How many connections a port takes, and where the rest wait: real sockets on a free port."""

from __future__ import annotations

import asyncio
import resource
import socket
from typing import Any
from unittest import IsolatedAsyncioTestCase, mock

from tornado.web import Application

from bazar.errors import ConfigError
from bazar.http import descriptors
from bazar.http.state import Limits
from bazar.node import server as node_server
from bazar.rpc.client import CALLS_PATH
from bazar.rpc.frames import dial
from tests.http.shop import TOKEN, ShopTestCase
from tests.patience import PATIENCE_S, until
from tests.unit.http.door import CACHED, EdgeTestCase, RawClient, get, request

MOST = 3


class AcceptorTest(EdgeTestCase):
    limits = Limits(connections=MOST)

    @property
    def paused(self) -> bool:
        return self.door.server._acceptor.paused

    async def fill(self) -> list[RawClient]:
        """As many clients at work as there can be; accepting is paused behind one more."""
        self.door.settings["let"].clear()
        clients = []
        for _ in range(MOST):
            self.door.settings["waiting"].clear()
            clients.append(await self.door.client())
            clients[-1].send(get("/waits"))
            await self.door.settings["waiting"].wait()
        self.assertFalse(self.paused)
        refused = await self.door.client()
        self.assert_refused(await refused.answer(), 503, "unavailable")
        self.assertTrue(self.paused)
        return [*clients, refused]

    async def test_where_all_are_at_work_the_next_waits(self) -> None:
        for logs in (self.assertLogs, self.assertNoLogs):  # it is said once
            with logs("bazar.http.acceptor", "WARNING"):
                *clients, refused = await self.fill()
            late = [await self.door.client() for _ in range(MOST)]
            for client in late:
                client.send(get())
            self.assertEqual(len(self.door.server.connections), MOST + 1)
            self.door.settings["let"].set()
            for client in clients:
                self.assertEqual((await client.answer()).body, b"let\n")
            for client in (*clients, refused):
                await client.close()
            for client in late:
                self.assertEqual((await client.answer()).body, CACHED)
                await client.close()
            await until(lambda: not self.door.server.connections, "all have gone")

    async def test_it_stops_while_it_is_paused(self) -> None:
        *clients, _ = await self.fill()
        self.door.server.stop()
        self.assertFalse(self.paused)
        self.door.settings["let"].set()
        for client in clients:
            self.assertEqual((await client.answer()).body, b"let\n")

    async def test_without_a_descriptor_left_accepting_waits_for_one(self) -> None:
        client = socket.socket()
        self.addCleanup(client.close)
        client.setblocking(False)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = socket.socket()
        few = lowest_free.fileno()
        lowest_free.close()
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (few, limits[1]))
            with self.assertLogs("bazar.http.acceptor", "WARNING") as logs:
                address = "127.0.0.1", self.door.port
                await asyncio.get_running_loop().sock_connect(client, address)
                await until(lambda: self.paused, "no descriptor is left")
            self.assertIn("cannot accept connections: Too many open files", logs.output[0])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await until(lambda: self.door.server.connections, "it is accepted")


class PortsTest(ShopTestCase):
    """Every role's port has the same bound."""

    NODES = ("frontend-1", "catalog-1", "order-1")

    def get_app(self) -> Application:
        with mock.patch.object(node_server, "MAX_CONNECTIONS", MOST):
            return super().get_app()

    async def crowd(self, node: str, sent: bytes) -> list[RawClient]:
        port = self.shop.node(node).port
        clients = []
        for _ in range(MOST + 1):
            clients.append(RawClient(*await asyncio.open_connection("127.0.0.1", port)))
            clients[-1].send(sent)
        return clients

    def test_who_has_waited_longest_makes_room(self) -> None:
        async def talk(node: str) -> None:
            clients = await self.crowd(node, b"")
            clients[-1].send(get("/healthz").replace(b"shop", b"localhost"))
            self.assertEqual((await clients[-1].answer()).status, 200)
            self.assertEqual(await clients[0].rest(), b"")
            for client in clients:
                await client.close()

        for node in self.NODES:
            self.io_loop.run_sync(lambda node=node: talk(node))

    def test_where_all_are_at_work_one_more_is_told_so(self) -> None:
        async def talk(node: str) -> None:
            begun = request("PUT", "/purchase/4", "Content-Length: 9", body=b"{")
            clients = await self.crowd(node, begun)
            answer = await clients[-1].answer()
            self.assertEqual((answer.status, answer.json["code"]), (503, "unavailable"))
            for client in clients:
                await client.close()

        for node in self.NODES:
            self.io_loop.run_sync(lambda node=node: talk(node))

    def test_connections_of_frames_take_no_place(self) -> None:
        async def talk() -> None:
            node, callers = self.shop.node("catalog-1"), self.shop.catalog(1).callers
            before = len(callers)
            calling = [await dial(node, CALLS_PATH, TOKEN, PATIENCE_S) for _ in range(2 * MOST)]
            self.assertEqual(len(callers), before + 2 * MOST)
            for connection in calling:
                connection.close()
            await until(lambda: len(callers) == before, "they have gone")

        self.io_loop.run_sync(talk)


class LimitTest(IsolatedAsyncioTestCase):
    def limited(self, soft: int, hard: int) -> Any:
        self.now = soft, hard

        def setrlimit(_: int, limits: tuple[int, int]) -> None:
            self.now = limits

        return mock.patch.multiple(resource, getrlimit=lambda _: self.now, setrlimit=setrlimit)

    def test_the_soft_limit_is_raised_to_the_hard_one(self) -> None:
        for hard, expected in ((4096, 4096), (1 << 20, 1 << 16), (resource.RLIM_INFINITY, 1 << 16)):
            with self.limited(1024, hard):
                descriptors.raise_limit()
                self.assertEqual(self.now, (expected, hard))

    def test_a_limit_that_is_high_enough_stays(self) -> None:
        for soft in (1 << 17, resource.RLIM_INFINITY):
            with self.limited(soft, resource.RLIM_INFINITY):
                descriptors.raise_limit()
                self.assertEqual(self.now[0], soft)
                self.assertGreater(descriptors.for_connections(1), 1 << 16)

    def test_some_are_kept_back(self) -> None:
        for most, left in ((1 << 16, 3 << 14), (1024, 768), (256, 128), (128, 64)):
            with self.limited(most, most):
                descriptors.raise_limit()
                self.assertEqual(descriptors.for_connections(1), left)
                self.assertEqual(descriptors.for_connections(3), left // 3)

    def test_too_few_are_refused(self) -> None:
        with self.limited(64, 64), self.assertRaisesRegex(ConfigError, "64 files only"):
            descriptors.raise_limit()
