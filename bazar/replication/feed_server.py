"""The primary's end of its feeds: their connections, and the snapshots that some are sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping

from bazar.errors import OtherVersion, ProtocolError, Unavailable
from bazar.replication.disk import SNAPSHOT_S, within
from bazar.replication.messages import Message, Snapshot, decode, encode
from bazar.replication.subscription import Subscription
from bazar.rpc.frames import FrameConnection

log = logging.getLogger(__name__)

MAX_FEEDS = 1024


class FeedServer:
    """The connections of one node's subscribers, by the number that each feed has."""

    def __init__(self, node: str) -> None:
        self.node = node
        self._connections: dict[int, FrameConnection] = {}
        self._last = 0
        self._refused = ""  # the last hello of another version
        self._snapshots: dict[int, int] = {}  # feed -> the entry whose state it is sent, at least

    def open(self, connection: FrameConnection) -> int:
        """Number a feed. Raises Unavailable beyond the bound."""
        if len(self._connections) >= MAX_FEEDS:
            raise Unavailable(f"{self.node} has {MAX_FEEDS} feeds open already")
        self._last += 1
        self._connections[self._last] = connection
        return self._last

    def message(self, feed: int, text: str | bytes) -> Message | None:
        """Return what a subscriber has said; None, and end its feed, where it can't be read."""
        try:
            return decode(text)
        except ProtocolError as error:
            self.close(feed, str(error))
            if isinstance(error, OtherVersion) and self._refused != str(error):
                self._refused = str(error)  # it comes again all the time
                log.error("%s: %s", self.node, error)
            return None

    def send(self, feed: int, frame: bytes) -> None:
        if feed in self._connections:
            self._connections[feed].send(frame)

    def close(self, feed: int, reason: str) -> None:
        connection = self._connections.pop(feed, None)
        if connection is not None:
            log.debug("%s ends feed %d: %s", self.node, feed, reason)
            connection.close()

    def closed(self, feed: int) -> bool:
        """Forget a connection that is gone. Return whether it was still known."""
        return self._connections.pop(feed, None) is not None

    def close_all(self) -> None:
        for connection in list(self._connections.values()):
            connection.close()

    # --- snapshots (J3) --------------------------------------------------------------------------

    def needed(self, feeds: Mapping[int, Subscription]) -> int | None:
        """Return the entry behind which a replica that fills itself will ask for the log: without
        it a snapshot that takes long under load would be of no use when it is there (J3, J4)."""
        self._snapshots = {
            feed: seq
            for feed, seq in self._snapshots.items()
            if feed in feeds and not feeds[feed].joined
        }
        return min(self._snapshots.values(), default=None)

    def begin_snapshot(self, feed: int, seq: int) -> None:
        """Note that this feed gets a snapshot, of the state of entry `seq` or a later one."""
        self._snapshots[feed] = seq

    async def send_snapshot(self, feed: int, snapshot: AsyncGenerator[Snapshot, None]) -> None:
        log.info("%s sends a snapshot on feed %d", self.node, feed)
        async with contextlib.aclosing(snapshot) as chunks:
            while (connection := self._connections.get(feed)) is not None:
                async with within(SNAPSHOT_S):
                    chunk = await anext(chunks)
                connection.send(encode(chunk))
                try:
                    async with asyncio.timeout(SNAPSHOT_S):
                        if chunk.final or not await connection.drained():
                            return
                except TimeoutError:  # it would keep our log from being checkpointed for ever
                    connection.abort()
                    return
