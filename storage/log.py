"""The replicated log and the state it leaves, in one SQLite file.

What the rows mean is a `Model`'s business (catalog, orders); here they are row images: an effect
is `{"put": {table: [row, …]}, "delete": {table: [key, …]}}`, and applying it twice is applying it
once. Primary and follower write them by the same code, so that they end up with the same rows.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
import orjson

from bazar.errors import FatalError
from bazar.replication.effects import LogPage
from bazar.replication.messages import GENESIS, Entry, Mark, Snapshot, tail_mark
from bazar.replication.store import Operation, Outcome
from storage.damage import CHECKSUM, Damaged, Reached, checksum, seal, told_apart
from storage.database import Database, is_new
from storage.history import number_of
from storage.place import Place

PAGE_ENTRIES = 500
PAGE_BYTES = 1 << 20
CHUNK_ROWS = 1000
FETCH_ROWS = 50
SLICE_ENTRIES = 10_000  # that are deleted at once
MAX_KEPT = 1_000_000  # entries beyond its length, for replicas that fill themselves

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES
    ('committed_seq', 0), ('committed_digest', ''), ('store_id', lower(hex(randomblob(8))));
CREATE TABLE log (
    seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, keys TEXT NOT NULL, effects TEXT NOT NULL,
    digest TEXT NOT NULL)
"""


class Model(Protocol):
    """What one role replicates: its rows in SQLite, and what is decided on them."""

    tables: Mapping[str, str]
    """Each table with its primary key, a single column; they hold the whole state. One of them is
    `history`."""

    migrations: Sequence[str]

    def teach(self, connection: sqlite3.Connection) -> None:
        """Let a connection know the functions that triggers call."""

    def derive(self, connection: sqlite3.Connection) -> bool:
        """Make some more of what is derived of the rows and is not there yet, in the open
        transaction. Returns whether it is there then."""

    def seed(self) -> Sequence[Operation]:
        """What a brand-new group begins with (T0)."""

    def execute(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], first: int
    ) -> list[Outcome]:
        """Decide `operations` in order, each seeing those before it. Reads only; each outcome
        with a change takes the next number from `first`."""


