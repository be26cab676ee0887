"""Whether the files of a group's replicas hold the same: digests, logs, and every row."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bazar.errors import ConfigError, NotFound
from bazar.replication.messages import GENESIS, Mark
from storage.sqlite import search_index
from storage.sqlite.database import is_marked, is_new, without_wal
from storage.sqlite.integrity import CHECKSUM, Damaged, Reached, beside, checksum, seal, told_apart
from storage.sqlite.replicated_store import Model, entry_of

RETRY_S = 0.01


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not the same everywhere: by node its columns, None where it is missing."""

    table: str
    key: Any
    rows: Mapping[str, Mapping[str, Any] | None]

    def columns(self) -> list[str]:
        """The columns that differ; all of them if a replica lacks the row."""
        present = [row for row in self.rows.values() if row is not None]
        names = list(present[0])
        if len(present) < len(self.rows):
            return names
        return [name for name in names if len({row[name] for row in present}) > 1]


class ReplicaFile:
    """One replica's file, read only, as of one moment (from `look` on)."""

    def __init__(self, node: str, path: Path) -> None:
        if not path.exists():
            raise NotFound(f"{path}: {node} has no file here")
        self.node = node
        self.path = path
        self.store = ""
        self.committed = GENESIS
        self._checksum: str | None = None
        self._reached = 0
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5
        )
        self._connection.row_factory = sqlite3.Row

    def close(self) -> None:
        self._connection.close()

    def look(self) -> Mark:
        """Begin to read the state as it is now; its committed mark."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._reached = Reached.read(self.path)
        self._connection.execute("BEGIN")
        meta = dict(self._connection.execute("SELECT name, value FROM meta").fetchall())
        self.store = meta["store_id"]
        self.committed = Mark(meta["committed_seq"], meta["committed_digest"])
        self._checksum = meta.get(CHECKSUM)
        return self.committed

    def tail(self) -> tuple[int | None, Mark]:
        """The epoch of the log's last entry, and where the log ends. A file from before histories
        whose log holds nothing tells no epoch."""
        row = self._connection.execute("SELECT * FROM log ORDER BY seq DESC LIMIT 1").fetchone()
        if row is not None:
            return row["epoch"], entry_of(row).mark
        return self.begun(), self.committed

    def begun(self) -> int | None:
        """The newest epoch that has committed anything of its own (H1); None of a file from before
        histories."""
        if self.lacks(("history",)):
            return None
        [(epoch,)] = self.query("SELECT max(epoch) FROM history")
        return int(epoch or 0)

    def pending(self) -> frozenset[Mark]:
        """The entries of the log behind what is committed."""
        behind = "SELECT * FROM log WHERE seq > (SELECT value FROM meta WHERE name = ?)"
        rows = self._connection.execute(behind, ("committed_seq",))
        return frozenset(entry_of(row).mark for row in rows)

    def highest_number(self, tables: Iterable[str]) -> int:
        """The highest number that a primary has given to a row of these tables."""
        highest = 0
        for table in tables:
            columns = self._connection.execute(f"PRAGMA table_info({table})")
            if "seq" in (column["name"] for column in columns):
                [(number,)] = self._connection.execute(f"SELECT COALESCE(max(seq), 0) FROM {table}")
                highest = max(highest, number)
        return highest

    def faults(self, tables: Iterable[str]) -> Iterator[str]:
        """What is wrong with the file by itself: damaged pages, a log that does not chain or has
        lost its end, rows that are not those that were written."""
        for (found,) in self._connection.execute("PRAGMA integrity_check(10)"):
            if found != "ok":
                yield f"{self.node}: {found}"
        before: Mark | None = None
        for row in self._connection.execute("SELECT * FROM log ORDER BY seq"):
            entry = entry_of(row)
            if entry.seq == 1:
                before = GENESIS
            # The first entry of a compacted log is not checked, and sent to nobody: for want of
            # the digest before it a replica that needs it is sent a snapshot.
            if before is not None and not entry.extends(before):
                yield f"{self.node}: log entry {entry.seq} does not follow {before}"
            if entry.seq == self.committed.seq and entry.digest != self.committed.digest:
                yield f"{self.node}: log entry {entry.seq} is not what {self.committed} says"
            before = entry.mark
        last = max(self.committed, before or GENESIS, key=lambda mark: mark.seq)
        if last.seq < self._reached:
            yield f"{self.node}: the log ends at {last}, but had reached entry {self._reached}"
        if (found := search_index.fault(self._connection)) is not None:
            yield f"{self.node}: {found}"
        if self._checksum is not None:  # else it is of an older program, and lacks tables, too
            total = 0
            for table in tables:
                total ^= checksum(table, self._connection.execute(f"SELECT * FROM {table}"))
            if self._checksum != seal(total, self.store, self.committed):
                yield f"{self.node}: the rows are not those that were written"

    def schema(self) -> int:
        """Which version of the schema it has; 0 before there is any."""
        [(version,)] = self._connection.execute("PRAGMA user_version")
        return int(version)

    def lacks(self, tables: Iterable[str]) -> list[str]:
        """Those of the tables that it does not have: another program has made it."""
        there = {name for (name,) in self.query("SELECT name FROM sqlite_master")}
        return [table for table in tables if table not in there]

    def query(self, sql: str) -> Iterator[sqlite3.Row]:
        yield from self._connection.execute(sql)

    def rows(self, table: str, key: str) -> Iterator[sqlite3.Row]:
        yield from self.query(f"SELECT * FROM {table} ORDER BY {key}")


def same_moment(files: Sequence[ReplicaFile], timeout_s: float) -> bool:
    """Look at all files at one and the same entry, while writes go on; False if it can't be had."""
    deadline = time.monotonic() + timeout_s
    while True:
        if len({file.look().seq for file in files}) == 1:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(RETRY_S)


