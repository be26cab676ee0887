"""The subscriber's end of a feed: a connection to the primary, and the lease's heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

from bazar.config import NodeConfig
from bazar.errors import ProtocolError
from bazar.replication.effects import Close, Effect, Send
from bazar.replication.messages import Message, decode, encode
from bazar.replication.subscriber import Subscriber
from bazar.replication.timing import RENEWALS_PER_LEASE, TICKS_PER_LEASE
from bazar.rpc.frames import Dial, FrameConnection, dial

log = logging.getLogger(__name__)

FEED_PATH = "/feed"
CONNECT_TIMEOUT_S = 1.0
RETRY_S = 0.05
SILENT_LEASES = 3  # a primary that says nothing for so many leases is left
UNANSWERED = 3  # feeds in a row that a node ends at once: it won't have us


class FeedClient:
    """Keeps one subscriber connected; `carry_out` gets every effect that is not the feed's."""

    def __init__(
        self,
        subscriber: Subscriber,
        peers: Sequence[NodeConfig],
        token: str,
        clock: Callable[[], float],
        carry_out: Callable[[Effect], None],
        settling: Callable[[], Awaitable[None] | None] = lambda: None,
        dial: Dial = dial,
    ) -> None:
        self.subscriber = subscriber
        self.leader: NodeConfig | None = None  # the primary that has welcomed us
        self.peers = {node.name: node for node in peers}
        self._token = token
        self._dial = dial
        self._clock = clock
        self._carry_out = carry_out
        self._settling = settling  # what the next message has to wait for: bounds what is queued
        self._connection: FrameConnection | None = None
        self._over = asyncio.Event()  # this connection's end
        self._heard_at = 0.0
        self._waits: set[asyncio.Task[None]] = set()
        self._feeds = 0
        self._told = False  # that a peer has another token, or another CA
        self._answered = False  # whether this connection has brought anything
        self._unanswered: Counter[str] = Counter()  # connections in a row that did not, by peer

    async def run(self) -> None:
        """Stay connected until cancelled."""
        ticker = asyncio.create_task(self._keep_time())
        try:
            while True:
                for node in self._candidates():
                    await self._follow(node)
                    if self.subscriber.hint not in (None, node.name):
                        break  # that peer names another
                await asyncio.sleep(RETRY_S)
        finally:
            ticker.cancel()

    def _candidates(self) -> Iterable[NodeConfig]:
        hinted = self.peers.get(self.subscriber.hint or "")
        self.subscriber.hint = None
        rest = [node for node in self.peers.values() if node is not hinted]
        return [hinted, *rest] if hinted else rest

    async def _follow(self, node: NodeConfig) -> None:
        """Follow this node, if it leads, for as long as the connection lasts."""
        try:
            connection = await self._dial(node, FEED_PATH, self._token, CONNECT_TIMEOUT_S)
        except OSError as error:  # refused, reset, no such host, 401, …: try the next
            unknown = isinstance(error, PermissionError | ssl.SSLError)
            level = logging.WARNING if unknown and not self._told else logging.DEBUG
            self._told |= unknown  # once: it is tried all the time
            log.log(level, "%s gets no feed from %s: %s", self.subscriber.node, node.name, error)
            return
        self._connection, self._over = connection, asyncio.Event()
        self._feeds += 1
        feed = self._feeds
        lease_s = self.subscriber.timing.lease_s
        connection.on_frame = lambda frame: self._heard(feed, node, connection, frame)
        connection.on_lost = self._lost
        self._heard_at, self._answered = self._clock(), False
        self.perform(self.subscriber.connected(feed, self._clock()))
        connection.resume()
        try:
            while not connection.closed:
                # Not `wait_for`: until Python 3.12 it may swallow a cancellation, and a follower
                # that has got the lock must end its feed before it leads.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(lease_s):
                        await self._over.wait()
                silent_s = self._clock() - self._heard_at
                if not self._waits and silent_s > SILENT_LEASES * lease_s:
                    log.warning(
                        "%s leaves %s, silent for %.1f s",
                        *(self.subscriber.node, node.name, silent_s),
                    )
                    return
            self._ended(node)
        finally:
            self.subscriber.disconnected(feed)
            self._disconnect()

    def _ended(self, node: NodeConfig) -> None:
        """Tell once of a node that does not even say that it is not the primary."""
        self._unanswered[node.name] = 0 if self._answered else self._unanswered[node.name] + 1
        if self._unanswered[node.name] == UNANSWERED:
            log.warning(
                "%s gets no feed from %s, which ends each without a word: does it run another"
                " version of Bazar? Stop the nodes of both, and start all with the same program",
                *(self.subscriber.node, node.name),
            )

    def _heard(
        self, feed: int, node: NodeConfig, connection: FrameConnection, frame: bytes
    ) -> None:
        self._heard_at, self._answered = self._clock(), True
        try:
            message = decode(frame)
            self.perform(self.subscriber.receive(feed, message, self._heard_at))
        except ProtocolError as error:
            log.error("%s leaves %s: %s", self.subscriber.node, node.name, error)
            self._disconnect()
            return
        if self.subscriber.welcomed and self.leader is None:
            self.leader = node
            log.info(
                "%s follows %s in epoch %d",
                *(self.subscriber.node, node.name, self.subscriber.epoch),
            )
        settled = self._settling()
        if settled is not None:
            connection.pause()
            task = asyncio.ensure_future(settled)
            self._waits.add(task)
            task.add_done_callback(lambda done: self._settled(done, connection))

    def _settled(self, done: asyncio.Future[None], connection: FrameConnection) -> None:
        self._waits.discard(done)
        self._heard_at = self._clock()  # until now we did not listen
        connection.resume()

    def _lost(self) -> None:
        self.leader = None
        self._over.set()

    def _disconnect(self) -> None:
        self._lost()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def follows(self, for_s: float) -> None:
        """Return when this node follows its primary no more, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await self._over.wait()

    async def _keep_time(self) -> None:
        """Renew the lease whenever it is time."""
        lease_s = self.subscriber.timing.lease_s
        while True:
            now = self._clock()
            self.perform(self.subscriber.tick(now))
            due_s = min(self.subscriber.renew_at - now, lease_s / RENEWALS_PER_LEASE)
            await asyncio.sleep(max(due_s, lease_s / TICKS_PER_LEASE))

    def perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(feed, message):
                    self._send(feed, message)
                case Close(_, reason):
                    log.debug("%s ends its feed: %s", self.subscriber.node, reason)
                    self._disconnect()
                case _:
                    self._carry_out(effect)

    def _send(self, feed: int, message: Message) -> None:
        if self._connection is not None and feed == self._feeds:
            self._connection.send(encode(message))

    def release(self) -> None:
        """Give the lease up before leaving, so that no write waits for it (L3)."""
        self.perform(self.subscriber.release())
