"""Messages between two nodes: frames on one TCP connection. It begins as an HTTP request with an
upgrade (RFC 9110, 7.8), so that port, token and refusals are those of every other request.

A frame is its length, four bytes big-endian, then as many bytes. A WebSocket would carry the same,
but at several times the processor time per message, and that time is what limits purchases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from bazar.config import NodeConfig

Dial = Callable[[NodeConfig, str, str, float], Awaitable["FrameConnection"]]
"""What `dial` does, or the same over links that may be cut (`Links.dial`)."""

UPGRADE = "bazar-frames"
MAX_FRAME_BYTES = 64 << 20
MAX_UNSENT_BYTES = 128 << 20  # a peer that reads too slowly is disconnected
MAX_ANSWER_BYTES = 16 << 10
CLOSE_S = 1.0

SWITCHING = (
    f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {UPGRADE}\r\n\r\n"
).encode()


class FrameConnection(asyncio.Protocol):
    """One end of a connection. `on_frame` is called with each frame, `on_lost` once, when the
    connection is over; neither is called after `close`."""

    def __init__(
        self,
        on_frame: Callable[[bytes], None] = lambda frame: None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.on_frame = on_frame
        self.on_lost = on_lost
        self.closed = False
        self.transport: asyncio.Transport | None = None
        """What carries it, while there is a connection; `Links` may put something between."""
        self.paused = False
        self._received: bytes | bytearray = b""
        self._at = 0  # where in it the next frame begins
        self._writable = asyncio.Event()
        self._writable.set()

    # --- out -------------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Send a frame. If the connection is over, the frame is lost, as in the network."""
        if self.closed or self.transport is None:
            return
        if self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.transport.abort()
            return
        self.transport.write(len(frame).to_bytes(4, "big") + frame)

    async def drained(self) -> bool:
        """Wait until the other end has read most of what was sent. Return False if the connection
        is over."""
        await self._writable.wait()
        return not self.closed

    def abort(self) -> None:
        """End the connection at once; `on_lost` follows."""
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """End the connection when everything sent has been passed to the network."""
        if self.transport is not None:
            self.transport.close()
            asyncio.get_running_loop().call_later(CLOSE_S, self.abort)
        self.closed = True
        self._writable.set()

    # --- in --------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Take no frame until `resume`; TCP makes the other end wait."""
        if self.transport is not None:
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport is not None:
            self.paused = False
            self.transport.resume_reading()
            self._deliver()

    def _deliver(self) -> None:
        while not self.closed and not self.paused and len(self._received) >= self._at + 4:
            begin = self._at + 4
            end = begin + int.from_bytes(self._received[self._at : begin], "big")
            if end > begin + MAX_FRAME_BYTES:
                self.abort()
                return
            if len(self._received) < end:
                break
            frame = bytes(self._received[begin:end])
            self._at = end
            self.on_frame(frame)
        if self._at:  # else a large frame would be copied with each of its pieces
            self._received, self._at = self._received[self._at :], 0

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.closed:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._received = data  # mostly that is one frame, as it was sent
        else:
            if not isinstance(self._received, bytearray):  # to which pieces are added at no cost
                self._received = bytearray(self._received)
            self._received += data
        self._deliver()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None  # asyncio's may fail if it is aborted once more
        closed, self.closed = self.closed, True
        self._writable.set()
        if not closed:
            self.on_lost()


class _Dialing(FrameConnection):
    """The end that asked for the upgrade, until the answer comes."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # The caller of `dial` may have given up: then nothing else reads the error.
        self.answered.add_done_callback(lambda done: done.cancelled() or done.exception())

    def data_received(self, data: bytes) -> None:
        if self.answered.done():
            super().data_received(data)
            return
        self._received += data
        head, end, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not end and len(head) < MAX_ANSWER_BYTES:
            return
        status = head.partition(b"\r\n")[0].decode("latin-1")
        if status.split(" ")[1:2] in (["401"], ["403"]):
            self.answered.set_exception(
                PermissionError(f"answered {status[:60]!r}: it has another token")
            )
            return
        if status.split(" ")[1:2] != ["101"]:
            self.answered.set_exception(ConnectionRefusedError(f"answered {status[:60]!r}"))
            return
        # Read nothing before the caller has set `on_frame`.
        self._received = rest
        self.pause()
        self.answered.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_exception(ConnectionResetError("the connection was closed"))
        super().connection_lost(error)


async def dial(node: NodeConfig, path: str, token: str, timeout_s: float) -> FrameConnection:
    """Return a connection to `path` at `node`, paused: set `on_frame` and `on_lost`, then `resume`.
    Raises OSError; nothing has been sent then. That includes TimeoutError, PermissionError if the
    other end has another token, and SSLError if it is not to be trusted."""
    loop = asyncio.get_running_loop()
    secured = {} if node.tls is None else node.tls.toward(node.host)
    async with asyncio.timeout(timeout_s):
        transport, connection = await loop.create_connection(
            _Dialing, node.host, node.port, **secured
        )
        try:
            transport.write(
                f"GET {path} HTTP/1.1\r\nHost: {node.url.partition('//')[2]}\r\n"
                f"Authorization: Bearer {token}\r\nConnection: Upgrade\r\nUpgrade: {UPGRADE}\r\n"
                "\r\n".encode()
            )
            await connection.answered
        except BaseException:
            transport.abort()
            raise
    return connection


def accept(connection: FrameConnection, transport: asyncio.Transport, received: bytes) -> None:
    """Continue `connection` over a transport whose other end has asked for the upgrade, and has
    sent `received` behind that."""
    transport.set_protocol(connection)
    transport.write(SWITCHING)
    connection.connection_made(transport)
    try:
        connection.data_received(received)
    except BaseException:
        transport.abort()  # as asyncio does with what comes later
        raise
