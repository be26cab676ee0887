"""The primary's end of a feed, over a real socket."""

from __future__ import annotations

import asyncio
import socket
import unittest
from collections.abc import AsyncGenerator
from unittest import mock

from bazar.replication import feed_server
from bazar.replication.feed_server import FeedServer
from bazar.replication.messages import Mark, Snapshot
from bazar.rpc.frames import FrameConnection, accept

CHUNK = Snapshot(Mark(1, "one"), {"books": [{"title": "x" * (1 << 20)}]}, first=True, final=False)


class FeedServerTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.near, far = socket.socketpair()
        self.addCleanup(self.near.close)
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, far)
        connection = FrameConnection()
        accept(connection, self.transport, b"")
        self.addCleanup(connection.abort)
        self.feeds = FeedServer("r-1")
        self.feed = self.feeds.open(connection)

    async def test_j3_a_snapshot_that_nobody_reads_is_given_up(self) -> None:
        """It would keep our log from being checkpointed for ever."""
        ended = asyncio.Event()

        async def snapshot() -> AsyncGenerator[Snapshot, None]:
            try:
                while True:
                    yield CHUNK
            finally:
                ended.set()

        with mock.patch.object(feed_server, "SNAPSHOT_S", 0.05):
            await self.feeds.send_snapshot(self.feed, snapshot())
        self.assertTrue(ended.is_set())
        self.assertTrue(self.transport.is_closing())  # so it says hello again, if it lives
