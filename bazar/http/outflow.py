"""What was written to one client, and has not been read by it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from tornado.iostream import StreamClosedError


class Outflow:
    """Follows what the transport says. When it has taken too much, `deadline` is when the client
    must have read most of that: `allowed_s` later."""

    def __init__(self, allowed_s: float, clock: Callable[[], float]) -> None:
        self._allowed_s = allowed_s
        self._clock = clock
        self._waiting: list[asyncio.Future[None]] = []
        self.open = True
        """Whether more may be written."""
        self.deadline = math.inf

    def pause(self) -> None:
        self.open = False
        self.deadline = self._clock() + self._allowed_s

    def resume(self) -> None:
        self.open = True
        self.deadline = math.inf
        for future in self._given_back():
            future.set_result(None)

    def room(self) -> asyncio.Future[None]:
        """Return a future that is done when more may be written, and fails with StreamClosedError
        if the client has gone by then."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.open:
            future.set_result(None)
        else:
            self._waiting.append(future)
        return future

    def lost(self) -> None:
        """Tell those who wait that the client has gone. Not every one of them looks."""
        for future in self._given_back():
            future.set_exception(StreamClosedError())
            future.exception()

    def _given_back(self) -> list[asyncio.Future[None]]:
        """Return the futures of those who still wait, and forget them."""
        waiting, self._waiting = self._waiting, []
        return [future for future in waiting if not future.done()]
