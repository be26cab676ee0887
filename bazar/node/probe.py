"""Asking a node whether it still does anything."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

from bazar.config import NodeConfig

PROBE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def answers(node: NodeConfig, timeout_s: float) -> bool:
    """Return whether the node answers in time, be it that it refuses us: whatever is wrong with a
    certificate, this one's or ours, no restart helps, and connections that are there go on."""
    options: dict[str, Any] = {} if node.tls is None else node.tls.toward(node.host)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            try:
                reader, writer = await asyncio.open_connection(node.bind, node.port, **options)
                try:
                    writer.write(PROBE)
                    line = await reader.readline()
                finally:
                    writer.close()
            except (ssl.SSLError, ConnectionResetError):
                line = b""
            except OSError:
                return False
            # A handshake, too, is the work of the node's own loop. In the clear an end without an
            # answer may come from the kernel, for a process that has died.
            return line != b"" or node.tls is not None
    return False