class ReplicatedStore:
    """The `Store` that the replication driver works on. One task at a time writes; what it writes
    at once runs as one piece of work on the writer's thread."""

    def __init__(
        self,
        database: Database,
        reached: Reached,
        model: Model,
        store_id: str,
        committed: Mark,
        log_entries: int,
    ) -> None:
        self.database = database
        self.model = model
        self.store_id = store_id
        self.committed = committed
        self.pending: list[Entry] = []
        self._checksum = 0  # over the rows, as the open transaction leaves them
        self._committed_checksum = 0
        self._reached = reached
        self._place = Place(database.path)
        self._log_entries = log_entries
        self._batch: tuple[Entry, ...] = ()  # of the open transaction
        self.keep_from: int | None = None
        self.epoch, self.epoch_id = 0, ""
        self._installing = False
        self.derived = False  # nothing is to be read or written before it is

    @classmethod
    async def open(
        cls, path: Path, model: Model, log_entries: int, derive_s: float = math.inf
    ) -> ReplicatedStore:
        """Open or make the file, and spend `derive_s` on what may have to be derived. Raises
        ConfigError, Damaged if it contradicts itself, or FatalError while the disk fails."""
        reached = Reached(path)
        try:
            if is_new(path):
                reached.note(0)  # what stands there is of another file, which is gone
            migrations = (SCHEMA, *model.migrations)
            database = await Database.open(path, migrations, model.teach)
        except BaseException:
            reached.close()
            raise
        try:
            with told_apart(path):
                store = await cls._load(database, reached, model, log_entries)
                await store.derive(derive_s)
                return store
        except BaseException as error:
            await database.close()  # its threads would keep the process from ending
            reached.close()
            if isinstance(error, (sqlite3.Error, LookupError, ValueError, TypeError)):
                raise Damaged(f"{path}: cannot be read: {error!r}") from error
            raise

    @classmethod
    async def _load(
        cls, database: Database, reached: Reached, model: Model, log_entries: int
    ) -> ReplicatedStore:
        meta = {row["name"]: row["value"] for row in await database.read("SELECT * FROM meta")}
        committed = Mark(meta["committed_seq"], meta["committed_digest"])
        store = cls(database, reached, model, meta["store_id"], committed, log_entries)
        if CHECKSUM in meta and not database.migrated:
            store._committed_checksum = int(meta[CHECKSUM], 16) ^ int(store._seal(0), 16)
        else:
            await database.write(store._make_checksum)
        behind = await database.read(
            "SELECT * FROM log WHERE seq > ? ORDER BY seq", (store.committed.seq,)
        )
        for row in behind:
            entry = entry_of(row)
            if not entry.extends(store.last):
                raise Damaged(f"{database.path}: entry {entry.seq} does not follow {store.last}")
            store.pending.append(entry)
        newest = "SELECT epoch, id FROM history ORDER BY epoch DESC LIMIT 1"
        for row in await database.read(newest):
            store.epoch, store.epoch_id = row["epoch"], row["id"]
        for entry in store.pending:
            store._know(entry)
        if store.last.seq > Reached.read(database.path):
            reached.note(store.last.seq)  # never less: this file may not be checked yet
        return store

    async def derive(self, patience_s: float = math.inf) -> None:
        """Have what is derived of the rows made, slice by slice: those that are done stay so,
        whatever happens. After `patience_s` the rest is left for another time."""

        def work(writer: sqlite3.Connection) -> bool:
            self._begin(writer)
            done = self.model.derive(writer)
            self._commit(writer)
            return done

        until = time.monotonic() + patience_s
        with told_apart(self.database.path):
            while not self.derived and time.monotonic() < until:
                self.derived = await self.database.write(work)

    def _know(self, entry: Entry) -> None:
        begun = entry.effects.get("put", {}).get("history", ())
        known = [(self.epoch, self.epoch_id), *((row["epoch"], row["id"]) for row in begun)]
        # An epoch from before ids were kept has none: the entry alone tells of it.
        self.epoch, self.epoch_id = max((entry.epoch, ""), *known)

    @property
    def last(self) -> Mark:
        return tail_mark(self.committed, self.pending)

    def seed(self) -> Sequence[Operation]:
        return self.model.seed()

    async def close(self) -> None:
        await self.database.close()
        self._reached.close()

    def check(self) -> None:
        self._place.check()

    async def probe(self) -> None:
        """Return once the file has taken a write, fsynced."""

        def work(writer: sqlite3.Connection) -> None:
            self._begin(writer)
            writer.execute(
                "INSERT OR REPLACE INTO meta VALUES ('probed_at', ?)", (self.committed.seq,)
            )
            self._commit(writer)

        await self.database.write(work)

    async def sync(self) -> None:
        """Return once the disk has taken a write, fsynced; the open transaction stays as it is."""
        await self.database.write(lambda writer: self._reached.sync())
        self.check()

    # --- the primary's batch ---------------------------------------------------------------------

    async def execute(self, operations: Sequence[Operation], epoch: int) -> list[Outcome]:
        """Open a transaction and decide `operations` in it."""
        # Numbers that grow even where a promotion by force has cut the log back: whoever has seen
        # one (the orders' cursor) has not seen any that comes later.
        first = number_of(epoch, self.committed.seq + 1)

        def work(writer: sqlite3.Connection) -> list[Outcome]:
            self._begin(writer)
            return self.model.execute(writer, operations, first)

        return await self.database.write(work)

    async def append(self, entries: tuple[Entry, ...]) -> None:
        """Write the batch's entries and their effects into the open transaction."""

        def work(writer: sqlite3.Connection) -> None:
            self._append(writer, entries)
            self._put(writer, entries)
            self._commit_mark(writer, entries[-1].mark)

        await self.database.write(work)
        self._batch = entries

    async def rollback(self) -> None:
        self._batch = ()
        await self.database.write(self._roll_back)

    # --- what effects ask ------------------------------------------------------------------------

    async def persist(self, after: Mark, entries: tuple[Entry, ...]) -> None:
        """Replace the log behind `after` by `entries`, fsynced."""

        def work(writer: sqlite3.Connection) -> None:
            self._begin(writer)
            writer.execute("DELETE FROM log WHERE seq > ?", (after.seq,))
            self._append(writer, entries)
            self._commit(writer, tail_mark(after, entries))

        await self.database.write(work)
        self.pending = [entry for entry in self.pending if entry.seq <= after.seq]
        self.pending += [entry for entry in entries if entry.seq > self.committed.seq]

    async def apply(self, mark: Mark) -> None:
        """Make everything up to `mark` the committed state, fsynced."""
        count = mark.seq - self.committed.seq
        entries = self.pending[:count] if count > 0 else []

        def work(writer: sqlite3.Connection) -> None:
            self._begin(writer)
            self._put(writer, entries)
            self._commit_mark(writer, mark)
            self._commit(writer)

        if self._batch:
            if self._batch[-1].mark != mark:
                raise FatalError(f"asked to commit {mark}, but {self._batch[-1].mark} is executed")
            await self.database.write(lambda writer: self._commit(writer, mark))
            self._batch = ()
        elif count > 0:
            if tail_mark(self.committed, entries) != mark:
                raise FatalError(f"asked to apply {mark}, but the log has {self.last}")
            await self.database.write(work)
            del self.pending[:count]
        else:
            return
        self.committed = mark

    async def install(self, chunk: Snapshot) -> None:
        """Take one chunk of a snapshot; the final one commits all of them at once (J3)."""
        if not chunk.first and not self._installing:
            raise FatalError("a snapshot goes on that was not begun")

        def work(writer: sqlite3.Connection) -> None:
            if chunk.first:
                self._begin(writer)
                for table in ("log", *self.model.tables):
                    writer.execute(f"DELETE FROM {table}")
                self._checksum = 0
            for table, rows in chunk.rows.items():
                self._put_rows(writer, table, rows)
            if chunk.final:
                self._commit_mark(writer, chunk.mark)
                self._commit(writer, chunk.mark)

        await self.database.write(work)
        self._installing = not chunk.final
        if chunk.final:
            self.committed, self.pending = chunk.mark, []

    async def read_log(self, after_seq: int) -> LogPage:
        """The entries behind `after_seq`, up to a page."""
        begun = self.committed != GENESIS  # it may be by the end
        sums = "SUM(length(effects)) OVER (ORDER BY seq)"
        page = "SELECT * FROM log WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = await self.database.read(
            f"SELECT * FROM (SELECT *, {sums} AS bytes FROM ({page})) "
            "WHERE bytes <= ? OR seq = ? ORDER BY seq",
            (after_seq, PAGE_ENTRIES, PAGE_BYTES, after_seq + 1),
        )
        [found] = await self.database.read(
            "SELECT (SELECT MAX(seq) FROM log) AS newest, (SELECT digest FROM log WHERE seq = ?1"
            " UNION ALL SELECT d.value FROM meta d JOIN meta s ON d.name = 'committed_digest' AND"
            " s.name = 'committed_seq' AND s.value = ?1 LIMIT 1) AS digest",
            (after_seq,),
        )
        entries = tuple(entry_of(row) for row in rows)
        base = None if found["digest"] is None else Mark(after_seq, found["digest"])
        if after_seq == 0 and (entries or not begun):
            base = GENESIS  # else all of it has been compacted, or came as a snapshot
        if entries and entries[0].seq != after_seq + 1:
            return LogPage(None, (), end=False)  # compacted
        last_seq = entries[-1].seq if entries else after_seq
        return LogPage(base, entries, end=last_seq >= (found["newest"] or 0))

    async def snapshot(self) -> AsyncGenerator[Snapshot, None]:
        """The committed state at one moment, in chunks."""
        reader = await self.database.connect_reader()
        try:
            await reader.execute("BEGIN")
            meta = {
                r["name"]: r["value"] for r in await reader.execute_fetchall("SELECT * FROM meta")
            }
            mark = Mark(meta["committed_seq"], meta["committed_digest"])
            first = True
            for table, key in self.model.tables.items():
                async for rows in _chunks(reader, table, key):
                    yield Snapshot(mark, {table: rows}, first=first, final=False)
                    first = False
            yield Snapshot(mark, {}, first=first, final=True)
        finally:
            await reader.close()

    # --- statements ------------------------------------------------------------------------------

    def _begin(self, writer: sqlite3.Connection) -> None:
        self._roll_back(writer)  # a snapshot whose feed broke off: nothing of it is to stay
        self._installing = False
        self._checksum = self._committed_checksum
        writer.execute("BEGIN IMMEDIATE")

    def _roll_back(self, writer: sqlite3.Connection) -> None:
        if writer.in_transaction:
            writer.execute("ROLLBACK")

    def _commit(self, writer: sqlite3.Connection, last: Mark | None = None) -> None:
        """Commit, fsynced; `last` is where the log ends then, if not where it ended before."""
        if last is not None and last.seq < self.last.seq:
            self._reached.note(last.seq)
        writer.execute("COMMIT")
        self._place.check()  # else it is on no disk
        if last is not None and last.seq > self.last.seq:
            self._reached.note(last.seq)
        self._committed_checksum = self._checksum

    def _make_checksum(self, writer: sqlite3.Connection) -> None:
        """For a file that is new, or from before the schema that it has now."""
        self._begin(writer)
        for table in self.model.tables:
            self._checksum ^= self._sum(writer, f"SELECT * FROM {table}", table)
        self._commit_mark(writer, self.committed)
        self._commit(writer)

    def _seal(self, total: int, mark: Mark | None = None) -> str:
        return seal(total, self.store_id, mark or self.committed)

    def _append(self, writer: sqlite3.Connection, entries: Iterable[Entry]) -> None:
        writer.executemany(
            "INSERT INTO log (seq, epoch, keys, effects, digest) VALUES (?, ?, ?, ?, ?)",
            [(e.seq, e.epoch, _json(e.tags), _json(e.effects), e.digest) for e in entries],
        )

    def _commit_mark(self, writer: sqlite3.Connection, mark: Mark) -> None:
        writer.executemany(
            "UPDATE meta SET value = ? WHERE name = ?",
            [(mark.seq, "committed_seq"), (mark.digest, "committed_digest")],
        )
        writer.execute(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)",
            (CHECKSUM, self._seal(self._checksum, mark)),
        )
        # In slices: what was kept for somebody may be much.
        writer.execute(
            "DELETE FROM log WHERE seq <= min(?, (SELECT min(seq) FROM log) + ?)",
            (self._compacted(mark.seq), SLICE_ENTRIES),
        )

    def _compacted(self, seq: int) -> int:
        """Up to which entry the log may go when `seq` is committed."""
        usual = seq - self._log_entries
        if self.keep_from is None:
            return usual
        return min(usual, max(self.keep_from - 1, usual - MAX_KEPT))

    def _put(self, writer: sqlite3.Connection, entries: Iterable[Entry]) -> None:
        """Write the last image of each row that `entries` touch."""
        images: dict[str, dict[Any, Row | None]] = {}
        for entry in entries:
            for table, rows in entry.effects.get("put", {}).items():
                key = self.model.tables[table]
                images.setdefault(table, {}).update((row[key], row) for row in rows)
            for table, keys in entry.effects.get("delete", {}).items():
                images.setdefault(table, {}).update(dict.fromkeys(keys))
        for table, by_key in images.items():
            self._put_rows(writer, table, [row for row in by_key.values() if row is not None])
            gone = [key for key, row in by_key.items() if row is None]
            if gone:
                self._checksum ^= self._sum_of(writer, table, gone)
                writer.executemany(
                    f"DELETE FROM {table} WHERE {self.model.tables[table]} = ?",
                    [(key,) for key in gone],
                )

    def _put_rows(self, writer: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
        if not rows:
            return
        # A row from before a column was there has nothing in it.
        columns = list(dict.fromkeys(name for row in rows for name in row))
        key = self.model.tables[table]
        keys = [row[key] for row in rows]
        before = self._sum_of(writer, table, keys)
        sets = ", ".join(f"{name} = excluded.{name}" for name in columns if name != key)
        writer.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) "
            f"VALUES ({', '.join('?' * len(columns))}) "
            f"ON CONFLICT ({key}) DO UPDATE SET {sets}",
            [[row.get(name) for name in columns] for row in rows],
        )
        # Of the rows as the file gives them back, not as they came: that is what a check reads.
        self._checksum ^= before ^ self._sum_of(writer, table, keys)

    def _sum_of(self, writer: sqlite3.Connection, table: str, keys: Sequence[Any]) -> int:
        """The checksum over those of these rows that exist."""
        of_keys = f"{self.model.tables[table]} IN (SELECT value FROM json_each(?))"
        return self._sum(writer, f"SELECT * FROM {table} WHERE {of_keys}", table, _json(keys))

    def _sum(self, writer: sqlite3.Connection, sql: str, table: str, *values: Any) -> int:
        return checksum(table, writer.execute(sql, values))


Row = Mapping[str, Any]


async def _chunks(
    reader: aiosqlite.Connection, table: str, key: str
) -> AsyncIterator[list[dict[str, Any]]]:
    cursor = await reader.execute(f"SELECT * FROM {table} ORDER BY {key}")
    chunk: list[dict[str, Any]] = []
    size = 0
    while rows := await cursor.fetchmany(FETCH_ROWS):
        for row in rows:
            chunk.append(dict(row))
            size += sum(len(value) for value in row if isinstance(value, str))
            if len(chunk) >= CHUNK_ROWS or size >= PAGE_BYTES:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk


def entry_of(row: sqlite3.Row) -> Entry:
    """The entry in a row of `log`. Raises ValueError where it is not one."""
    tags = tuple(orjson.loads(row["keys"]))
    return Entry(row["seq"], row["epoch"], tags, orjson.loads(row["effects"]), row["digest"])


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
