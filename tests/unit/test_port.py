"""Tornado's server with a bound on its connections: real sockets on a free port."""

from __future__ import annotations

import asyncio
import resource
import socket
from typing import Any
from unittest import IsolatedAsyncioTestCase, mock

from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from bazar.errors import ConfigError
from bazar.http import descriptors
from bazar.http.tornado_port import Port
from tests.unit.door import Client, get
from tests.unit.patience import until

MOST = 3


class Slow(RequestHandler):
    async def get(self) -> None:
        self.settings["entered"].append(self)
        await self.settings["go"].wait()
        self.write("done")


class Quick(RequestHandler):
    def get(self) -> None:
        self.write("quick")


class PortTest(IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.go = asyncio.Event()
        self.entered: list[Slow] = []
        routes = [("/slow", Slow), ("/quick", Quick)]
        self.port = Port(Application(routes, go=self.go, entered=self.entered), MOST)
        sockets = bind_sockets(0, "127.0.0.1")
        self.address = sockets[0].getsockname()
        self.port.add_sockets(sockets)
        self.addAsyncCleanup(self.port.close_all_connections)
        self.addCleanup(self.port.stop)

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection(*self.address))
        self.addAsyncCleanup(client.close)
        return client

    async def test_who_has_waited_longest_makes_room(self) -> None:
        clients = [await self.client() for _ in range(MOST)]
        clients[0].send(get("/quick"))  # heard last: it waits since then
        self.assertEqual((await clients[0].answer()).body, b"quick")
        latest = await self.client()
        self.assertEqual(await clients[1].rest(), b"")
        for client in (clients[0], clients[2], latest):
            client.send(get("/quick"))
            self.assertEqual((await client.answer()).body, b"quick")

    async def fill(self) -> list[Client]:
        """As many clients at work as there can be; accepting is paused behind the last."""
        self.go.clear()
        self.entered.clear()
        clients: list[Client] = []
        for _ in range(MOST + 1):
            clients.append(await self.client())
            clients[-1].send(get("/slow"))
            await until(lambda: len(self.entered) == len(clients), "it is at work")
        await until(lambda: self.port._acceptor.paused, "there is no room")
        return clients

    async def test_where_all_are_at_work_the_next_waits(self) -> None:
        for logs in (self.assertLogs, self.assertNoLogs):  # it is said once
            with logs("bazar.http.acceptor", "WARNING"):
                clients = await self.fill()
            late = [await self.client() for _ in range(MOST)]
            for client in late:
                client.send(get("/slow"))
            self.assertEqual(len(self.port._connections), MOST + 1)
            self.go.set()
            for client in clients:
                self.assertEqual((await client.answer()).body, b"done")
                await client.close()
            for client in late:
                self.assertEqual((await client.answer()).body, b"done")
                await client.close()
            await until(lambda: not self.port._connections, "all have gone")

    async def test_it_stops_while_it_is_paused(self) -> None:
        clients = await self.fill()
        self.port.stop()
        self.assertFalse(self.port._acceptor.paused)
        self.go.set()
        for client in clients:
            self.assertEqual((await client.answer()).body, b"done")

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
                await asyncio.get_running_loop().sock_connect(client, self.address)
                await until(lambda: self.port._acceptor.paused, "no descriptor is left")
            self.assertIn("cannot accept connections: Too many open files", logs.output[0])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await until(lambda: self.port._connections, "it is accepted")


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
