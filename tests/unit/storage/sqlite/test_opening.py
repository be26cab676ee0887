"""What opening a store leaves: all of it, or nothing."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from unittest import mock

from bazar.errors import ConfigError, FatalError
from bazar.replication.messages import GENESIS
from storage.sqlite import replicated_store
from storage.sqlite.errors import Damaged
from storage.sqlite.reached import Reached
from storage.sqlite.replicated_store import ReplicatedStore
from tests.unit.storage.sqlite.test_replicated_store import LogTest, Shelf, behind, change, entries


class Deriving(Shelf):
    """A model that derives something in `slices`, a second each."""

    def __init__(self, slices: int, error: Exception | None = None) -> None:
        self.slices = slices
        self.error = error
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def derive(self, connection: sqlite3.Connection) -> bool:
        if self.error is not None:
            raise self.error
        assert self.slices > 0, "all is derived"
        self.now += 1
        self.slices -= 1
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('slices', ?)", (self.slices,))
        return self.slices == 0


class OpeningTest(LogTest):
    def in_use(self) -> list[str]:
        """The files of the test's directory that this process has open."""
        found = []
        for fd in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                path = fd.readlink()
                if path.parent == self.directory.resolve():
                    found.append(path.name)
        return sorted({*found})

    def change_file(self, sql: str) -> None:
        with contextlib.closing(sqlite3.connect(self.path("one"))) as connection:
            connection.executescript(sql)

    async def test_nothing_stays_open_where_it_fails_or_after_it_is_closed(self) -> None:
        store = await self.open()
        self.assertEqual(self.in_use(), ["one.db", "one.db-reached", "one.db-shm", "one.db-wal"])
        async for _ in store.snapshot():
            pass
        await store.close()
        self.assertEqual(self.in_use(), [])
        for sql, kind in (
            ("UPDATE meta SET value = 'x' WHERE name = 'rows'", Damaged),
            ("PRAGMA user_version = 9", ConfigError),
        ):
            self.change_file(sql)
            with self.assertRaises(kind):
                await self.open()
            self.assertEqual(self.in_use(), [])

    async def test_only_what_cant_be_read_is_damaged(self) -> None:
        """A damaged file is put aside; where the machine fails, or the program, it must stay."""
        for error, damaged in (
            (ValueError("no number"), True),
            (KeyError("no such row"), True),
            (TypeError("no text"), True),
            (sqlite3.DatabaseError("no such table"), True),
            (FatalError("the disk fails"), False),
            (ArithmeticError("a fault of the program"), False),
        ):
            with self.subTest(error), self.assertRaises(Exception) as caught:
                await ReplicatedStore.open(self.path("one"), Deriving(1, error), 1000)
            self.assertIs(type(caught.exception), Damaged if damaged else type(error))
            self.assertEqual(self.in_use(), [])

    async def test_what_is_derived_is_made_a_committed_slice_at_a_time(self) -> None:
        for patience_s, left in ((0, 5), (1.5, 3), (2, 1)):
            model = Deriving(5 if patience_s == 0 else left + 2)
            with self.subTest(patience_s), mock.patch.object(replicated_store, "time", model):
                store = await ReplicatedStore.open(self.path("one"), model, 1000, patience_s)
                self.assertEqual((store.derived, model.slices), (False, left))
                if patience_s:
                    kept = await store.database.read("SELECT value FROM meta WHERE name = 'slices'")
                    self.assertEqual([row["value"] for row in kept], [left])
                await store.derive()
                self.assertEqual((store.derived, model.slices), (True, 0))
                await store.derive()  # again is nothing
                self.assertEqual(model.slices, 0)
                await store.close()

    async def test_a_note_that_lags_behind_the_log_is_brought_up_to_it(self) -> None:
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        await store.persist(store.last, entries(store.last, change("b", 1)))
        await store.close()
        Reached(self.path("one")).note(1)
        await self.open()
        self.assertEqual(Reached.read(self.path("one")), 2)


class OpenTest(LogTest):
    """A store that is open."""

    async def test_a_probe_is_a_committed_write(self) -> None:
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        await store.probe()
        self.assertFalse(store.database.writer.in_transaction)
        [row] = await store.database.read("SELECT value FROM meta WHERE name = 'probed_at'")
        self.assertEqual(row["value"], 1)

    async def test_r8_what_is_written_to_a_file_that_is_gone_is_not_acknowledged(self) -> None:
        made = entries(GENESIS, change("a", 1))
        for name in ("one.db", "one.db-wal", "one.db-shm"):
            with self.subTest(name):
                store = await self.open()
                (self.directory / name).rename(self.directory / "moved")
                with self.assertRaises(FatalError):
                    store.check()
                with self.assertRaises(FatalError):
                    await store.sync()
                with self.assertRaises(FatalError):
                    await store.persist(GENESIS, made)
                self.assertEqual(store.pending, [])
                (self.directory / "moved").rename(self.directory / name)
                store.check()
                await store.close()
                self.path("one").unlink()

    async def test_who_has_led_follows(self) -> None:
        store = await self.open()
        self.assertEqual((store.epoch, store.epoch_id), (0, ""))
        await self.write(store, {"name": "a", "by": 1})
        await store.execute([{"name": "a", "by": 1}], 0, behind(store.committed))
        await store.rollback()
        self.assertFalse(store.database.writer.in_transaction)
        for value in (5, 6):
            made = entries(store.committed, change("a", value), epoch=2)
            await store.persist(store.committed, made)
            await store.apply(made[0].mark)
            self.assertEqual(await self.numbers(store), {"a": value})
            self.assertEqual(store.committed, made[0].mark)
            if value == 5:  # it leads once more, and all that it executes is committed
                await self.write(store, {"name": "a", "by": 1})

    async def test_what_is_committed_is_not_pending_again(self) -> None:
        store = await self.open()
        made = entries(GENESIS, change("a", 1), change("b", 2), change("c", 3))
        await store.persist(GENESIS, made[:2])
        await store.apply(made[0].mark)
        await store.persist(GENESIS, made)
        self.assertEqual((store.committed, store.pending), (made[0].mark, [*made[1:]]))

    async def test_nothing_is_written_for_what_is_committed(self) -> None:
        store = await self.open()
        made = entries(GENESIS, change("a", 1), change("b", 2))
        await store.persist(GENESIS, made)
        await store.apply(made[1].mark)
        before = store.database.writer.total_changes
        for entry in made:
            await store.apply(entry.mark)
        self.assertEqual(store.database.writer.total_changes, before)
        self.assertEqual((store.committed, store.pending), (made[1].mark, []))

    async def test_each_commit_gives_the_model_a_chance_to_compact(self) -> None:
        compacted: list[bool] = []

        class Compacting(Shelf):
            def compact(self, connection: sqlite3.Connection) -> None:
                compacted.append(connection.in_transaction)

        store = await ReplicatedStore.open(self.path("one"), Compacting(), 1000)
        self.addAsyncCleanup(store.close)
        compacted.clear()
        await self.write(store, {"name": "a", "by": 1})
        self.assertEqual(compacted, [True])
