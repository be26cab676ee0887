"""The replicated log and the state it leaves, in one SQLite file.

What the rows mean is a `Model`'s business (catalog, orders); here they are images that entries
bring: `log_table.py` writes the entries, `state_tables.py` the rows.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from bazar.errors import FatalError
from bazar.replication.effects import LogPage
from bazar.replication.messages import GENESIS, Entry, Mark, Snapshot, tail_mark
from bazar.replication.store import Extend, Operation, Outcome
from storage.checksum import CHECKSUM, seal, unseal
from storage.history import number_of
from storage.sqlite import log_table
from storage.sqlite.database import Database
from storage.sqlite.errors import Damaged, translated_errors
from storage.sqlite.files import OpenFiles, is_new
from storage.sqlite.log_table import entry_of
from storage.sqlite.model import Model
from storage.sqlite.reached import Reached
from storage.sqlite.state_tables import StateTables

MAX_KEPT = 1_000_000  # entries beyond `log_entries` at most, for replicas that catch up


class ReplicatedStore:
    """The `Store` that the replication driver works on. One task at a time writes; each transaction
    or part of one is a function that runs on the writer's thread."""

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
        self._state = StateTables(model.tables)
        self._reached = reached
        self._files = OpenFiles(database.path)
        self._log_entries = log_entries
        self._batch: tuple[Entry, ...] = ()  # of the open transaction
        self.keep_from: int | None = None
        self.epoch, self.epoch_id = 0, ""
        self._installing = False
        self._synced = True  # whether a commit is fsynced before it returns
        self.derived = False  # until then nothing may be read or written

    @classmethod
    async def open(
        cls, path: Path, model: Model, log_entries: int, derive_s: float = math.inf
    ) -> ReplicatedStore:
        """Open or make the file, and spend up to `derive_s` on what is derived from its rows.
        Raises ConfigError, Damaged if it contradicts itself, or FatalError while the disk fails."""
        reached = Reached(path)
        try:
            if is_new(path):
                reached.note(0)  # the note is of another file, which is gone
            migrations = (log_table.SCHEMA, *model.migrations)
            database = await Database.open(path, migrations, model.teach)
        except BaseException:
            reached.close()
            raise
        try:
            with translated_errors(path):
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
            store._state.load(unseal(meta[CHECKSUM], store.store_id, committed))
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
            reached.note(store.last.seq)  # never lower it: this file may not be checked yet
        return store

    async def derive(self, patience_s: float = math.inf) -> None:
        """Make what is derived from the rows, a committed slice at a time. After `patience_s` leave
        the rest for a later call."""

        def work(writer: sqlite3.Connection) -> bool:
            self._begin(writer)
            done = self.model.derive(writer)
            self._commit(writer)
            return done

        until = time.monotonic() + patience_s
        with translated_errors(self.database.path):
            while not self.derived and time.monotonic() < until:
                self.derived = await self.database.write(work)

    def _know(self, entry: Entry) -> None:
        """Take note of a newer epoch that an entry tells."""
        begun = entry.effects.get("put", {}).get("history", ())
        known = [(self.epoch, self.epoch_id), *((row["epoch"], row["id"]) for row in begun)]
        # An epoch from before ids has no row: only its entries name it.
        self.epoch, self.epoch_id = max((entry.epoch, ""), *known)

    @property
    def last(self) -> Mark:
        """Where the log ends."""
        return tail_mark(self.committed, self.pending)

    def seed(self) -> Sequence[Operation]:
        """Return the operations with which a new group begins (T0)."""
        return self.model.seed()

    async def close(self) -> None:
        """Close the files."""
        await self.database.close()
        self._reached.close()

    def check(self) -> None:
        """Check that what is written here is in the files at their paths (R8). Raises
        FatalError."""
        self._files.check()

    async def probe(self) -> None:
        """Return once the file has taken a write, fsynced (T1)."""

        def work(writer: sqlite3.Connection) -> None:
            self._begin(writer)
            writer.execute(
                "INSERT OR REPLACE INTO meta VALUES ('probed_at', ?)", (self.committed.seq,)
            )
            self._commit(writer)

        await self.database.write(work)

    async def sync(self) -> None:
        """Return once the disk has taken a write, fsynced, whatever transaction is open (T4).
        Raises FatalError as `check` does."""
        await self.database.write(lambda writer: self._reached.sync())
        self.check()

    # --- the primary's batch ---------------------------------------------------------------------

    async def execute(
        self, operations: Sequence[Operation], epoch: int, extend: Extend
    ) -> tuple[list[Outcome], tuple[Entry, ...]]:
        """Open a transaction, decide `operations` in it, and write what they come to."""
        # Numbers grow even where a forced promotion has cut the log back: what comes later has a
        # higher one than any that was seen (the orders' cursor).
        first = number_of(epoch, self.committed.seq + 1)

        def work(writer: sqlite3.Connection) -> tuple[list[Outcome], tuple[Entry, ...]]:
            self._begin(writer)
            outcomes = self.model.execute(writer, operations, first)
            entries = extend(outcomes)
            if entries:
                log_table.append(writer, entries)
                self._state.apply(writer, entries)
                self._commit_mark(writer, entries[-1].mark)
            else:
                self._roll_back(writer)
            return outcomes, entries

        outcomes, self._batch = await self.database.write(work)
        return outcomes, self._batch

    async def rollback(self) -> None:
        """Undo the open transaction, if there is one."""
        self._batch = ()
        await self.database.write(self._roll_back)

    # --- the core's effects ----------------------------------------------------------------------

    async def persist(self, after: Mark, entries: tuple[Entry, ...]) -> None:
        """Replace the log after `after` by `entries`, fsynced."""

        def work(writer: sqlite3.Connection) -> None:
            self._begin(writer)
            log_table.cut(writer, after.seq)
            log_table.append(writer, entries)
            self._commit(writer, tail_mark(after, entries))

        await self.database.write(work)
        self.pending = [entry for entry in self.pending if entry.seq <= after.seq]
        self.pending += [entry for entry in entries if entry.seq > self.committed.seq]

    async def apply(self, mark: Mark, *, synced: bool = True) -> None:
        """Make everything up to `mark` the committed state, fsynced unless it need not be (R6)."""
        count = mark.seq - self.committed.seq
        entries = self.pending[:count]

        def work(writer: sqlite3.Connection) -> None:
            self._begin(writer, synced=synced)
            self._state.apply(writer, entries)
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
            raise FatalError("a chunk of a snapshot came without the first one")

        def work(writer: sqlite3.Connection) -> None:
            if chunk.first:
                self._begin(writer)
                log_table.cut(writer, 0)
                self._state.clear(writer)
            for table, rows in chunk.rows.items():
                self._state.put(writer, table, rows)
            if chunk.final:
                self._commit_mark(writer, chunk.mark)
                self._commit(writer, chunk.mark)

        await self.database.write(work)
        self._installing = not chunk.final
        if chunk.final:
            self.committed, self.pending = chunk.mark, []

    async def read_log(self, after_seq: int) -> LogPage:
        """Return the entries after `after_seq`, up to a page."""
        return await log_table.read_page(self.database, after_seq, begun=self.committed != GENESIS)

    async def snapshot(self) -> AsyncGenerator[Snapshot, None]:
        """Yield the committed state of one moment, in chunks. The caller closes the generator: the
        state is kept until then."""
        reader = await self.database.connect_reader()
        try:
            await reader.execute("BEGIN")
            meta = {
                r["name"]: r["value"] for r in await reader.execute_fetchall("SELECT * FROM meta")
            }
            mark = Mark(meta["committed_seq"], meta["committed_digest"])
            first = True
            async for table, rows in self._state.chunks(reader):
                yield Snapshot(mark, {table: rows}, first=first, final=False)
                first = False
            yield Snapshot(mark, {}, first=first, final=True)
        finally:
            await reader.close()

    # --- statements ------------------------------------------------------------------------------

    def _begin(self, writer: sqlite3.Connection, *, synced: bool = True) -> None:
        self._roll_back(writer)  # a snapshot whose feed broke off
        self._installing = False
        self._state.begin()
        if synced is not self._synced:
            writer.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._synced = synced
        writer.execute("BEGIN IMMEDIATE")

    def _roll_back(self, writer: sqlite3.Connection) -> None:
        if writer.in_transaction:
            writer.execute("ROLLBACK")

    def _commit(self, writer: sqlite3.Connection, last: Mark | None = None) -> None:
        """Commit, fsynced. `last` is where the log ends then, if that changes."""
        if last is not None and last.seq < self.last.seq:
            self._reached.note(last.seq)
        writer.execute("COMMIT")
        self._files.check()  # else it is on no disk
        if last is not None and last.seq > self.last.seq:
            self._reached.note(last.seq)
        self._state.commit()

    def _make_checksum(self, writer: sqlite3.Connection) -> None:
        """Make the checksum of a file that is new, or has a newer schema than before."""
        self._begin(writer)
        self._state.sum_all(writer)
        self._commit_mark(writer, self.committed)
        self._commit(writer)

    def _commit_mark(self, writer: sqlite3.Connection, mark: Mark) -> None:
        sealed = seal(self._state.checksum, self.store_id, mark)
        log_table.set_committed(writer, mark, sealed)
        log_table.compact(writer, self._compacted(mark.seq))
        self.model.compact(writer)

    def _compacted(self, seq: int) -> int:
        """Return the last entry that the log does not need once `seq` is committed."""
        usual = seq - self._log_entries
        if self.keep_from is None:
            return usual
        return min(usual, max(self.keep_from - 1, usual - MAX_KEPT))
