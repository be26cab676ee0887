"""A database: its servers, the ways between them and the nodes, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING

from sqlglot import exp, parse_one

from tests.world.database.expressions import Unknown
from tests.world.database.pace import Pace
from tests.world.database.schema import Schema
from tests.world.database.server import Server
from tests.world.database.sql import Command, Function, parsed, registered
from tests.world.database.versions import Changes, Commit
from tests.world.database.wire import GONE, SimulatedServers, Wire

if TYPE_CHECKING:
    from tests.world.database.pipes import Pipe
    from tests.world.world import Process, World


class Database:
    """A primary, the first of `names`, and its standbys."""

    def __init__(
        self, world: World, names: Sequence[str], synchronous: Sequence[str] = (), tape: str = ""
    ) -> None:
        self.world = world
        self.pace = Pace(world.tape(tape or "database"))
        self.schema = Schema()
        self.cuts: set[tuple[str, str]] = set()
        self.tearing: set[str] = set()
        """The nodes whose next pipeline is torn."""
        self.wires: dict[Wire, None] = {}
        self.seen: Callable[[Server, Commit], None] = lambda server, commit: None
        """Called when a server shows a commit; after a restart, of all that it has again."""
        self.told: Callable[[str, str, object], None] | None = None
        """Called with all that is about to be sent, for a trace, or for a fault that is aimed: from
        whom, to whom, and what: statements, a reply or a refusal."""
        self.primary = names[0]
        """Which server was made a primary last. Others may think that they are, too."""
        self._functions: dict[str, Command] = {}
        self._loaded = 0
        self.servers = {name: Server(self, name) for name in names}
        self[self.primary].demand(*synchronous)
        for name in names[1:]:
            self[name].in_recovery, self[name].upstream = True, self.primary
            self[self.primary].connect(self[name])

    def __getitem__(self, name: str) -> Server:
        return self.servers[name]

    # --- how it is used --------------------------------------------------------------------------

    def reached_by(self, process: Process) -> SimulatedServers:
        """Return the servers for the code of one process."""
        return SimulatedServers(self, process)

    def create(self, *sql: str) -> None:
        """Create tables, before anything runs."""
        for statement in sql:
            node = parse_one(statement, dialect="postgres")
            assert isinstance(node, exp.Create), statement
            self.schema.create(node)

    def load(self, changes: Changes) -> None:
        """Have rows from the beginning: `(table, primary key)` -> columns and values."""
        commit = Commit({at: self.schema.whole(at[0], row) for at, row in changes.items()})
        for server in self.servers.values():
            server.load(commit)
        self._loaded = len(self[self.primary].wal)

    def register(self, sql: str, function: Function) -> None:
        """Answer a statement by a function, instead of by what its text says."""
        self._functions[sql] = registered(function)

    def command(self, sql: str) -> Command:
        """Return what a statement does. One that is not understood fails the world, whatever the
        code that sent it does with exceptions."""
        try:
            return self._functions.get(sql) or parsed(sql)
        except Unknown as error:
            self.fail(error)
            raise

    def fail(self, error: Unknown) -> None:
        self.world.failure = self.world.failure or error

    # --- what happens to servers -----------------------------------------------------------------

    def freeze(self, name: str) -> None:
        """Stop all processes of a server. Its kernel goes on to receive."""
        self[name].process.pause(inf)

    def thaw(self, name: str) -> None:
        self[name].process.resume()

    def crash(self, name: str) -> None:
        """Let a server die: with its machine, which nobody is told, or without it."""
        self.world.say(name, "crashes")
        self[name].stop(silent=self.pace.tape.chance(self.pace.power))

    def restart(self, name: str) -> None:
        """Start a server that has died. A commit that waited for its standby is committed now."""
        server = self[name]
        self.world.say(name, "starts")
        server.start()
        self._connect(server)
        for wire in tuple(self.wires):
            if wire.server is server and not wire.machine.alive:
                wire.to_client.send(GONE, self.pace.draw(1.0))

    def _connect(self, server: Server) -> None:
        for other in self.servers.values():
            if other.upstream == server.name and other.process.alive:
                server.connect(other)
        if server.upstream is not None and self[server.upstream].process.alive:
            self[server.upstream].connect(server)

    def promote(self, name: str, *synchronous: str) -> None:
        """Make a standby a primary. The deposed one hears nothing of it, and goes on."""
        server = self[name]
        self.world.say(name, "is promoted")
        if server.upstream is not None:
            self[server.upstream].disconnect(server)
        server.promote()
        server.demand(*synchronous)
        self.primary = name

    def follow(self, name: str, upstream: str) -> None:
        """Have a server follow another one. What it has and the other has not is taken from it:
        then it is restarted, as it is if it was a primary."""
        server, leader = self[name], self[upstream]
        self.world.say(name, f"follows {upstream}")
        if server.upstream is not None:
            self[server.upstream].disconnect(server)
        common = min(len(server.wal), len(leader.wal))
        while common and server.wal[common - 1] is not leader.wal[common - 1]:
            common -= 1
        if common < len(server.wal) or not server.in_recovery:
            server.stop()
            server.flushed = min(common, server.flushed)
            server.start()
        server.in_recovery, server.upstream = True, upstream
        server.demand()
        self._connect(server)

    def put_back(self, commits: int) -> None:
        """Restore all servers as they were some commits ago."""
        self.world.say(self.primary, f"is put back by {commits} commits")
        wal = self[self.primary].wal
        kept = wal[: max(self._loaded, len(wal) - commits)]
        for server in self.servers.values():
            server.stop()
        for server in self.servers.values():
            server.wal, server.flushed = list(kept), len(kept)
            server.start()
        for server in self.servers.values():
            server.in_recovery = server.name != self.primary
            server.upstream = self.primary if server.in_recovery else None
        self._connect(self[self.primary])

    def cancel_waits(self, name: str) -> None:
        """Cancel what waits for a standby, as an operator may."""
        for backend in tuple(self[name].confirming):
            self.world.after(0.0, self[name].process, backend.cancel)

    def end_sessions(self, name: str) -> None:
        """End a server's sessions, each behind its statement, as pg_terminate_backend does."""
        for backend in tuple(self[name].backends):
            self.world.after(0.0, self[name].process, backend.lose)

    # --- what happens to the ways between --------------------------------------------------------

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Let nothing through from one name to the other, nor back."""
        ways = {(one, other)} if one_way else {(one, other), (other, one)}
        self.cuts |= ways
        for wire in self.wires:
            if not ways.isdisjoint((wire.to_server.way, wire.to_client.way)):
                wire.watch()

    def mend(self, one: str, other: str) -> None:
        """Let everything through again, what was held first."""
        self.cuts -= {(one, other), (other, one)}
        for pipe in self._pipes():
            if pipe.way in ((one, other), (other, one)):
                pipe.mend()

    def stall(self, one: str, other: str, for_s: float) -> None:
        """Let what is sent from one to the other from now on be so late, and nobody notice: what
        standbys confirm, too."""
        for pipe in self._pipes():
            if pipe.way == (one, other):
                pipe.stall(for_s)

    def tear(self, node: str) -> None:
        """Tear the next pipeline that this node sends, at its end at last, and its connection with
        it: the server executes what has arrived, and holds its locks until its keepalive says so.
        """
        self.tearing.add(node)

    def _pipes(self) -> Iterator[Pipe]:
        for wire in self.wires:
            yield wire.to_server
            yield wire.to_client
        for server in self.servers.values():
            yield from server.pipes()
