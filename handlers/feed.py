"""Connections that other nodes of the cluster open here, and the feed among them (J1)."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Protocol, cast

from tornado.iostream import StreamClosedError

from bazar.errors import BadRequest
from bazar.node.server import Service
from bazar.replication.replica import Replica
from bazar.rpc import frames
from handlers import verbs
from handlers.base import Handler


class Replicated(Service, Protocol):
    """A service whose node takes part in a group."""

    replica: Replica


class UpgradeHandler(Handler, ABC):
    """Turns a request into a connection of frames."""

    caller = b""
    """The address of the other end."""

    @abstractmethod
    def open_connection(self) -> frames.FrameConnection:
        """Return this end of it. Raises what the request is refused with."""

    @verbs.OPEN_FRAMES
    async def get(self) -> None:
        if self.request.headers.get("Upgrade", "").lower() != frames.UPGRADE:
            raise BadRequest(f"Upgrade: must be {frames.UPGRADE}")
        self.caller = self.client.encode()
        connection = self.open_connection()
        self.service.context.activity.leave(self)  # the connection stays, and is no request
        try:
            transport, received = cast(tuple[asyncio.Transport, bytes], self.detach())
        except StreamClosedError:  # the client has hung up meanwhile
            connection.connection_lost(None)
        else:
            frames.accept(connection, transport, received)


class FeedHandler(UpgradeHandler):
    """The feed of this replica's log, and of its leases. Messages are handed to it as they
    arrive."""

    service: Replicated

    def open_connection(self) -> frames.FrameConnection:
        replica = self.service.replica
        connection = frames.FrameConnection()
        feed = replica.open_feed(connection)
        connection.on_frame = lambda frame: replica.feed_message(feed, frame)
        connection.on_lost = lambda: replica.feed_closed(feed)
        return connection
