"""One SQLite file: one connection that writes, a few that read, and migrations.

WAL with synchronous=FULL: a commit is fsynced before it returns, unless the writer says that it
need not be. Only that one writes and checkpoints: SQLite before 3.51.3 can corrupt a WAL when two
connections do at once. A reader sees the last commit and never an open transaction. For as long as
it is open it is marked (`wal.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from bazar.errors import ConfigError, FatalError, Unavailable
from storage.sqlite.errors import translated_errors
from storage.sqlite.wal import IN_USE, empty_wal, is_marked

READERS = 2  # one for slow reads, so that quick ones never wait for them
MAX_SLOW_READS = 64

T = TypeVar("T")


class Database:
    """One open database, made by `await Database.open(...)`. Rows are read as `sqlite3.Row`."""

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
        """Open or make the file and bring its schema up to date; `teach` gives the connection that
        writes the functions that triggers call. Raises ConfigError, Damaged, or FatalError while
        the disk fails."""
        database: Database | None = None
        try:
            with translated_errors(path):
                database = cls(path, await _connect(path, "PRAGMA journal_mode=WAL"))
                await database.writer.execute("PRAGMA synchronous=FULL")
                await database.write(teach)
                if not is_marked(path):
                    await database._mark(IN_USE)
                await database._migrate(migrations)
                for _ in range(READERS):
                    database._readers.append(await database.connect_reader())
        except (sqlite3.Error, ConfigError, FatalError) as error:
            if database is not None:
                await database.close()
            if isinstance(error, sqlite3.Error):
                raise ConfigError(f"{path}: cannot be opened: {error}") from error
            raise
        return database

    async def connect_reader(self) -> aiosqlite.Connection:
        """Return one more connection that only reads; the caller closes it."""
        return await _connect(self.path, "PRAGMA query_only=ON", "PRAGMA wal_autocheckpoint=0")

    async def _mark(self, mark: int) -> None:
        """Write the mark into the database itself, fsynced. The WAL is there by then, under its
        name, after any crash. Raises FatalError if another process reads the file for long."""
        await self.writer.execute(f"PRAGMA application_id = {mark}")
        await self.write(partial(empty_wal, self.path))

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
        """Run `work` with the connection on the writer's thread, and return its result: one hop for
        a transaction, where a hop for each statement would cost more than the statements do."""
        # aiosqlite has no public name for it; its own methods are made of this one.
        result: T = await self.writer._execute(work, self.writer._conn)  # type: ignore[no-untyped-call]
        return result

    async def read(self, sql: str, parameters: Iterable[Any] = ()) -> list[sqlite3.Row]:
        """Return all rows of one statement, as of the last commit."""
        return list(await self._readers[0].execute_fetchall(sql, parameters))

    async def look_slowly(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which may read more than once, and long, as of one commit, and return its
        result. Raises Unavailable if too many wait."""

        def of_one_moment() -> T:
            reader.execute("BEGIN")
            try:
                return work(reader)
            finally:
                if reader.in_transaction:  # some errors end it
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
        """Close all connections, and remove the mark once the WAL is in the database."""
        await asyncio.gather(*(reader.close() for reader in self._readers))
        # Where the WAL can't be moved the mark stays, and the file opens as well with it.
        with contextlib.suppress(sqlite3.Error, FatalError, ValueError):  # that last: it is closed
            await self.write(partial(empty_wal, self.path))
            await self._mark(0)
        await self.writer.close()


async def _connect(path: Path, *pragmas: str) -> aiosqlite.Connection:
    # Cancelling an await does not cancel its SQL: transactions are begun and ended explicitly, by
    # one task at a time.
    connection = aiosqlite.connect(path, isolation_level=None)
    try:
        await connection
    except BaseException:
        # Wait for its thread, which aiosqlite has told to stop: it reports to this loop.
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
