"""The HTTP door of every node: a public HTTP/1.1 server that answers what it was asked before, and
hands everything else to a Tornado application.

An answer of the application costs 60 µs and more, a cached one is ready in 10: a target that is
known enters Tornado only where it fails. `HTTPServer` listens, keeps time and ends it all; a
`Connection` reads and answers one client; a `Fetch` is one request for a known target whose answer
must be asked for, an `Exchange` one inside the application. What asks for another protocol, and
gets it, leaves with its transport and counts here no more.

A client may go wrong in any way it likes. Each has bounds: on its head, its body and the time both
take, on the requests it sends ahead, on the answers it does not read, on idling. What might be read
as two different requests is refused and the connection closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Iterable
from typing import Any

from bazar.http.acceptor import Acceptor
from bazar.http.connection import Connection
from bazar.http.handshakes import Handshakes, NewContext
from bazar.http.state import ServerState
from bazar.http.tls_connection import UnencryptedConnection

SPARE_CONNECTIONS = 64  # beyond the limit, for those that are just told so
SAMPLE = 64  # that are looked at to find one that may be closed
LONGEST_SWEEP_S = 0.5


class HTTPServer:
    """Accepts connections, has room made for them, and ends those whose time is up. Used like
    Tornado's."""

    def __init__(self, state: ServerState) -> None:
        self.state = state
        self.connections: set[Connection] = set()
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._acceptor = Acceptor(self._take)
        self._opening: set[asyncio.Task[Any]] = set()
        self._contexts: dict[socket.socket, NewContext] = {}  # of the sockets that have TLS
        self._handshakes = Handshakes(
            state,
            self,
            unencrypted=lambda one: self._begin(one, UnencryptedConnection),
            over=self._acceptor.go_on,
        )
        self._sweeper: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_event_loop()

    # --- listening -------------------------------------------------------------------------------

    def add_sockets(
        self, sockets: Iterable[socket.socket], context: NewContext | None = None
    ) -> None:
        """Accept connections on these sockets, with a `context` those that speak TLS."""
        for one in sockets:
            if context is not None:
                self._contexts[one] = context
            self._acceptor.listen([one])

    def _take(self, one: socket.socket, listening: socket.socket) -> bool:
        context = self._contexts.get(listening)
        if context is not None:
            self._handshakes.begin(one, context)
        else:
            self._begin(one, Connection)
        most = self.state.limits.connections
        spare = min(SPARE_CONNECTIONS, 1 + most // 4)
        return len(self.connections) + len(self._opening) < most + spare

    def _begin(self, one: socket.socket, kind: type[Connection]) -> None:
        task = self._loop.create_task(self._open(one, kind))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, one: socket.socket, kind: type[Connection]) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: kind(self.state, self), one)
        except OSError:  # it has gone already
            one.close()
            self._acceptor.go_on()

    def stop(self) -> None:
        """Accept no more, and close each connection with its next answer."""
        self.state.stopping = True
        self._acceptor.close()

    async def close_gracefully(self) -> None:
        """Wait a little for clients that keep their connection: they must be told before it is
        closed, or the next request might already be on the way."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.state.limits.graceful_close_s):
                await self._handshakes.finished()
                await self._none_left.wait()

    async def close_all_connections(self) -> None:
        """Close what is left, after what has been written to it."""
        await self._handshakes.close()
        if self._opening:
            await asyncio.wait(self._opening)
        for connection in list(self.connections):
            connection.close()
        try:
            async with asyncio.timeout(self.state.limits.linger_s):
                await self._none_left.wait()
        except TimeoutError:
            for connection in list(self.connections):
                connection.abort()
            await self._none_left.wait()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.state.log.flush()

    # --- room for connections --------------------------------------------------------------------

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more: the connection that has waited longest makes it."""
        if not self.connections:
            self._none_left.clear()
            self._sweep_later()
        full = len(self.connections) >= self.state.limits.connections and not self._make_room()
        self.connections.add(connection)
        return not full

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for a request, of some that are picked
        at random (all of them would take too long to look at for each that comes)."""
        some = random.sample(list(self.connections), min(SAMPLE, len(self.connections)))
        waiting = [(one.idle_since, one) for one in some]
        since = [(at, one) for at, one in waiting if at is not None]
        longest = min(since, key=lambda pair: pair[0], default=None)
        if longest is not None:
            longest[1].close()
        return longest is not None

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._acceptor.go_on()
        if not self.connections:
            self._none_left.set()

    # --- keeping time ----------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        """Set one timer for all: a timer for each would be set anew with each request."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        limits = self.state.limits
        shortest = min(
            *(limits.head_s, limits.body_s, limits.idle_s),
            *(limits.linger_s, limits.half_close_s, limits.write_s),
        )
        self._sweeper = self._loop.call_later(min(shortest / 4, LONGEST_SWEEP_S), self.sweep)

    def sweep(self) -> None:
        """Deal with all whose time is up."""
        now = self.state.clock()
        for connection in list(self.connections):
            if now >= connection.deadline or now >= connection.outflow.deadline:
                connection.expire(now)
        self._sweeper = None
        if self.connections:
            self._sweep_later()
