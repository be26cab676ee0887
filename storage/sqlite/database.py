"""One SQLite file: one connection that writes, a few that read, and migrations.

WAL with synchronous=FULL: a commit is fsynced before it returns. Only the writer writes and
checkpoints: SQLite before 3.51.3 can corrupt a WAL when two connections do at once. A reader sees
the last commit and never an open transaction.

What was written lately is in the WAL alone: a copy of the database without it is older, or empty,
and perfectly readable. Therefore the file itself is marked for as long as it is open, and a copy
that has the mark, and nothing beside it, is none to begin from.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from bazar.errors import ConfigError, Fatal, Unavailable
from storage.sqlite.integrity import Damaged, Reached, beside, told_apart

READERS = 2  # one for what takes long, so that quick reads never wait behind it
MAX_SLOW_READS = 64
IN_USE = int.from_bytes(b"bzWL", "big")  # the mark: an application id, in the file's header

Row = Mapping[str, Any]
T = TypeVar("T")


class Database:
    """Open with `await Database.open(...)`. Rows are read as `sqlite3.Row`."""

    def __init__(self, path: Path, writer: aiosqlite.Connection) -> None:
        self.path = path
        self.writer = writer
        self.migrated = False
        self._readers: list[aiosqlite.Connection] = []
        self._slow = 0

    @classmethod
    async def open(
        cls,
        path: Path,
        migrations: Sequence[str],
        teach: Callable[[sqlite3.Connection], None] = lambda connection: None,
    ) -> Database:
        """Open or make the file and bring its schema up to date; `teach` lets the connection that
        writes know what triggers call. Raises ConfigError, Damaged, or Fatal while the disk
        fails."""
        database: Database | None = None
        try:
            with told_apart(path):
                database = cls(path, await _connect(path, "PRAGMA journal_mode=WAL"))
                await database.writer.execute("PRAGMA synchronous=FULL")
                await database.write(teach)
                if not is_marked(path):
                    await database._mark(IN_USE)
                await database._migrate(migrations)
                for _ in range(READERS):
                    database._readers.append(await database.connect_reader())
        except (sqlite3.Error, ConfigError, Fatal) as error:
            if database is not None:
                await database.close()
            if isinstance(error, sqlite3.Error):
                raise ConfigError(f"{path}: cannot be opened: {error}") from error
            raise
        return database

    async def connect_reader(self) -> aiosqlite.Connection:
        """One more connection that only reads."""
        return await _connect(self.path, "PRAGMA query_only=ON", "PRAGMA wal_autocheckpoint=0")

    async def _mark(self, mark: int) -> None:
        """Put it into the database itself, fsynced. The WAL is there by then, under its name: after
        any crash. Raises Fatal if somebody reads the file for long."""
        await self.writer.execute(f"PRAGMA application_id = {mark}")
        await self.write(partial(_empty_wal, self.path))

    async def _migrate(self, migrations: Sequence[str]) -> None:
        [[version]] = await self.writer.execute_fetchall("PRAGMA user_version")
        if version > len(migrations):
            raise ConfigError(
                f"{self.path}: has schema {version}; this program knows {len(migrations)}"
            )
        for number, script in enumerate(migrations[version:], start=version + 1):
            await self.writer.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT"
            )
            self.migrated = True

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, run with the connection on the writer's thread: a transaction is
        one hop there, where a hop for each statement would cost more than the statements do."""
        # aiosqlite has no public name for it; its own methods are made of this one.
        result: T = await self.writer._execute(work, self.writer._conn)  # type: ignore[no-untyped-call]
        return result

    async def read(self, sql: str, parameters: Iterable[Any] = ()) -> list[sqlite3.Row]:
        """All rows of one statement, as of the last commit."""
        return list(await self._readers[0].execute_fetchall(sql, parameters))

    async def read_slowly(self, sql: str, parameters: Any = ()) -> list[sqlite3.Row]:
        """The same for a statement that may take long. Raises Unavailable if too many wait."""
        return await self.look_slowly(lambda reader: reader.execute(sql, parameters).fetchall())

    async def look_slowly(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, which may read more than once, and long: all of it as of the last
        commit. Raises Unavailable if too many wait."""

        def of_one_moment() -> T:
            reader.execute("BEGIN")
            try:
                return work(reader)
            finally:
                if reader.in_transaction:  # some errors have ended it
                    reader.execute("ROLLBACK")

        if self._slow >= MAX_SLOW_READS:
            raise Unavailable(f"{MAX_SLOW_READS} searches wait already")
        self._slow += 1
        try:
            reader = self._readers[1]._conn
            result: T = await self._readers[1]._execute(of_one_moment)  # type: ignore[no-untyped-call]
            return result
        finally:
            self._slow -= 1

    async def close(self) -> None:
        await asyncio.gather(*(reader.close() for reader in self._readers))
        # The mark goes when all else is where it belongs. A file that keeps it is as good to us.
        with contextlib.suppress(sqlite3.Error, Fatal, ValueError):  # that last: it is closed
            await self.write(partial(_empty_wal, self.path))
            await self._mark(0)
        await self.writer.close()


def is_new(path: Path) -> bool:
    """Whether SQLite will find nothing there."""
    return not path.exists() or path.stat().st_size == 0


def lacks_wal(path: Path) -> bool:
    """Whether this was copied from a database in use, and without its WAL. Where a node has had it
    open there is a note of how far it has reached, too, and that tells whether anything is missing.
    """
    wal = beside(path, "-wal")
    # Whoever looks into a copy leaves an empty one.
    has_wal = wal.exists() and wal.stat().st_size > 0
    return is_marked(path) and not has_wal and not Reached.is_kept(path)


def is_marked(path: Path) -> bool:
    """Whether the file itself has the mark, whatever its WAL says. SQLite looks: whoever else opens
    a file that this process has open, and closes it, takes SQLite's locks away (POSIX)."""
    try:
        with contextlib.closing(without_wal(path)) as connection:
            # Or it would refuse one that only its WAL completes.
            connection.execute("PRAGMA writable_schema = ON")
            [(mark,)] = connection.execute("PRAGMA application_id")
    except sqlite3.Error:
        return False
    return bool(mark == IN_USE)


def without_wal(path: Path) -> sqlite3.Connection:
    """Open the file as it is by itself, only to read it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def refuse_copy(path: Path) -> None:
    """Raises ConfigError for a copy that lacks its WAL: it would pass for an older state."""
    if lacks_wal(path):
        raise ConfigError(
            f"{path}: is a copy of a database in use, without its WAL, in which the newest entries"
            f" lie. Copy all of {path.name}*, best while its node is stopped. Or move it away: a"
            " node without a file is filled by its primary. Or go on with what is in it: python -m"
            " bazar rebuild says what that is (or promote, where the group has its membership)"
        )


def take_as_whole(path: Path) -> None:
    """Take the mark from a file: an operator has decided to go on with what is in it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA application_id = 0")


def rewrite_wal(path: Path, patience_s: float = 5.0) -> None:
    """Move what stands in the WAL into the database, and mark that, fsynced, before anybody has
    opened it: the check of a large file reads it for so long that no mark would get in.

    After an fsync that failed, what the kernel shows of a WAL need not be on the disk, and no later
    fsync would tell (Rebello et al., 2020). Raises Fatal while the disk fails, or somebody reads
    the file for longer than `patience_s`; damage is left for others to find.
    """
    if is_new(path):
        return
    Reached(path).close()  # a node has it open, from here on: without its WAL it is no copy
    with (
        contextlib.suppress(Damaged, sqlite3.Error),
        told_apart(path),
        contextlib.closing(
            sqlite3.connect(path, timeout=patience_s, isolation_level=None)
        ) as connection,
    ):
        _empty_wal(path, connection)
        if not is_marked(path):
            connection.execute(f"PRAGMA application_id = {IN_USE}")
            _empty_wal(path, connection)


def _empty_wal(path: Path, connection: sqlite3.Connection) -> None:
    """Have all that stands in the WAL in the database, fsynced. Raises Fatal if somebody reads the
    file for long."""
    [(busy, *_)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if busy:
        raise Fatal(f"{path}: somebody reads it, and its WAL can't be moved into it")


async def _connect(path: Path, *pragmas: str) -> aiosqlite.Connection:
    # Cancelling an await does not cancel its SQL: transactions are begun and ended by hand, by one
    # task at a time.
    connection = aiosqlite.connect(path, isolation_level=None)
    try:
        await connection
    except BaseException:
        # Outlive its thread, which aiosqlite has told to stop: it tells this loop that it has.
        await asyncio.to_thread(connection._thread.join)
        raise
    connection.row_factory = sqlite3.Row
    try:
        for pragma in pragmas:
            await connection.execute(pragma)
    except BaseException:
        await connection.close()  # its thread would keep the process from ending
        raise
    return connection
