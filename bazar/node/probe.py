"""Asking a node whether it still does anything."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

from bazar.config import NodeConfig

REQUEST = b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
END = b"\r\n\r\n"
LAST = b"\r\nconnection: close\r\n"


class Probe:
    """Asks one node again and again, over a connection that is kept: to open and to accept one for
    each question would be most of what a shop at rest costs."""

    def __init__(self, node: NodeConfig) -> None:
        self._node = node
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def answered(self, timeout_s: float) -> bool:
        """Return whether the node answers in time, be it that it refuses us: whatever is wrong with
        a certificate, this one's or ours, no restart helps, and connections that are there go
        on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                # The node may have closed what was kept: only a new connection tells.
                return await self._asked() or await self._asked_anew()
        self.close()  # or a late answer would be taken for the next one's
        return False

    async def _asked(self) -> bool:
        """Return whether there is an answer over the connection that was kept."""
        if self._reader is None or self._writer is None:
            return False
        try:
            self._writer.write(REQUEST)
            head = await self._reader.readuntil(END)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self.close()
            return False
        if LAST in head.lower():
            self.close()
        return True

    async def _asked_anew(self) -> bool:
        node = self._node
        options: dict[str, Any] = {} if node.tls is None else node.tls.toward(node.host)
        try:
            self._reader, self._writer = await asyncio.open_connection(
                node.bind, node.port, **options
            )
        except (ssl.SSLError, ConnectionResetError):
            return node.tls is not None
        except OSError:
            return False
        # A handshake, too, is the work of the node's own loop. In the clear an end without an
        # answer may come from the kernel, for a process that has died.
        return await self._asked() or node.tls is not None

    def close(self) -> None:
        """Let the connection go: a node that leaves would wait for its next question."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
