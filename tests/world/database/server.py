"""One database server: its WAL, what it shows, and whom it follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tests.world.database.backend import Backend
from tests.world.database.locks import Locks
from tests.world.database.pipes import Pipe
from tests.world.database.transaction import Transaction
from tests.world.database.versions import Changes, Commit, Row, Versions
from tests.world.world import Process

if TYPE_CHECKING:
    from tests.world.database.database import Database

DEFAULTS = {
    "synchronous_commit": "on",
    "client_min_messages": "notice",
    "idle_in_transaction_session_timeout": "0",
}


class Server:
    """A primary, or a standby. Positions count the commits of its WAL."""

    def __init__(self, database: Database, name: str) -> None:
        self.database = database
        self.world = database.world
        self.pace = database.pace
        self.schema = database.schema
        self.name = name
        self.settings = dict(DEFAULTS)
        self.wal: list[Commit] = []
        self.flushed = 0
        """How much of the WAL survives a crash."""
        self.upstream: str | None = None
        self.in_recovery = False
        self.synchronous: tuple[str, ...] = ()
        """The standbys that must confirm a commit, all of them."""
        self.lag_s = 0.0
        """By how much this standby shows everything later than it could."""
        self.silent = False
        """Whether it has died with its machine: then nobody is told that it is gone."""
        self.backends: dict[Backend, None] = {}
        self.confirming: dict[Backend, None] = {}
        self._feeds: dict[str, Pipe] = {}
        self._confirmed: dict[str, tuple[int, int]] = {}
        """What each standby has said: how much it has on disk, and shows."""
        self._reports: Pipe | None = None
        self._apply_at = 0.0
        self._pids = 0
        self.views: dict[str, Callable[[], Iterable[Row]]] = {
            "pg_stat_activity": self._activity,
            "pg_locks": self._blocked,  # only what is not granted
        }
        self.start()

    def __repr__(self) -> str:
        return self.name

    # --- its life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin with what is on the disk, all of it: what a crash interrupted is committed now."""
        self.process, self.silent = Process(self.world, self.name), False
        del self.wal[self.flushed :]
        self.versions = Versions()
        self.locks = Locks(self._wake)
        self.shown = 0
        self._apply(self.flushed)

    def stop(self, *, silent: bool = False) -> None:
        """End at once, with all sessions."""
        self.silent = silent
        for backend in tuple(self.backends):
            backend.end()
        self.process.die("stopped")
        for pipe in (*self._feeds.values(), *([self._reports] if self._reports else [])):
            pipe.drop()
        self._feeds.clear()
        self._reports = None

    def load(self, commit: Commit) -> None:
        """Have this on disk, and shown, from the beginning."""
        self.wal.append(commit)
        self.flushed = len(self.wal)
        self._apply(self.flushed)

    def rows(self, table: str) -> list[Row]:
        """Return what a reader would see now."""
        return [row for _, row in self.versions.rows(table, self.versions.moment)]

    def next_pid(self) -> int:
        self._pids += 1
        return self._pids

    def _activity(self) -> Iterator[Row]:
        for backend in self.backends:
            kind, event = backend.waits_for or (None, None)
            yield {"pid": backend.number, "wait_event_type": kind, "wait_event": event}

    def _blocked(self) -> Iterator[Row]:
        for waiter in self.locks.blocked():
            yield {"pid": waiter.owner.backend.number, "granted": False}

    def _wake(self, owner: Transaction) -> None:
        owner.backend.wake_in(self.pace.draw(self.pace.wake_s))

    # --- a commit's life at its primary ----------------------------------------------------------

    def log(self, changes: Changes) -> int:
        """Write a commit to the WAL, and return its position."""
        self.wal.append(Commit(dict(changes)))
        return len(self.wal)

    def flush(self, position: int) -> None:
        """Have the WAL on disk up to here; only then do standbys get it."""
        if position > self.flushed:
            self.flushed = position
            for feed in self._feeds.values():
                feed.send((self, position))

    def flush_soon(self, position: int) -> None:
        self.world.after(self.pace.draw(1.0), self.process, self.flush, position)

    def is_confirmed(self, position: int, level: str) -> bool:
        applied = level == "remote_apply"
        return all(
            self._confirmed.get(one, (0, 0))[applied] >= position for one in self.synchronous
        )

    def show(self, position: int) -> None:
        """Make a commit visible here. Others may have overtaken it."""
        commit = self.wal[position - 1]
        self.versions.show(commit.changes)
        self.database.seen(self, commit)

    def demand(self, *standbys: str) -> None:
        """Have commits wait for these standbys from now on."""
        self.synchronous = standbys
        self._look_again()

    def _look_again(self) -> None:
        for backend in self.confirming:
            backend.wake_in(self.pace.draw(self.pace.wake_s))

    # --- replication -----------------------------------------------------------------------------

    def connect(self, standby: Server) -> None:
        """Begin to send the WAL to a standby that has nothing but what is here, or will be."""
        for pipe in (self._feeds.get(standby.name), standby._reports):
            if pipe is not None:
                pipe.drop()
        database, there = self.database, standby.name
        way = self.name, there
        feed = Pipe(database, way, standby.process, lambda sent: standby._receive(*sent))
        standby._reports = Pipe(database, way[::-1], self.process, self._reported)
        self._feeds[there] = feed
        self._confirmed.pop(there, None)
        feed.send((self, self.flushed))

    def disconnect(self, standby: Server) -> None:
        pipe = self._feeds.pop(standby.name, None)
        if pipe is not None:
            pipe.drop()

    def pipes(self) -> Iterator[Pipe]:
        """Yield what is open between this primary and its standbys."""
        for name, feed in self._feeds.items():
            yield feed
            reports = self.database[name]._reports
            if reports is not None:
                yield reports

    def _receive(self, sender: Server, position: int) -> None:
        """Get the WAL up to here from the primary."""
        start = len(self.wal)
        if position > start:
            self.wal += sender.wal[start:position]
        self.world.after(self.pace.draw(self.pace.flush_s), self.process, self._flushed, position)

    def _flushed(self, position: int) -> None:
        self.flushed = max(self.flushed, min(position, len(self.wal)))
        self._report()
        if self.in_recovery:
            delay_s = self.lag_s + self.pace.draw(self.pace.apply_s)
            self._apply_at = max(self._apply_at, self.world.now + delay_s)
            self.world.due(self._apply_at, self.process, self._replay, self.flushed)

    def _replay(self, position: int) -> None:
        if self.in_recovery and position > self.shown:
            self._apply(position)
            self._report()

    def _apply(self, position: int) -> None:
        for commit in self.wal[self.shown : position]:
            self.versions.show(commit.changes)
            self.database.seen(self, commit)
        self.shown = max(self.shown, position)

    def _report(self) -> None:
        if self._reports is not None:
            self._reports.send((self.name, self.flushed, self.shown))

    def _reported(self, said: tuple[str, int, int]) -> None:
        name, flushed, shown = said
        self._confirmed[name] = flushed, shown
        self._look_again()

    def promote(self) -> None:
        """Become a primary, with all that was received, and shown at once."""
        self.flushed = len(self.wal)
        self._apply(self.flushed)
        self.in_recovery, self.upstream = False, None
        if self._reports is not None:
            self._reports.drop()
            self._reports = None
