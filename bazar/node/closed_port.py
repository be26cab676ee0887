"""The port of a node that is not started for a while: every request is refused at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Sequence

from bazar.errors import Unavailable

LISTEN_S = 1.0  # to read on after the answer: a close with unread input may lose it
MOST_BYTES = 1 << 16


@contextlib.asynccontextmanager
async def refusing(sockets: Sequence[socket.socket], why: str) -> AsyncIterator[None]:
    """Answer 503 on these sockets. They stay open: later connections wait for the node."""
    error = Unavailable(why)
    body = json.dumps({"error": why, "code": error.code}).encode() + b"\n"
    answer = (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\n"
        b"Connection: close\r\nRetry-After: 1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(answer)
            writer.write_eof()
            async with asyncio.timeout(LISTEN_S):
                left = MOST_BYTES
                while left > 0 and (data := await reader.read(MOST_BYTES)):
                    left -= len(data)
        writer.close()

    servers = [await asyncio.start_server(refuse, sock=one.dup()) for one in sockets]
    try:
        yield
    finally:
        for server in servers:
            server.close()
