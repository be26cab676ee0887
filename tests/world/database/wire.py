"""One connection between a node and a server, and the session at the node's end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from storage.postgresql.session import Broken, Refused, Reply, Session, Statement
from tests.world.database.backend import BYE, SYNC, Backend, Item
from tests.world.database.pipes import Pipe
from tests.world.loop import resolve
from tests.world.world import Killed, Process

if TYPE_CHECKING:
    from tests.world.database.database import Database
    from tests.world.database.server import Server

HELLO, GONE = "hello", "gone"


class Wire:
    """What the kernels and the network know of a connection."""

    def __init__(self, database: Database, process: Process, server: Server) -> None:
        self.database = database
        self.world = database.world
        self.process = process
        self.server = server
        self.machine = server.process
        """The run of the server to which it leads."""
        self.session = SimulatedSession(self)
        self.backend: Backend | None = None
        self.is_cut = False
        here, there = process.name, server.name
        self.to_server = Pipe(database, (here, there), server.process, self._at_server)
        self.to_client = Pipe(database, (there, here), process, self.session.receive)
        database.wires[self] = None
        process.at_death.append(self._client_died)

    def knock(self) -> None:
        """Ask for a session."""
        if self.machine.alive:
            self.to_server.send(HELLO)
        else:
            self.unanswered()

    def send(self, items: tuple[Item | str, ...]) -> None:
        """Send a pipeline. It may be torn anywhere: nothing behind that arrives before later."""
        pace = self.database.pace
        if not self.machine.alive:
            self.unanswered()
        elif self.process.name in self.database.tearing:
            self.database.tearing.discard(self.process.name)
            self.to_server.send(items[: 1 + pace.tape.below(len(items))])
            self.cut()
        elif pace.torn and pace.tape.chance(pace.torn):
            at = 1 + pace.tape.below(len(items) - 1)
            self.to_server.send(items[:at])
            self.to_server.send(items[at:], pace.draw(pace.torn_s))
        else:
            self.to_server.send(items)

    def unanswered(self) -> None:
        """Send something to a server that is gone: there is an answer only if its machine runs."""
        if not self.server.silent or self.server.process.alive:
            self.to_client.send(GONE)

    def _at_server(self, message: Any) -> None:
        if message is HELLO:
            self.backend = Backend(self.server, self)
            self.to_client.send((None, False))
        elif self.backend is None:
            self.to_client.send(GONE)  # RST
        else:
            self.backend.receive(message)

    # --- its end ---------------------------------------------------------------------------------

    def client_closed(self) -> None:
        """Have the server read the end of this connection, after all that was sent."""
        self.to_server.send((BYE,))
        self._forget()

    def server_closed(self) -> None:
        """Have the client read the end."""
        self.backend = None
        if not self.server.silent:
            self.to_client.send(GONE)
        self._forget()

    def _client_died(self) -> None:
        """Close the connection as a kernel does, unless that died with its process."""
        if self.session.broken:
            return
        self.session.broken = True
        pace = self.database.pace
        if pace.tape.chance(pace.power):
            self.cut()
        else:
            self.client_closed()

    def _forget(self) -> None:
        if self.backend is None and self.session.broken:
            self.database.wires.pop(self, None)

    def cut(self) -> None:
        """Let nothing more through, for good, but what is under way."""
        self.is_cut = True
        self.to_client.drop()
        self.to_server.close()
        self.watch()

    def watch(self) -> None:
        """Have the server notice that nothing comes through, if it still is so by then."""
        self.world.after(self.database.pace.keepalive(), self.machine, self._notice)

    def _notice(self) -> None:
        ways = {self.to_server.way, self.to_client.way}
        if self.backend is not None and (self.is_cut or not self.database.cuts.isdisjoint(ways)):
            self.to_client.drop()
            self.backend.lose()


class SimulatedSession:
    """A session at a node, on the node's own loop."""

    def __init__(self, wire: Wire) -> None:
        self.server = wire.server.name
        self._wire = wire
        self._process = wire.process
        self.broken = False
        self._waiter: asyncio.Future[Any] | None = None
        self._in_block = False

    async def open(self, timeout_s: float) -> None:
        self._wire.knock()
        await self._answer(timeout_s)

    async def run(self, *statements: Statement, timeout_s: float) -> Reply:
        if self.broken:
            raise Broken(f"{self.server}: the session is broken")
        if self._waiter is not None:
            raise RuntimeError("a session runs one thing at a time")
        self.check_begin(statements)
        database = self._wire.database
        if database.told is not None:
            database.told(self._process.name, self.server, statements)
        items = [(database.command(each.sql), each.params) for each in statements]
        self._wire.send((*items, SYNC))
        reply = await self._answer(timeout_s)
        assert isinstance(reply, Reply)
        return reply

    def check_begin(self, statements: Sequence[Statement]) -> None:
        """Refuse what would be committed at the end of the pipeline without a COMMIT."""
        if len(statements) > 1 and not self._in_block and statements[0].sql[:5] != "BEGIN":
            raise ValueError(f"no transaction is open, and none begins: {statements[0].sql!r}")

    async def _answer(self, timeout_s: float) -> Any:
        """Wait for what the server says. Whatever else happens breaks the session."""
        if not self._process.alive:
            raise Killed
        loop = self._process.loop
        self._waiter = loop.create_future()
        timer = loop.call_later(timeout_s, self._break, f"no answer within {timeout_s} s")
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self._break("given up")
            raise
        finally:
            timer.cancel()
            self._waiter = None

    def receive(self, message: Any) -> None:
        """Get a message of the server, in the kernel."""
        self._process.loop.post(self._read, message)

    def _read(self, message: Any) -> None:
        if self.broken:
            return
        if message is GONE:
            self._break("the server has closed the connection")
        elif self._waiter is not None:
            answer, self._in_block = message
            resolve(self._waiter, answer, answer if isinstance(answer, Refused) else None)

    def _break(self, reason: str) -> None:
        if self.broken:
            return
        self.broken = True
        if self._waiter is not None:
            resolve(self._waiter, None, Broken(f"{self.server}: {reason}"))
        self._wire.client_closed()

    def abort(self) -> None:
        self._break("given up")

    async def close(self) -> None:
        self._break("closed")


class SimulatedServers:
    """The servers, as one process reaches them."""

    def __init__(self, database: Database, process: Process) -> None:
        self.names: Sequence[str] = tuple(database.servers)
        self._database = database
        self._process = process

    async def connect(self, server: str, timeout_s: float) -> Session:
        wire = Wire(self._database, self._process, self._database[server])
        await wire.session.open(timeout_s)
        return wire.session
