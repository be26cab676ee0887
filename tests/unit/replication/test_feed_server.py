"""The primary's end of a feed, over a real socket."""

from __future__ import annotations

import asyncio
import socket
import unittest
from collections.abc import AsyncGenerator
from dataclasses import replace
from unittest import mock

from bazar.errors import Unavailable
from bazar.replication import feed_server
from bazar.replication.feed_server import FeedServer
from bazar.replication.messages import (
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Hello,
    Mark,
    Snapshot,
    encode,
)
from bazar.replication.subscription import Stage, Subscription
from bazar.rpc.frames import FrameConnection, accept

CHUNK = Snapshot(Mark(1, "one"), {"books": [{"title": "x" * (1 << 20)}]}, first=True, final=False)
SMALL = replace(CHUNK, rows={"books": []})


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

    async def test_j3_a_snapshot_is_sent_to_its_end(self) -> None:
        last = replace(SMALL, final=True)

        async def snapshot() -> AsyncGenerator[Snapshot, None]:
            for chunk in (SMALL, SMALL, last):
                yield chunk

        await self.feeds.send_snapshot(self.feed, snapshot())
        self.assertFalse(self.transport.is_closing())
        self.transport.close()
        self.near.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=self.near)
        sent = await reader.read()
        for chunk, times in ((SMALL, 2), (last, 1)):
            self.assertEqual(sent.count(encode(chunk)), times)
        writer.close()

    async def test_j3_of_a_snapshot_nothing_more_is_read_when_its_feed_has_gone(self) -> None:
        ended = asyncio.Event()

        async def snapshot() -> AsyncGenerator[Snapshot, None]:
            try:
                self.feeds.closed(self.feed)
                yield SMALL
                self.fail("nobody needs it")
            finally:
                ended.set()

        await self.feeds.send_snapshot(self.feed, snapshot())
        self.assertTrue(ended.is_set())

    async def test_all_feeds_are_ended_together(self) -> None:
        others = [FrameConnection(), FrameConnection()]
        for connection in others:
            self.feeds.open(connection)
        self.feeds.close_all()
        self.assertTrue(self.transport.is_closing())
        self.assertTrue(all(connection.closed for connection in others))

    async def test_a_feed_that_is_gone_is_told_nothing(self) -> None:
        """What is decided for it may come when its connection has broken."""
        self.assertTrue(self.feeds.closed(self.feed))
        self.feeds.send(self.feed, b"late")
        self.feeds.close(self.feed, "late")
        self.assertFalse(self.feeds.closed(self.feed))
        self.assertFalse(self.transport.is_closing())

    async def test_one_that_cannot_be_understood_is_left_and_told_of_once(self) -> None:
        """As nodes of another version come again all the time."""
        other, newer = (f'{{"type": "hello", "node": "r-2", "version": {v}}}' for v in (0, 999))
        with self.assertLogs("bazar.replication.feed_server", "ERROR") as logs:
            for text in (other, other, newer, newer, "{"):
                feed = self.feeds.open(FrameConnection())
                self.assertIsNone(self.feeds.message(feed, text))
                self.assertFalse(self.feeds.closed(feed))  # it is ended
        self.assertEqual(len(logs.output), 2, logs.output)

    async def test_j4_the_log_is_kept_for_those_that_fill_themselves(self) -> None:
        other = self.feeds.open(FrameConnection())
        hello = Hello(WIRE_VERSION, REPLICA, "r-2", "run", "store", 1, GENESIS, GENESIS, "e1")
        feeds = {feed: Subscription(feed, hello) for feed in (self.feed, other)}
        self.assertIsNone(self.feeds.needed(feeds))
        self.feeds.begin_snapshot(self.feed, 7)
        self.feeds.begin_snapshot(other, 9)
        self.assertEqual(self.feeds.needed(feeds), 7)
        feeds[self.feed].stage = Stage.JOINED
        self.assertEqual(self.feeds.needed(feeds), 9)
        del feeds[other]
        self.assertIsNone(self.feeds.needed(feeds))

    async def test_there_are_so_many_feeds_at_most(self) -> None:
        with (
            mock.patch.object(feed_server, "MAX_FEEDS", 1),
            self.assertRaisesRegex(Unavailable, "r-1 has 1 feeds open already"),
        ):
            self.feeds.open(FrameConnection())
