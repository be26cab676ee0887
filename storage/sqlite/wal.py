"""Whether a database has its WAL beside it: it is marked for as long as it is in use.

What was written lately is in the WAL alone: a copy of the database without it is older, or empty,
and perfectly readable. So a copy that has the mark, and nothing beside it, is none to begin from.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from bazar.errors import ConfigError, FatalError
from storage.sqlite.errors import Damaged, translated_errors
from storage.sqlite.files import beside, is_new
from storage.sqlite.reached import Reached

IN_USE = int.from_bytes(b"bzWL", "big")  # the mark: an application id, in the file's header


def lacks_wal(path: Path) -> bool:
    """Return whether this was copied from a database in use, without its WAL. A file that a node
    has had open in its place has a note of how far its log has reached, which tells what is
    missing.
    """
    wal = beside(path, "-wal")
    # Opening a copy to read it leaves an empty one.
    return is_marked(path) and not size_of(wal) and not Reached.is_kept(path)


def size_of(path: Path) -> int:
    """Return how large a file is, 0 where there is none: a node that ends removes its WAL."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def is_marked(path: Path) -> bool:
    """Return whether the file itself has the mark, whatever its WAL says. It is read by SQLite: to
    open and close a file that this process has open takes SQLite's locks away (POSIX)."""
    try:
        with contextlib.closing(without_wal(path)) as connection:
            # Else SQLite would refuse a file that only its WAL completes.
            connection.execute("PRAGMA writable_schema = ON")
            [(mark,)] = connection.execute("PRAGMA application_id")
    except sqlite3.Error:
        return False
    return bool(mark == IN_USE)


def without_wal(path: Path) -> sqlite3.Connection:
    """Return a connection that reads the file by itself."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def refuse_copy(path: Path) -> None:
    """Refuse a copy that lacks its WAL: it would pass for an older state. Raises ConfigError."""
    if lacks_wal(path):
        raise ConfigError(
            f"{path}: is a copy of a database in use, without its WAL, in which the newest entries"
            f" lie. Copy all of {path.name}*, best while its node is stopped. Or move it away: a"
            " node without a file is filled by its primary. Or go on with what is in it: python -m"
            " bazar rebuild says what that is (or promote, where the group has its membership)"
        )


def take_as_whole(path: Path) -> None:
    """Remove the mark from a file: an operator has decided to go on with what is in it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA application_id = 0")


def rewrite_wal(path: Path, patience_s: float = 5.0) -> None:
    """Move the WAL's content into the database, and mark that, fsynced, before anything else opens
    it: the check of a large file reads it for so long that the mark could not be written.

    After an fsync that failed, what the kernel shows of a WAL need not be on the disk, and no later
    fsync would tell (Rebello et al., 2020). Raises FatalError while the disk fails, or another
    process reads the file for longer than `patience_s`. Damage is left for the check to find."""
    if is_new(path):
        return
    Reached(path).close()  # from here on it is a node's file, and no copy that lacks its WAL
    with (
        contextlib.suppress(Damaged, sqlite3.Error),
        translated_errors(path),
        contextlib.closing(
            sqlite3.connect(path, timeout=patience_s, isolation_level=None)
        ) as connection,
    ):
        empty_wal(path, connection)
        if not is_marked(path):
            connection.execute(f"PRAGMA application_id = {IN_USE}")
            empty_wal(path, connection)


def empty_wal(path: Path, connection: sqlite3.Connection) -> None:
    """Move all of the WAL into the database, fsynced. Raises FatalError if another process reads
    the file for long."""
    [(busy, *_)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if busy:
        raise FatalError(f"{path}: another process reads it, so its WAL can't be moved into it")
