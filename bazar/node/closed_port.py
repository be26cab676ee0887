"""The port of a node that is not started for a while: every request is refused at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Any

from bazar import trace_context
from bazar.errors import Unavailable
from bazar.http.handshakes import NewContext
from bazar.http.response import HEADERS, header_lines, render

LISTEN_S = 1.0  # to read on after the answer: a close with unread input may lose it
MOST_BYTES = 1 << 16
HANDSHAKE_S = 5.0


@contextlib.asynccontextmanager
async def refusing(
    sockets: Iterable[tuple[socket.socket, NewContext | None]], why: str
) -> AsyncIterator[None]:
    """Answer 503 on these sockets, with TLS where there is a context. They stay open: later
    connections wait for the node."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(_answer(Unavailable(why)))
            if writer.can_write_eof():  # else the client knows by Connection and Content-Length
                writer.write_eof()
            async with asyncio.timeout(LISTEN_S):
                left = MOST_BYTES
                while left > 0 and (data := await reader.read(MOST_BYTES)):
                    left -= len(data)
        writer.close()

    servers = [
        await asyncio.start_server(refuse, sock=one.dup(), **_options(context))
        for one, context in sockets
    ]
    try:
        yield
    finally:
        for server in servers:
            server.close()


def _options(context: NewContext | None) -> dict[str, Any]:
    """Return what a server needs to speak TLS, if it does: to anybody, as there is nothing to
    have."""
    if context is None:
        return {}
    return {"ssl": context(), "ssl_handshake_timeout": HANDSHAKE_S}


def _answer(error: Unavailable) -> bytes:
    """Return a refusal as the node itself would answer it; its `request_id` is in no log."""
    request_id = trace_context.new_id()
    plain = {"error": str(error), "code": error.code, "request_id": request_id}
    body = render(plain)
    fields = {
        **HEADERS,
        "X-Request-Id": request_id,
        "Connection": "close",
        "Retry-After": str(error.retry_after_s or 0),
        "Content-Length": str(len(body)),
    }
    return b"HTTP/1.1 503 Service Unavailable\r\n%b\r\n%b" % (header_lines(fields), body)
