"""Connections that are to be encrypted and are not yet: few, and not for long.

Whoever has sent nothing costs no more than a descriptor; whoever is in a handshake can't be told
anything. When there are too many the oldest has to go.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from bazar.futures import resolve
from bazar.http.connection import Owner
from bazar.http.state import ServerState
from bazar.http.tls_connection import TLSConnection

log = logging.getLogger(__name__)

MOST = 256
HANDSHAKE = b"\x16"  # TLS's first byte, which begins no request
MAX_TOLD = 64

NewContext = Callable[[], ssl.SSLContext]
"""Returns what the next connection is encrypted with."""


class Handshakes:
    """`unencrypted` gets those that begin otherwise. `over` is called after each, whatever has
    become of it."""

    def __init__(
        self,
        state: ServerState,
        owner: Owner,
        *,
        unencrypted: Callable[[socket.socket], None],
        over: Callable[[], None],
    ) -> None:
        self._state = state
        self._owner = owner
        self._unencrypted = unencrypted
        self._over = over
        self._loop = asyncio.get_event_loop()
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order they came
        self._told: set[str] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, one: socket.socket, context: NewContext) -> None:
        if len(self._tasks) >= min(MOST, 1 + self._state.limits.connections // 8):
            oldest = next(iter(self._tasks))
            self._tasks.pop(oldest)
            oldest.cancel()
        task = self._loop.create_task(self._shake(one, context))
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._over()

    async def finished(self) -> None:
        """Wait for those that have begun."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def close(self) -> None:
        """Give up those that have not come to their end."""
        for task in list(self._tasks):
            task.cancel()
        await self.finished()

    async def _shake(self, one: socket.socket, context: NewContext) -> None:
        limits = self._state.limits
        address, for_nodes = "?", False
        try:
            address = str(one.getpeername()[0])
            async with asyncio.timeout(limits.handshake_s):
                first = await self._first_byte(one)
                if first == HANDSHAKE:
                    secured = context()
                    for_nodes = secured.verify_mode is ssl.CERT_REQUIRED
                    await self._loop.connect_accepted_socket(
                        lambda: TLSConnection(self._state, self._owner),
                        one,
                        ssl=secured,
                        ssl_handshake_timeout=limits.handshake_s,
                        ssl_shutdown_timeout=limits.linger_s,
                    )
                elif first:
                    self._unencrypted(one)
                else:
                    one.close()
        except ssl.SSLError as error:
            one.close()
            if for_nodes:
                self._tell(address, error)
        except OSError:  # it has gone already, or takes too long
            one.close()
        except asyncio.CancelledError:
            one.close()
            raise

    async def _first_byte(self, one: socket.socket) -> bytes:
        """Return what comes first, and leave it there; nothing if nothing comes any more."""
        while True:
            try:
                return one.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                arrived: asyncio.Future[None] = self._loop.create_future()
                self._loop.add_reader(one, resolve, arrived, None)
                try:
                    await arrived
                finally:
                    self._loop.remove_reader(one)

    def _tell(self, address: str, error: ssl.SSLError) -> None:
        """Say, once, that a certificate is refused, or that ours is: it may be a node of this shop,
        which tries again and again."""
        why = getattr(error, "verify_message", None) or error.reason or str(error)
        said = f"{address}: no connection: {why}"
        if said in self._told:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told.add(said)
        log.warning("%s", said)
