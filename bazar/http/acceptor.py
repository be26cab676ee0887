"""Accepting connections while there is room for them.

A connection that finds no descriptor left stays in the kernel's queue, where the loop would be
called for it again and again. So accepting stops before that, and goes on when one has ended.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable

from bazar.http import descriptors

log = logging.getLogger(__name__)

BACKLOG = 1024
TURN = 64  # accepted in one go; then it is the turn of those that are there
RETRY_S = 0.5


class Acceptor:
    """`take` gets each connection with the socket that it has come to, and says whether there is
    room for another. If not, `go_on` is to be called when one has ended, or can be closed for
    another."""

    def __init__(self, take: Callable[[socket.socket, socket.socket], bool]) -> None:
        self._take = take
        self._loop = asyncio.get_event_loop()
        self._listening: list[socket.socket] = []
        self._retry: asyncio.TimerHandle | None = None
        self.paused = False
        self._told = False

    def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on these sockets, which are bound."""
        for one in sockets:
            one.setblocking(False)
            one.listen(BACKLOG)
            self._listening.append(one)
            if not self.paused:
                self._loop.add_reader(one, self._accept, one)

    def go_on(self) -> None:
        if self.paused:
            self._stop_waiting()
            for one in self._listening:
                self._loop.add_reader(one, self._accept, one)

    def close(self) -> None:
        """Accept no more connections."""
        self._stop_waiting()
        for one in self._listening:
            self._loop.remove_reader(one)
            one.close()
        self._listening.clear()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(TURN):
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(f"cannot accept connections: {error.strerror or error}")
                # What holds the descriptors may be none of our connections.
                self._retry = self._loop.call_later(RETRY_S, self.go_on)
                return
            connection.setblocking(False)
            if not self._take(connection, listening):
                self._pause(
                    "as many connections as there can be, all at work: others wait (`ulimit -n` is"
                    f" {descriptors.limit()})"
                )
                return

    def _pause(self, why: str) -> None:
        if not self._told:  # once, not whenever one comes
            log.warning("%s", why)
            self._told = True
        self.paused = True
        for one in self._listening:
            self._loop.remove_reader(one)

    def _stop_waiting(self) -> None:
        self.paused = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
