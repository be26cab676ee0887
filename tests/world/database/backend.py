"""One connection at the server's end: statements, transactions, and the life of a commit.

A backend is a generator. It yields wherever it waits - for input, a lock, the disk, a standby - and
whoever may have ended the wait wakes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from storage.postgresql.session import Refused, Reply, Result
from tests.world.database.expressions import Unknown
from tests.world.database.sql import Begin, Command, End, Set
from tests.world.database.transaction import Steps, Transaction

if TYPE_CHECKING:
    from tests.world.database.server import Server
    from tests.world.database.wire import Wire

Item = tuple[Command, tuple[Any, ...]]
SYNC, BYE = "sync", "bye"
QUIET = ("error", "fatal", "panic")


class Backend:
    """A server's end of one session."""

    def __init__(self, server: Server, wire: Wire) -> None:
        self.server = server
        self.wire = wire
        self.number = server.next_pid()
        self.lost = False
        """Whether it is to end: the kernel has given up the connection, or an operator asks for it.
        Noticed with the next read or write."""
        self.cancelled = False
        self.waits_for: tuple[str, str] | None = None
        self._inbox: deque[Item | str] = deque()
        self._settings: dict[str, str] = {}
        self._transaction: Transaction | None = None
        self._in_block = self._failed = False
        self._results: list[Result] = []
        self._warnings: list[str] = []
        self._error: Refused | None = None
        self._idle_until: float | None = None
        self._alive = True
        server.backends[self] = None
        self._steps = self._serve()
        next(self._steps)

    # --- being woken -----------------------------------------------------------------------------

    def wake(self) -> None:
        """Go on, if what is waited for has come."""
        if not self._alive:
            return
        try:
            next(self._steps)
        except StopIteration:
            self.end()
        except Unknown as error:
            self.server.database.fail(error)
            raise

    def wake_in(self, delay_s: float) -> None:
        self.server.world.after(delay_s, self.server.process, self.wake)

    def receive(self, items: tuple[Item | str, ...]) -> None:
        self._inbox.extend(items)
        self.wake()

    def lose(self) -> None:
        """Learn that nobody is at the other end, or shall be."""
        self.lost = True
        self.wake()

    def cancel(self) -> None:
        """End the wait for a standby, as pg_cancel_backend does."""
        self.cancelled = True
        self.wake()

    def end(self) -> None:
        """Close the connection; roll back what is open."""
        if self._alive:
            self._alive = False
            self._steps.close()
            self._abort()
            del self.server.backends[self]
            self.wire.server_closed()

    def _sleep(self, longest_s: float) -> Steps:
        world, delay_s = self.server.world, self.server.pace.draw(longest_s)
        until = world.now + delay_s
        self.wake_in(delay_s)
        while world.now < until:
            yield

    # --- statements ------------------------------------------------------------------------------

    def _serve(self) -> Steps:
        inbox, world, pace = self._inbox, self.server.world, self.server.pace
        while True:
            while not inbox:
                if self.lost or (self._idle_until is not None and world.now >= self._idle_until):
                    return
                yield
            self._idle_until = None
            item = inbox.popleft()
            if isinstance(item, str):
                if item is BYE:
                    return
                yield from self._sync()
                if self.lost:
                    return
            elif self._error is None:
                if pace.interrupts():
                    yield from self._sleep(pace.statement_s)
                try:
                    self._results.append((yield from self._execute(*item)))
                except Refused as error:
                    self._error, self._failed = error, self._in_block
                    self._abort()

    def _execute(self, command: Command, params: tuple[Any, ...]) -> Generator[None, None, Result]:
        if isinstance(command, End):
            return (yield from self._end_block(command.commits))
        if self._failed:
            raise Refused("25P02", "current transaction is aborted, commands ignored")
        if isinstance(command, Begin):
            return self._begin(command)
        if self._transaction is None:
            self._transaction = Transaction(self)
        if isinstance(command, Set):
            return self._set(command, self._transaction)
        return (yield from command(self._transaction, params))

    def _begin(self, command: Begin) -> Result:
        if self._in_block:
            self._warn("there is already a transaction in progress")
        elif self._transaction is None:
            self._transaction = Transaction(
                self, repeatable=command.repeatable, read_only=command.read_only
            )
        self._in_block = True
        return Result("BEGIN")

    def _set(self, command: Set, transaction: Transaction) -> Result:
        if command.is_local and not self._in_block:
            self._warn("SET LOCAL can only be used in transaction blocks")
        settings = transaction.local if command.is_local else transaction.settings
        settings[command.name] = command.value
        return Result("SET")

    def setting(self, name: str) -> str:
        transaction = self._transaction
        if transaction is not None:
            for settings in (transaction.local, transaction.settings):
                if name in settings:
                    return settings[name]
        return self._settings.get(name) or self.server.settings[name]

    def _warn(self, text: str) -> None:
        if self.setting("client_min_messages") not in QUIET:
            self._warnings.append(text)

    # --- the ends of transactions ----------------------------------------------------------------

    def _end_block(self, commits: bool) -> Generator[None, None, Result]:
        if not self._in_block:
            self._warn("there is no transaction in progress")
        done = commits and not self._failed
        if done:
            yield from self._commit()
        else:
            self._abort()
        self._in_block = self._failed = False
        return Result("COMMIT" if done else "ROLLBACK")

    def _abort(self) -> None:
        """Roll back: an error does so at once, locks included."""
        if self._transaction is not None:
            self._transaction.end()
            self._transaction = None

    def _commit(self) -> Steps:
        """Go through the life of a commit. Whatever happens to the client, it goes on."""
        transaction, server = self._transaction, self.server
        if transaction is None:
            return
        if transaction.changes or transaction.locked:
            level = self.setting("synchronous_commit")
            position = server.log(transaction.changes)
            if level == "off":
                server.flush_soon(position)
            else:
                yield from self._sleep(server.pace.flush_s)
                server.flush(position)
                if level != "local":
                    yield from self._confirm(position, level)
            server.show(position)
        self._settings.update(transaction.settings)
        self._abort()

    def _confirm(self, position: int, level: str) -> Steps:
        """Wait for the synchronous standbys."""
        server = self.server
        if level not in ("on", "remote_apply"):
            raise Unknown(f"synchronous_commit = {level}")
        self.cancelled = False
        server.confirming[self] = None
        self.waits_for = ("IPC", "SyncRep")
        try:
            while not server.is_confirmed(position, level):
                if self.cancelled:
                    self._warn("canceling wait for synchronous replication due to user request")
                    break
                yield
        finally:
            self.waits_for = None
            del server.confirming[self]

    def _sync(self) -> Steps:
        """End a pipeline, and a transaction that was begun without BEGIN; answer."""
        if not self._in_block and self._transaction is not None:
            yield from self._commit()
        answer = self._error or Reply(tuple(self._results), tuple(self._warnings))
        self._results, self._warnings, self._error = [], [], None
        if self._in_block:
            timeout_ms = int(self.setting("idle_in_transaction_session_timeout"))
            if timeout_ms:
                self._idle_until = self.server.world.now + timeout_ms / 1000
                self.wake_in(timeout_ms / 1000)
        database = self.server.database
        if database.told is not None:
            database.told(self.server.name, self.wire.process.name, answer)
        self.wire.to_client.send((answer, self._in_block))
