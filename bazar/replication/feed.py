"""The subscriber's end of a feed: a WebSocket to whoever is primary, and its lease's heartbeat."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from bazar.config import NodeConfig
from bazar.errors import ProtocolError
from bazar.replication.effects import Close, Effect, Send
from bazar.replication.messages import Message, decode, encode
from bazar.replication.subscriber import Subscriber

log = logging.getLogger(__name__)

FEED_PATH = "/feed"
MAX_MESSAGE_BYTES = 64 << 20
CONNECT_TIMEOUT_S = 1.0
RETRY_S = 0.05
SILENT_LEASES = 3  # a primary that says nothing for so many leases is left
TICKS_PER_LEASE = 30


def send_on(connection: Any, text: bytes) -> Awaitable[None] | None:
    """Write to either end of a WebSocket; a closed one swallows it, as the network might."""
    try:
        written: asyncio.Future[None] = connection.write_message(text)
    except WebSocketClosedError:
        return None
    task = asyncio.ensure_future(written)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def ticking(tick: Callable[[], None], lease_s: float) -> None:
    """Call `tick` often enough for leases of `lease_s` to be renewed and to run out in time."""
    while True:
        await asyncio.sleep(lease_s / TICKS_PER_LEASE)
        tick()


class FeedClient:
    """Keeps one subscriber connected; `carry_out` gets every effect that is not the feed's."""

    def __init__(
        self,
        subscriber: Subscriber,
        peers: Sequence[NodeConfig],
        token: str,
        clock: Callable[[], float],
        carry_out: Callable[[Effect], None],
        settled: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.subscriber = subscriber
        self.leader: NodeConfig | None = None  # who has welcomed us
        self._peers = {node.name: node for node in peers}
        self._token = token
        self._clock = clock
        self._carry_out = carry_out
        self._settled = settled  # awaited before the next message is read: bounds what is queued
        self._connection: WebSocketClientConnection | None = None
        self._feeds = 0

    async def run(self) -> None:
        """Stay connected until cancelled."""
        ticker = asyncio.create_task(ticking(self.tick, self.subscriber.timing.lease_s))
        try:
            while True:
                for node in self._candidates():
                    await self._follow(node)
                    if self.subscriber.hint not in (None, node.name):
                        break  # somebody knows better
                await asyncio.sleep(RETRY_S)
        finally:
            ticker.cancel()
            self._disconnect()

    def _candidates(self) -> Iterable[NodeConfig]:
        hinted = self._peers.get(self.subscriber.hint or "")
        self.subscriber.hint = None
        rest = [node for node in self._peers.values() if node is not hinted]
        return [hinted, *rest] if hinted else rest

    async def _follow(self, node: NodeConfig) -> None:
        """One feed, from its connection to its end."""
        request = HTTPRequest(
            node.url.replace("http", "ws", 1) + FEED_PATH,
            headers={"Authorization": f"Bearer {self._token}"},
            connect_timeout=CONNECT_TIMEOUT_S,
            request_timeout=CONNECT_TIMEOUT_S,
        )
        try:
            self._connection = await websocket_connect(request, max_message_size=MAX_MESSAGE_BYTES)
        except Exception as error:  # refused, reset, no such host, 401, …: try the next
            log.debug("no feed from %s: %s", node.name, error)
            return
        # Without it Nagle and delayed acknowledgements cost 40 ms a message.
        self._connection.protocol.set_nodelay(True)  # type: ignore[union-attr]
        self._feeds += 1
        feed = self._feeds
        self.perform(self.subscriber.connected(feed, self._clock()))
        silence_s = SILENT_LEASES * self.subscriber.timing.lease_s
        try:
            while self._connection is not None and self.subscriber.feed == feed:
                # Not `wait_for`: until Python 3.12 it may swallow a cancellation, and a follower
                # that has got the lock must end its feed before it leads.
                async with asyncio.timeout(silence_s):
                    text = await self._connection.read_message()
                if text is None:
                    break
                message = decode(text)
                self.perform(self.subscriber.receive(feed, message, self._clock()))
                if self.subscriber.welcomed and self.leader is None:
                    self.leader = node
                    log.info(
                        "%s follows %s in epoch %d",
                        self.subscriber.node,
                        node.name,
                        self.subscriber.epoch,
                    )
                if self._settled is not None:
                    await self._settled()
        except ProtocolError as error:
            log.error("%s leaves %s: %s", self.subscriber.node, node.name, error)
        except TimeoutError:
            log.warning(
                "%s leaves %s, silent for %.1f s", self.subscriber.node, node.name, silence_s
            )
        finally:
            self.subscriber.disconnected(feed)
            self._disconnect()

    def _disconnect(self) -> None:
        self.leader = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def tick(self) -> None:
        self.perform(self.subscriber.tick(self._clock()))

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
            send_on(self._connection, encode(message))

    def release(self) -> None:
        """Give the lease up before leaving, so that no write waits for it (L3)."""
        self.perform(self.subscriber.release())
