"""What a connection goes through while its link is cut or slow: all that either end sends waits.

Nothing is refused, and no end is told, as where a network loses packets or takes long: data, and
the end of a connection, too, arrive in order, late, or once the link is mended. A cut is of both
directions, as TCP wants acknowledgements: in one alone it does not get on either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf

from bazar.rpc.frames import FrameConnection

MAX_HELD_BYTES = 1 << 20  # on their way to us; then TCP makes the other end wait


class Direction:
    """What is sent this way arrives in order, `delay_s` later: never while that is infinite, or
    while the receiver is not `ready`. `moved` is called whenever something may have arrived."""

    def __init__(self, delay_s: float, moved: Callable[[], None]) -> None:
        self.delay_s = delay_s
        self.ready = True
        self.size = 0
        """How many are on their way."""
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._sent: deque[tuple[float, int, Callable[[], object]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_empty(self) -> bool:
        return not self._sent

    def send(self, arrives: Callable[[], object], size: int = 0) -> None:
        """Have `arrives` called in its time; `size` is how many bytes that brings."""
        self._sent.append((self._loop.time(), size, arrives))
        self.size += size
        self.go_on()

    def drop(self) -> None:
        """Lose all that is on its way."""
        self._sent.clear()
        self.size = 0

    def go_on(self) -> None:
        """Let arrive what may, and look again when more may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._due_at() <= self._loop.time():
            _, size, arrives = self._sent.popleft()
            self.size -= size
            arrives()
        if self._due_at() < inf:
            self._timer = self._loop.call_at(self._due_at(), self.go_on)
        self._moved()

    def _due_at(self) -> float:
        return self._sent[0][0] + self.delay_s if self._sent and self.ready else inf


class Impaired(asyncio.Transport, asyncio.Protocol):
    """The transport of a connection, and the protocol of the transport that it had before. It steps
    aside when the link is mended and nothing is on its way any more."""

    def __init__(self, connection: FrameConnection, delay_s: float) -> None:
        super().__init__()
        assert connection.transport is not None
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._transport = connection.transport
        self._reads = not connection.paused
        self._lost = False
        self._there, self._here = Direction(delay_s, self._adjust), Direction(delay_s, self._adjust)
        self._here.ready = self._reads
        connection.transport = self
        self._transport.set_protocol(self)
        self._adjust()

    @property
    def over(self) -> bool:
        """Whether nothing goes through it any more."""
        return self._lost and self._here.is_empty

    def delay(self, delay_s: float) -> None:
        """Set how long everything takes from now on; infinite for a link that is cut."""
        for way in (self._there, self._here):
            way.delay_s = delay_s
        for way in (self._there, self._here):
            way.go_on()

    def _adjust(self) -> None:
        """Read if what comes may be kept here; step aside if there is nothing to do."""
        if self._lost or self._connection.transport is not self:  # it has stepped aside
            return
        here = self._here
        reads = here.ready and here.size < MAX_HELD_BYTES
        if reads != self._reads:
            self._reads = reads
            if reads:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
        if here.delay_s == 0 and here.is_empty:  # nothing is kept the other way then
            self._connection.transport = self._transport
            self._transport.set_protocol(self._connection)

    # --- the connection's transport --------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._lost:
            self._there.send(partial(self._transport.write, data), len(data))

    def get_write_buffer_size(self) -> int:
        return self._there.size + self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._here.ready = False
        self._adjust()

    def resume_reading(self) -> None:
        self._here.ready = True
        self._loop.call_soon(self._here.go_on)

    def close(self) -> None:
        self._there.send(self._transport.close)

    def abort(self) -> None:
        self._there.drop()
        if not self._lost:
            self._there.send(self._transport.abort)
        self._loop.call_soon(self._connection.connection_lost, None)

    # --- the protocol of the transport before ----------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._here.send(partial(self._deliver, data), len(data))

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._there.drop()
        self._here.send(partial(self._connection.connection_lost, error))

    def _deliver(self, data: bytes) -> None:
        try:
            self._connection.data_received(data)
        except BaseException:
            self.abort()  # as asyncio does
            raise
