"""A client's connection at a port with TLS, and one that has missed it."""

from __future__ import annotations

import asyncio

from bazar.errors import BadRequest
from bazar.http.connection import Connection
from bazar.http.served_request import ClientContext
from bazar.http.stages import ConnectionPhase, RequestStage


class TLSConnection(Connection):
    """asyncio's TLS has no half-closed connections: what one end closes is closed, and what still
    comes then makes it break, with answers that the client has not read yet. So a client that was
    told `Connection: close` has some time to close by itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = ClientContext(self.peer.remote_ip, "https")

    def eof_received(self) -> bool:
        self._ended = True
        self.close()
        return False

    def _end_output(self) -> None:
        if self._parser.request_line[2:] == (b"HTTP/1.0",):
            self.close()  # whose answer may end only there

    def expire(self, now: float) -> None:
        unread = now >= self.outflow.deadline or self._transport.get_write_buffer_size()
        waits = self.phase is ConnectionPhase.OPEN and self._parser.stage is RequestStage.IDLE
        if not unread and (waits or self.phase is ConnectionPhase.LEAVING):
            self.close()
        else:
            super().expire(now)

    def close(self) -> None:
        super().close()
        self.deadline = self._clock() + self._state.limits.linger_s  # for the client to close, too


class UnencryptedConnection(Connection):
    """Tells its client, in the clear, that this is not the way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.refuse(BadRequest("HTTP without TLS was sent to a port that has TLS: use https://"))
