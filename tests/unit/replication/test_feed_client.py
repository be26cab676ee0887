"""The subscriber's end of a feed, over a real socket."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Awaitable
from typing import ClassVar, cast

from bazar.config import NodeConfig
from bazar.replication.cache_subscriber import CacheSubscriber
from bazar.replication.feed_client import UNANSWERED, FeedClient
from bazar.replication.messages import GENESIS, ArbiterId, Welcome, encode
from bazar.replication.timing import Timing
from bazar.rpc.frames import FrameConnection, accept
from tests.patience import until

HOME = ArbiterId("digest", "place")
LEASE_S = 0.05  # of real time; what counts is the clock that the test moves on


class Silent(asyncio.Protocol):
    """A primary that welcomes whoever comes, and then says nothing."""

    def __init__(self, welcomed: list[FrameConnection]) -> None:
        self.welcomed = welcomed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        connection = FrameConnection()
        self.welcomed.append(connection)
        accept(connection, self.transport, b"")
        self.greet(connection)

    def greet(self, connection: FrameConnection) -> None:
        connection.send(encode(Welcome(1, GENESIS, GENESIS, False, "epoch", HOME)))


class OtherVersion(Silent):
    """One that does not understand what it is told, and hangs up."""

    def greet(self, connection: FrameConnection) -> None:
        connection.close()


class Garbled(Silent):
    """One whose words nobody can read."""

    def greet(self, connection: FrameConnection) -> None:
        connection.send(b"{")


class FeedClientTestCase(unittest.IsolatedAsyncioTestCase):
    primary: ClassVar[type[Silent]]

    async def asyncSetUp(self) -> None:
        self.now = 100.0
        self.settled: list[asyncio.Future[None]] = []
        self.welcomed: list[FrameConnection] = []
        server = await asyncio.get_running_loop().create_server(
            lambda: self.primary(self.welcomed), "127.0.0.1", 0
        )
        self.addCleanup(server.close)
        node = NodeConfig("there", "catalog", server.sockets[0].getsockname()[1])
        self.client = FeedClient(
            CacheSubscriber("here", "run", Timing(LEASE_S, LEASE_S / 2)),
            [node],
            "token",
            lambda: self.now,
            lambda effect: None,
            self.settling,
        )
        following = asyncio.create_task(self.client.run())
        self.addAsyncCleanup(asyncio.wait, [following])
        self.addCleanup(following.cancel)

    def settling(self) -> Awaitable[None] | None:
        """Have the first message wait for the disk."""
        if self.settled:
            return None
        self.settled.append(asyncio.get_running_loop().create_future())
        return self.settled[0]


class SilentTest(FeedClientTestCase):
    primary = Silent

    async def test_one_that_says_nothing_is_left_and_found_again(self) -> None:
        await until(lambda: self.settled, "the welcome waits for the disk")
        self.settled[0].set_result(None)
        await until(lambda: self.client.leader, "it is followed")
        with self.assertLogs("bazar.replication.feed_client", "WARNING") as logs:
            await until(self.comes_again, "it is left, and found again")
        self.assertIn("here leaves there, silent for", logs.output[0])

    def comes_again(self) -> bool:
        self.now += LEASE_S / 10
        return len(self.welcomed) == 2


class GarbledTest(FeedClientTestCase):
    primary = Garbled

    async def test_one_that_cannot_be_read_is_left(self) -> None:
        with self.assertLogs("bazar.replication.feed_client", "ERROR") as logs:
            await until(lambda: len(self.welcomed) > 1, "it is tried again")
        self.assertIn("here leaves there: feed: cannot read", logs.output[0])
        self.assertIsNone(self.client.leader)


class OtherVersionTest(FeedClientTestCase):
    primary = OtherVersion

    async def test_one_that_will_not_have_us_is_named_once(self) -> None:
        with self.assertLogs("bazar.replication.feed_client", "WARNING") as logs:
            await until(lambda: len(self.welcomed) > 2 * UNANSWERED, "it is tried all the time")
        [line] = logs.output
        self.assertIn("here gets no feed from there", line)
        self.assertIn("another version of Bazar", line)
