"""The links from one node to the others, which can be cut and slowed while people look on.

All that nodes say to each other - feeds, and calls - goes over connections of frames, which one of
the two has dialled, and `Links.dial` dials all of a node's. So a link between two nodes is cut by
telling both: each holds what it has dialled. Plain HTTP goes on. By that the page of the cluster
asks each node how it is, and tells it to mend a link.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from math import inf
from typing import Any
from weakref import WeakSet

from bazar.config import NodeConfig
from bazar.rpc.frames import FrameConnection, dial
from bazar.rpc.impairment import Impaired

log = logging.getLogger(__name__)

HANDSHAKES = 4  # ways until a connection is open: TCP's round trip, and that of the upgrade


@dataclass(slots=True)
class _Link:
    """A link that is not as it should be, and its connections."""

    delay_s: float
    mending: asyncio.TimerHandle
    mended: asyncio.Event = field(default_factory=asyncio.Event)
    connections: list[Impaired] = field(default_factory=list)

    def hold(self, connection: FrameConnection) -> None:
        """Have all that this connection carries go through here, if it is not over."""
        if connection.closed:
            return
        self.connections = [one for one in self.connections if not one.over]
        known = connection.transport  # an earlier impairment may still wait for its reader
        held = known if isinstance(known, Impaired) else Impaired(connection, self.delay_s)
        held.delay(self.delay_s)
        self.connections.append(held)

    def set_delay(self, delay_s: float) -> None:
        self.delay_s = delay_s
        for one in self.connections:
            one.delay(delay_s)

    async def open(self) -> None:
        """Wait for as long as it takes to open a connection."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if self.delay_s == inf else HANDSHAKES * self.delay_s):
                await self.mended.wait()


class Links:
    """The links of the node `name`, by the names of the nodes that they lead to."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._connections: dict[str, WeakSet[FrameConnection]] = {}
        self._impaired: dict[str, _Link] = {}

    async def dial(
        self, node: NodeConfig, path: str, token: str, timeout_s: float
    ) -> FrameConnection:
        """Return a connection, as `frames.dial` does."""
        async with asyncio.timeout(timeout_s):
            if node.name in self._impaired:
                await self._impaired[node.name].open()
            connection = await dial(node, path, token, timeout_s)
        self._connections.setdefault(node.name, WeakSet()).add(connection)
        if node.name in self._impaired:
            self._impaired[node.name].hold(connection)
        return connection

    def impair(self, to: str, delay_s: float, for_s: float) -> None:
        """Let everything take `delay_s` in each direction, or cut the link if that is infinite;
        after `for_s` it is mended by itself."""
        loop = asyncio.get_running_loop()
        mending = loop.call_later(for_s, self.mend, to)
        link = self._impaired.get(to)
        if link is not None:
            link.mending.cancel()
            link.mending = mending
            link.set_delay(delay_s)
        else:
            link = self._impaired[to] = _Link(delay_s, mending)
            for connection in list(self._connections.get(to, ())):
                link.hold(connection)
        how = "cut" if delay_s == inf else f"slow, by {1000 * delay_s:.0f} ms in each direction,"
        log.warning("%s: its link to %s is %s for %.0f s", self._name, to, how, for_s)

    def mend(self, to: str) -> None:
        """Let everything through again, with what has waited."""
        link = self._impaired.pop(to, None)
        if link is not None:
            link.mending.cancel()
            link.mended.set()
            link.set_delay(0.0)
            log.warning("%s: its link to %s is mended", self._name, to)

    def close(self) -> None:
        """Mend all, at the end of the node."""
        for to in list(self._impaired):
            self.mend(to)

    def status(self) -> list[dict[str, Any]]:
        """Return the links that are cut (no `delay_ms`) or slow, as JSON."""
        now = asyncio.get_running_loop().time()
        return [
            {
                "to": to,
                "delay_ms": None if link.delay_s == inf else round(1000 * link.delay_s),
                "left_s": round(max(link.mending.when() - now, 0.0), 1),
            }
            for to, link in self._impaired.items()
        ]
