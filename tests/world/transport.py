"""What asyncio does with one end of a connection: `_SelectorSocketTransport`, step by step.

The order in which a protocol is called is asyncio's own, because code comes to rely on it: whether
there is something to read, or room to write, is checked once per turn, and one read is one step.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from tests.world.loop import NodeLoop, resolve

if TYPE_CHECKING:
    from tests.world.network import Stream

HIGH_WATER, LOW_WATER = 4096, 1024  # asyncio has sixteen times as much
MOST_READ = 256 * 1024


class Transport(asyncio.Transport):
    """Reads and writes a `Stream` for a protocol."""

    def __init__(
        self,
        stream: Stream,
        loop: NodeLoop,
        protocol: asyncio.Protocol,
        waiter: asyncio.Future[Any] | None = None,
    ) -> None:
        super().__init__()
        self.stream = stream
        stream.transport = self
        self._loop = loop
        self._protocol = protocol
        self._buffer = bytearray()
        self._paused = False
        self._closing = False
        self._lost = False
        """Whether `connection_lost` is called, or soon will be."""
        self._choked = False  # and the protocol has been told
        self._reader: Context | None = None  # of the code that asked to be called on input
        self._writer: Context | None = None
        self._reading = self._writing = False  # a callback for it is on its way
        loop.call_soon(protocol.connection_made, self)
        loop.call_soon(self._add_reader)
        if waiter is not None:
            loop.call_soon(resolve, waiter, None, None)

    # --- what asyncio asks -----------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        if self.is_reading():
            self._paused = True
            self._reader = None

    def resume_reading(self) -> None:
        if not self._closing and self._paused:
            self._paused = False
            self._add_reader()

    # --- readiness -------------------------------------------------------------------------------

    def _add_reader(self) -> None:
        if self.is_reading():
            self._reader = copy_context()
            self.poll()

    def poll(self) -> None:
        """Have the protocol called in the next turn, if there is input or room to write."""
        if self._reader is not None and not self._reading and self.stream.readable:
            self._reading = True
            self._loop.post(self._read_ready, context=self._reader)
        if self._writer is not None and not self._writing and self.stream.writable:
            self._writing = True
            self._loop.post(self._write_ready, context=self._writer)

    # --- in --------------------------------------------------------------------------------------

    def _read_ready(self) -> None:
        self._reading = False
        if self._reader is None or self._lost:
            return
        try:
            data = self.stream.recv(MOST_READ)
        except OSError as error:
            self._force_close(error)
            return
        try:
            if data:
                self._protocol.data_received(data)
            elif self._protocol.eof_received():
                self._reader = None
            else:
                self.close()
        except Exception as error:
            self._fail(error)
        self.poll()

    # --- out -------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data: must be bytes-like, not {type(data).__name__}")
        if not data or self._lost:
            return
        left = bytes(data)
        if not self._buffer:
            try:
                left = left[self.stream.send(left) :]
            except OSError as error:
                self._force_close(error)
                return
            if not left:
                return
            self._writer = copy_context()
        self._buffer += left
        if len(self._buffer) > HIGH_WATER and not self._choked:
            self._choked = True
            try:
                self._protocol.pause_writing()
            except Exception as error:
                self._loop.call_exception_handler({"exception": error})

    def _write_ready(self) -> None:
        self._writing = False
        if self._writer is None or self._lost:
            return
        try:
            del self._buffer[: self.stream.send(self._buffer)]
        except OSError as error:
            self._force_close(error)
            return
        if self._choked and len(self._buffer) <= LOW_WATER:
            self._choked = False
            try:
                self._protocol.resume_writing()
            except Exception as error:
                self._loop.call_exception_handler({"exception": error})
        if self._buffer:
            self.poll()
            return
        self._writer = None
        if self._closing and not self._lost:
            self._lost = True
            self._call_connection_lost(None)

    # --- its end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """End the connection after all that was written."""
        if self._closing:
            return
        self._closing = True
        self._reader = None
        if not self._buffer:
            self._force_close(None)

    def abort(self) -> None:
        """End the connection at once: what is still in the transport is lost."""
        self._force_close(None)

    def _fail(self, error: Exception) -> None:
        """Close the connection after an exception of its protocol."""
        if not isinstance(error, OSError):
            self._loop.call_exception_handler({"exception": error})
        self._force_close(error)

    def _force_close(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._buffer.clear()
        self._reader = self._writer = None
        self._closing = self._lost = True
        self._loop.call_soon(self._call_connection_lost, error)

    def _call_connection_lost(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self.stream.close()
