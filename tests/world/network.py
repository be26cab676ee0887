"""Connections between processes, like TCP's: what the kernels at both ends know.

Bytes arrive in order, in pieces that do not depend on how they were sent. Each direction has its
own delays. What the other end has not read fills its kernel's buffer, and then nothing more is
taken from the sender. A process that dies closes its ends, which the other end notices after all
that was sent. A machine or a cable that fails is not noticed for a while. Both directions close at
once: there are no half-closed connections here.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.world.loop import resolve
from tests.world.transport import Transport
from tests.world.world import Killed, Process, World

if TYPE_CHECKING:
    from asyncio import Protocol

RESET = "reset by peer"


@dataclass(slots=True, eq=False)
class Host:
    """The target of a port, whatever process listens there."""

    name: str
    process: Process | None = None
    factory: Callable[[], Protocol] | None = None
    context: Context | None = None  # of the code that began to listen
    isolated: bool = False
    waits: bool = False
    """Whether a supervisor holds its socket while no process listens: then connections
    wait, and are not refused."""
    backlog: deque[Stream] = field(default_factory=deque)
    """Connections that no process has taken yet."""


class Network:
    """The listeners of all ports, and how long sent bytes take."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hosts: dict[int, Host] = {}
        self.tape = world.tape("network")
        self.window = 65_536
        """How many bytes may be under way to a process that does not read them."""
        self.split_chance = 0.0
        """How often sent bytes arrive in pieces, and the rest of them in more pieces."""
        self.delay: Callable[[], float] = lambda: 0.001
        self.seen: Callable[[Stream, Stream, bytes, float], None] | None = None
        """Called with all that is sent: from which end, to which, and when it arrives."""
        self.streams = 0

    # --- listening -------------------------------------------------------------------------------

    def listen(self, process: Process, factory: Callable[[], Protocol], port: int) -> None:
        """Take the connections to this port. Raises OSError if it is already listened on."""
        host = self.hosts.setdefault(port, Host(str(port)))
        if host.factory is not None:
            raise OSError(errno.EADDRINUSE, f"port {port}: address already in use")
        host.process, host.factory, host.context = process, factory, copy_context()
        process.at_death.append(lambda: self._deafen(host, process))
        for _ in host.backlog:
            self._ring(host)

    def close(self, port: int) -> None:
        """Accept nothing more on this port."""
        host = self.hosts[port]
        host.factory = None
        while host.backlog and not host.waits:
            host.backlog.popleft().close(reset=True)

    def _deafen(self, host: Host, process: Process) -> None:
        if host.process is process:
            host.process = host.factory = None
            while host.backlog and not host.waits:
                host.backlog.popleft().close(reset=True)

    def _ring(self, host: Host) -> None:
        if host.factory is not None and host.process is not None:
            host.process.loop.post(self._accept, host, host.process, context=host.context)

    def _accept(self, host: Host, process: Process) -> None:
        if host.process is not process or host.factory is None or not host.backlog:
            return
        stream = host.backlog.popleft()
        stream.process = process
        process.streams[stream] = None
        if host.isolated:
            stream.vanish((0.0, 0.0))
        Transport(stream, process.loop, host.factory())

    # --- dialing ---------------------------------------------------------------------------------

    async def dial(
        self, process: Process, factory: Callable[[], Protocol], port: int
    ) -> tuple[Transport, Protocol]:
        """Open a connection to a port. Raises OSError."""
        if not process.alive:
            raise Killed
        stream = Stream(self, process.name, process)
        process.streams[stream] = None
        stream.connected = process.loop.create_future()
        self.world.after(self.delay(), None, self._reach, stream, port)
        try:
            await stream.connected
        except BaseException:
            stream.close()
            raise
        protocol, waiter = factory(), process.loop.create_future()
        transport = Transport(stream, process.loop, protocol, waiter)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    def _reach(self, stream: Stream, port: int) -> None:
        """Ask to be accepted. Without an answer the dialing is given up."""
        host = self.hosts.get(port)
        if stream.closed or stream.cut or self._isolated(host, stream.process):
            return
        if host is None or not (host.factory or host.waits):
            self.world.after(self.delay(), None, stream.answered, ConnectionRefusedError("refused"))
            return
        self.streams += 1
        other = Stream(self, host.name)
        stream.number = other.number = self.streams
        stream.peer, other.peer = other, stream
        host.backlog.append(other)
        self._ring(host)
        stream.arrival = max(stream.arrival, self.world.now + self.delay())
        self.world.due(stream.arrival, None, stream.answered, None)

    def _isolated(self, host: Host | None, process: Process | None) -> bool:
        return (host is not None and host.isolated) or any(
            other.isolated and other.process is process for other in self.hosts.values()
        )


