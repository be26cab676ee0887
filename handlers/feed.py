"""The primary's end of a feed: a WebSocket that any node of the cluster may open (J1)."""

from __future__ import annotations

from typing import Protocol

from tornado.websocket import WebSocketHandler

from bazar.app import Service
from bazar.errors import BadRequest
from bazar.replication.node import Replica
from handlers.base import Handler


class Replicated(Service, Protocol):
    """A service whose node takes part in a group."""

    replica: Replica


class FeedHandler(WebSocketHandler, Handler):
    """Hands messages to the replica as they arrive."""

    service: Replicated
    feed: int | None = None

    async def get(self, *args: str, **kwargs: str) -> None:
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise BadRequest("Upgrade: a feed is a WebSocket")
        await WebSocketHandler.get(self, *args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        # Without it Nagle and delayed acknowledgements cost 40 ms a message.
        self.set_nodelay(True)
        self.feed = self.service.replica.open_feed(self)
        self.service.context.activity.leave(self)  # a feed stays, and is no request

    def on_message(self, message: str | bytes) -> None:
        if self.feed is not None:
            self.service.replica.feed_message(self.feed, message)

    def on_close(self) -> None:
        if self.feed is not None:
            self.service.replica.feed_closed(self.feed)

    def on_finish(self) -> None:
        self.service.context.activity.leave(self)
