"""Whether a file holds what was written to it, which SQLite itself often can't tell.

A flipped letter inside a row passes every check of SQLite; a WAL with a damaged frame is only a
shorter WAL, and leaves an older state without an error. So a replica keeps two things beside its
rows: a checksum over all of them, and, outside of the database, how far its log has reached.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from bazar.errors import ConfigError, NotFound
from bazar.replication.messages import GENESIS, Mark
from storage.checksum import checksum, seal
from storage.sqlite import search_index
from storage.sqlite.errors import Damaged, translated_errors
from storage.sqlite.files import beside
from storage.sqlite.log_table import entry_of
from storage.sqlite.model import Model
from storage.sqlite.replica_file import ReplicaFile, closing, reading
from storage.sqlite.wal import is_marked, size_of, without_wal


def find_damage(path: Path, model: Model) -> str | None:
    """Return what is wrong with a replica's file, None if nothing is, or there is no file. A file
    with an older schema is left to its migration, one with a newer schema is refused when it is
    opened. Takes long for a large file."""
    try:
        with translated_errors(path), closing([file := ReplicaFile(path.stem, path)]):
            if file.other_version(model):
                return None
            file.look()
            return next(faults_of(file, model.tables), None)
    except NotFound:
        return None
    except (Damaged, LookupError, ValueError, TypeError) as error:
        return str(error)
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_ERROR:
            return None  # it can't be opened, which opening it to write will say
        return str(error)  # "no such table", for one


def faults_of(file: ReplicaFile, tables: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with the file by itself: damaged pages, a log that does not chain or has
    lost its end, an index of words that is not that of the books, rows that are not those that were
    written."""
    for found in chain(_in_pages(file), _in_log(file), _in_index(file), _in_rows(file, tables)):
        yield f"{file.node}: {found}"


def _in_pages(file: ReplicaFile) -> Iterator[str]:
    for (found,) in file.query("PRAGMA integrity_check(10)"):
        if found != "ok":
            yield found


def _in_log(file: ReplicaFile) -> Iterator[str]:
    before: Mark | None = None
    for row in file.query("SELECT * FROM log ORDER BY seq"):
        entry = entry_of(row)
        if entry.seq == 1:
            before = GENESIS
        # The first entry of a compacted log is not checked, and never sent: as the digest before it
        # is missing, a replica that needs it is sent a snapshot.
        if before is not None and not entry.extends(before):
            yield f"log entry {entry.seq} does not follow {before}"
        if entry.seq == file.committed.seq and entry.digest != file.committed.digest:
            yield f"log entry {entry.seq} is not what {file.committed} says"
        before = entry.mark
    last = max(file.committed, before or GENESIS, key=lambda mark: mark.seq)
    if last.seq < file.reached:
        yield f"the log ends at {last}, but had reached entry {file.reached}"


def _in_index(file: ReplicaFile) -> Iterator[str]:
    if (found := search_index.fault(file.connection)) is not None:
        yield found


def _in_rows(file: ReplicaFile, tables: Iterable[str]) -> Iterator[str]:
    if file.checksum is None:
        return  # it is of an older program, and lacks tables, too
    if not holds_what_was_written(file, tables):
        yield "the rows are not those that were written"


def holds_what_was_written(file: ReplicaFile, tables: Iterable[str]) -> bool:
    """Return whether the rows of these tables, all that it has, are those of its checksum."""
    total = 0
    for table in tables:
        total ^= checksum(table, file.query(f"SELECT * FROM {table}"))
    return file.checksum == seal(total, file.store, file.committed)


def refuse_foreign_wal(path: Path) -> None:
    """Refuse a file that was put back beside the WAL of a later one: SQLite would read them as one,
    which is the later state again, or none at all. Raises ConfigError.

    A file that is closed in order has no mark, and nothing in its WAL; the mark is set before the
    first write. So where the mark is missing, the WAL must add nothing.
    """
    wal = beside(path, "-wal")
    if not size_of(wal) or is_marked(path):
        return
    # A file without a history is older than marks are.
    by_itself = "SELECT value FROM meta, (SELECT MAX(epoch) FROM history) WHERE name = ?"
    # What can't be read is not there, or damaged, or will be migrated: others report that.
    with contextlib.suppress(sqlite3.Error, Damaged, NotFound):
        with contextlib.closing(without_wal(path)) as connection:
            [(digest,)] = connection.execute(by_itself, ("committed_digest",))
        with reading(path.stem, path) as file:
            if file.committed.digest == digest:
                return
        raise ConfigError(
            f"{path}: was closed in order, and {wal.name} beside it goes on from another state: the"
            f" database was put back, and that was left. Move {wal.name} away, to go on from what"
            " was put back"
        )