def differences(files: Sequence[ReplicaFile], tables: Mapping[str, str]) -> Iterator[Difference]:
    """Every row that is not the same in all `files`; `tables` names each table's key."""
    for table, key in tables.items():
        cursors = {file.node: file.rows(table, key) for file in files}
        heads = {node: next(rows, None) for node, rows in cursors.items()}
        while any(row is not None for row in heads.values()):
            lowest = min(row[key] for row in heads.values() if row is not None)
            at = {
                node: dict(row) if row is not None and row[key] == lowest else None
                for node, row in heads.items()
            }
            if any(row != at[files[0].node] for row in at.values()):
                yield Difference(table, lowest, at)
            for node in heads:
                if at[node] is not None:
                    heads[node] = next(cursors[node], None)


def closing(files: Sequence[ReplicaFile]) -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    for file in files:
        stack.callback(file.close)
    return stack


@contextlib.contextmanager
def reading(node: str, path: Path) -> Iterator[ReplicaFile]:
    """A replica's file, as it is now. Raises NotFound, or Damaged where it can't be read."""
    try:
        with closing([file := ReplicaFile(node, path)]):
            file.look()
            yield file
    except (sqlite3.Error, LookupError, ValueError, TypeError) as error:
        raise Damaged(f"{path}: {error}") from error


def damage(path: Path, model: Model) -> str | None:
    """What is wrong with a replica's file, None if nothing is, or there is none. One with an older
    schema is left to its migration, one with a newer to whoever opens and refuses it. Takes long
    for a large file."""
    try:
        with told_apart(path), closing([file := ReplicaFile(path.stem, path)]):
            if file.schema() != 1 + len(model.migrations):
                return None
            file.look()
            return next(file.faults(model.tables), None)
    except NotFound:
        return None
    except (Damaged, LookupError, ValueError, TypeError) as error:
        return str(error)
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_ERROR:
            return None  # it can't be opened: whoever opens it to write says so
        return str(error)  # "no such table", for one


def refuse_foreign_wal(path: Path) -> None:
    """Raises ConfigError for a file that was put back beside the WAL of a later one: SQLite would
    read them as one, which is the later state again, or none at all.

    Who closes a file in order leaves it without the mark, and nothing in its WAL; who opens it sets
    the mark before it writes anything. So where the mark is missing, the WAL adds nothing.
    """
    wal = beside(path, "-wal")
    if is_new(path) or not wal.exists() or wal.stat().st_size == 0 or is_marked(path):
        return
    # Without a history it is older than marks are.
    by_itself = "SELECT value FROM meta, (SELECT MAX(epoch) FROM history) WHERE name = ?"
    # What can't be read is damaged, or is to be migrated: who does so says it.
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