class Stream:
    """One end of a connection, in its machine's kernel."""

    def __init__(self, network: Network, name: str, process: Process | None = None) -> None:
        self.network = network
        self.world = network.world
        self.name = name
        self.process = process
        """Its process; None before it is accepted."""
        self.number = 0
        self.peer: Stream | None = None
        self.connected: asyncio.Future[Any] | None = None
        self.transport: Transport | None = None
        self.closed = False
        self.cut = False
        """Whether nothing more arrives here."""
        self.arrival = 0.0  # when the last bytes sent to here arrive
        self._received = bytearray()
        self._ended = False  # the end follows what is received
        self._error = ""  # the error follows what is received, if that is still there
        self._under_way = 0  # bytes that the other end has not read, as far as this end knows
        self._read = 0  # bytes that were read, of which the other end does not know

    # --- system calls ----------------------------------------------------------------------------

    @property
    def readable(self) -> bool:
        """Return whether a read would return, or raise, at once."""
        return bool(self._received or self._ended or self._error)

    @property
    def writable(self) -> bool:
        return bool(self._error) or self._under_way < self.network.window

    def send(self, data: bytes | bytearray) -> int:
        """Take as many bytes as there is room for, and return their number. Raises OSError."""
        if self.closed:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if self._error:
            raise ConnectionResetError(self._error)
        taken = bytes(data[: max(0, self.network.window - self._under_way)])
        self._under_way += len(taken)
        tape, chance = self.network.tape, self.network.split_chance
        left = taken
        while chance and len(left) > 1 and tape.chance(chance):
            at = 1 + tape.below(len(left) - 1)
            self._transmit(left[:at])
            left = left[at:]
        if left:
            self._transmit(left)
        return len(taken)

    def recv(self, most: int) -> bytes:
        """Return what has arrived; b"" at the end. Raises OSError."""
        if self._received:
            data = bytes(self._received[:most])
            del self._received[:most]
            self._tell_room(len(data))
            return data
        if self._error:
            raise ConnectionResetError(self._error)
        return b""

    def close(self, *, reset: bool = False) -> None:
        """Close this end, as its process does by itself or by dying. The other end learns it after
        all that was sent. If there are unread bytes here, the connection is reset."""
        if self.closed:
            return
        self.closed = True
        if self.process is not None:
            self.process.streams.pop(self, None)
        self._tell(RESET if reset or self._received else "")

    # --- out -------------------------------------------------------------------------------------

    def _reaches(self) -> Stream | None:
        """Return the other end, or None if nothing reaches it."""
        peer = self.peer
        return None if peer is None or peer.cut or self.cut else peer

    def _transmit(self, data: bytes) -> None:
        peer = self._reaches()
        if peer is not None:
            peer.arrival = max(peer.arrival, self.world.now + self.network.delay())
            self.world.due(peer.arrival, None, peer.arrives, data)
            if self.network.seen is not None:
                self.network.seen(self, peer, data, peer.arrival)

    def _tell(self, how: str) -> None:
        peer = self._reaches()
        if peer is not None:
            peer.arrival = max(peer.arrival, self.world.now + self.network.delay())
            self.world.due(peer.arrival, None, peer.ends, how)

    def _tell_room(self, read: int) -> None:
        """Report from time to time how much was read (a window update, RFC 9293, 3.8.6.2.2)."""
        self._read += read
        peer = self._reaches()
        if peer is not None and 2 * self._read >= self.network.window:
            at = max(peer.arrival, self.world.now + self.network.delay())
            self.world.due(at, None, peer.has_room, self._read)
            self._read = 0

    def has_room(self, read: int) -> None:
        """Learn how much the other end has read."""
        self._under_way -= read
        self._wake()

    # --- in --------------------------------------------------------------------------------------

    def answered(self, error: Exception | None) -> None:
        """Learn the outcome of the dialing."""
        if self.connected is not None and self.process is not None:
            self.process.loop.post(resolve, self.connected, None, error)

    def arrives(self, data: bytes) -> None:
        """Take bytes into the kernel's buffer."""
        if self.cut:
            return
        if self.closed:
            self._tell(RESET)
            self.cut = True
            return
        self._received += data
        self._wake()

    def ends(self, how: str) -> None:
        """Learn that the other end was closed or lost, and how."""
        if self.closed:
            return
        if how:
            self.cut = True
            self._error = self._error or how
            if self._received and self.network.tape.chance(0.5):
                self._received.clear()  # a reset may discard what was not read
            self.answered(ConnectionResetError(how))
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self.transport is not None:
            self.transport.poll()

    # --- what goes wrong -------------------------------------------------------------------------

    def vanish(self, late_s: tuple[float, float]) -> None:
        """Lose the connection: nothing more arrives at either end, and both notice it some time
        later."""
        for end, late in zip((self, self.peer), late_s, strict=True):
            if end is not None:
                end.cut = True
                self.world.after(late, None, end.ends, "no route")

    def silence(self) -> None:
        """Let nothing more through in either direction, and let neither end notice."""
        self.cut = True
        if self.peer is not None:
            self.peer.cut = True

    def stall(self, for_s: float) -> None:
        """Let nothing more through to this end for a while; nothing is lost."""
        self.arrival = max(self.arrival, self.world.now + for_s)
