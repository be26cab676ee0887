"""One replica's file as another process reads it: its marks, its log, its rows."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bazar.errors import NotFound
from bazar.replication.messages import GENESIS, Mark
from storage.checksum import CHECKSUM
from storage.sqlite.errors import readable
from storage.sqlite.log_table import entry_of
from storage.sqlite.model import Model
from storage.sqlite.reached import Reached

BUSY_S = 5  # that a file may be locked for


class ReplicaFile:
    """One replica's file, read only, as of one moment (from `look` on)."""

    def __init__(self, node: str, path: Path) -> None:
        if not path.exists():
            raise NotFound(f"{path}: {node} has no file here")
        self.node = node
        self.path = path
        self.store = ""
        self.committed = GENESIS
        self.checksum: str | None = None
        self.reached = 0
        self.connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_S
        )
        self.connection.row_factory = sqlite3.Row

    def close(self) -> None:
        self.connection.close()

    def look(self) -> Mark:
        """Begin to read the state as it is now. Return its committed mark."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self.reached = Reached.read(self.path)
        self.connection.execute("BEGIN")
        meta = dict(self.connection.execute("SELECT name, value FROM meta").fetchall())
        self.store = meta["store_id"]
        self.committed = Mark(meta["committed_seq"], meta["committed_digest"])
        self.checksum = meta.get(CHECKSUM)
        return self.committed

    def tail(self) -> tuple[int | None, Mark]:
        """Return the epoch of the log's last entry, and where the log ends. The epoch is None for a
        file from before histories whose log is empty."""
        row = self.connection.execute("SELECT * FROM log ORDER BY seq DESC LIMIT 1").fetchone()
        if row is not None:
            return row["epoch"], entry_of(row).mark
        return self.begun(), self.committed

    def begun(self) -> int | None:
        """Return the newest epoch that has committed entries of its own (H1), 0 if none has; None
        for a file from before histories."""
        if self.lacks(("history",)):
            return None
        [(epoch,)] = self.query("SELECT COALESCE(max(epoch), 0) FROM history")
        return int(epoch)

    def pending(self) -> frozenset[Mark]:
        """Return the marks of the entries after the committed one."""
        behind = "SELECT * FROM log WHERE seq > (SELECT value FROM meta WHERE name = ?)"
        rows = self.connection.execute(behind, ("committed_seq",))
        return frozenset(entry_of(row).mark for row in rows)

    def highest_number(self, tables: Iterable[str]) -> int:
        """Return the highest number that a primary has given to a row of these tables, or 0."""
        highest = 0
        for table in tables:
            columns = self.connection.execute(f"PRAGMA table_info({table})")
            if "seq" in (column["name"] for column in columns):
                [(number,)] = self.connection.execute(f"SELECT COALESCE(max(seq), 0) FROM {table}")
                highest = max(highest, number)
        return highest

    def schema(self) -> int:
        """Return the version of its schema; 0 if it has none yet."""
        [(version,)] = self.connection.execute("PRAGMA user_version")
        return int(version)

    def other_version(self, model: Model) -> str | None:
        """Return a sentence that says what to do first, where this program is not the one that has
        made the schema; None where it is."""
        made, known = self.schema(), 1 + len(model.migrations)
        if made == known:
            return None
        todo = "start it with this program first" if made < known else "use its own program"
        return f"has schema {made}, and this program knows {known}: {todo}"

    def lacks(self, tables: Iterable[str]) -> list[str]:
        """Return those of the tables that it does not have: another version has made it."""
        there = {name for (name,) in self.query("SELECT name FROM sqlite_master")}
        return [table for table in tables if table not in there]

    def query(self, sql: str) -> Iterator[sqlite3.Row]:
        """Yield the rows of a statement."""
        yield from self.connection.execute(sql)

    def rows(self, table: str, key: str) -> Iterator[sqlite3.Row]:
        """Yield all rows of a table, ordered by their key."""
        yield from self.query(f"SELECT * FROM {table} ORDER BY {key}")


def closing(files: Sequence[ReplicaFile]) -> contextlib.ExitStack:
    """Return a context that closes `files` at its end."""
    stack = contextlib.ExitStack()
    for file in files:
        stack.callback(file.close)
    return stack


@contextlib.contextmanager
def reading(node: str, path: Path) -> Iterator[ReplicaFile]:
    """Open a replica's file, and read it as it is now. Raises NotFound, or Damaged where it can't
    be read."""
    with readable(path), closing([file := ReplicaFile(node, path)]):
        file.look()
        yield file
