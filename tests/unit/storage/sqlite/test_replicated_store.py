"""The replicated log and the state it leaves, on real files."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from bazar.errors import Conflict, FatalError
from bazar.replication.messages import GENESIS, Change, Entry, Mark, chained
from bazar.replication.store import Extend, Operation, Outcome
from storage import history
from storage.sqlite import log_table, replicated_store
from storage.sqlite.history import HISTORY_SCHEMA
from storage.sqlite.reached import Reached
from storage.sqlite.replicated_store import ReplicatedStore
from tests.files import FilesTestCase, syncs


class Shelf:
    """A model as small as one can be: named numbers; `{"name", "by"}` adds to one."""

    tables: Mapping[str, str] = {"numbers": "name", **history.TABLES}
    migrations: Sequence[str] = (
        "CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER)",
        HISTORY_SCHEMA,
    )

    def seed(self) -> Sequence[Operation]:
        return [{"name": "seeded", "by": 1}]

    def teach(self, connection: sqlite3.Connection) -> None:
        pass

    def derive(self, connection: sqlite3.Connection) -> bool:
        return True

    def compact(self, connection: sqlite3.Connection) -> None:
        pass

    def execute(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], first: int
    ) -> list[Outcome]:
        rows = connection.execute("SELECT name, value FROM numbers")
        values = {row["name"]: row["value"] for row in rows}
        outcomes = []
        for operation in operations:
            name = operation["name"]
            if name == "refused":
                outcomes.append(Outcome(Conflict("refused")))
                continue
            values[name] = values.get(name, 0) + operation["by"]
            image: dict[str, Any] = {"put": {"numbers": [{"name": name, "value": values[name]}]}}
            if operation["by"] == 0:
                image = {"delete": {"numbers": [name]}}
            outcomes.append(Outcome({"value": values[name]}, Change((name,), image)))
        return outcomes


def change(name: str, value: int) -> Change:
    return Change((name,), {"put": {"numbers": [{"name": name, "value": value}]}})


def entries(before: Mark, *changes: Change, epoch: int = 1) -> tuple[Entry, ...]:
    return chained(before, epoch, changes)


def behind(before: Mark, epoch: int = 1) -> Extend:
    """Return what puts a batch's changes behind a mark."""

    def extend(outcomes: Sequence[Outcome]) -> tuple[Entry, ...]:
        changes = (one.change for one in outcomes if one.change is not None)
        return entries(before, *changes, epoch=epoch)

    return extend


class LogTest(FilesTestCase):
    async def open(self, name: str = "one", log_entries: int = 1000) -> ReplicatedStore:
        store = await ReplicatedStore.open(self.path(name), Shelf(), log_entries)
        self.addAsyncCleanup(store.close)
        return store

    async def reopen(self, name: str = "one") -> ReplicatedStore:
        """The store as a process finds it that starts after a crash: the first stays as it is."""
        copy = Path(tempfile.mkdtemp(dir=self.directory))
        for suffix in (".db", ".db-wal"):
            source = self.directory / f"{name}{suffix}"
            if source.exists():
                (copy / source.name).write_bytes(source.read_bytes())
        store = await ReplicatedStore.open(copy / f"{name}.db", Shelf(), 1000)
        self.addAsyncCleanup(store.close)
        return store

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.db"

    async def write(self, store: ReplicatedStore, *operations: Operation) -> tuple[Entry, ...]:
        """One batch as the primary runs it, committed."""
        _, made = await store.execute(operations, 0, behind(store.committed))
        await store.apply(made[-1].mark)
        return made

    async def numbers(self, store: ReplicatedStore) -> dict[str, int]:
        rows = await store.database.read("SELECT * FROM numbers")
        return {row["name"]: row["value"] for row in rows}

    async def logged(self, store: ReplicatedStore) -> list[int]:
        return [row["seq"] for row in await store.database.read("SELECT seq FROM log")]


class BatchTest(LogTest):
    async def test_a_batch_shows_when_it_is_committed_and_not_before(self) -> None:
        store = await self.open()
        operations = [{"name": "a", "by": 1}, {"name": "a", "by": 2}]
        outcomes, made = await store.execute(operations, 0, behind(GENESIS))
        self.assertEqual([one.answer for one in outcomes], [{"value": 1}, {"value": 3}])
        self.assertEqual(await self.numbers(store), {})
        self.assertEqual(await self.logged(store), [])
        self.assertEqual(store.committed, GENESIS)
        await store.apply(made[-1].mark)
        self.assertEqual(await self.numbers(store), {"a": 3})
        self.assertEqual(await self.logged(store), [1, 2])
        self.assertEqual(store.committed, made[-1].mark)

    async def test_a_rolled_back_batch_leaves_nothing(self) -> None:
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        before = store.committed
        await store.execute([{"name": "a", "by": 5}], 0, behind(before))
        await store.rollback()
        self.assertEqual((await self.numbers(store), store.committed), ({"a": 1}, before))
        self.assertEqual(await self.logged(store), [1])
        await store.rollback()  # with nothing open it does nothing
        await self.write(store, {"name": "a", "by": 1})
        self.assertEqual(await self.numbers(store), {"a": 2})

    async def test_a_batch_of_refusals_leaves_no_transaction_open(self) -> None:
        store = await self.open()
        outcomes, made = await store.execute([{"name": "refused"}], 0, behind(GENESIS))
        self.assertEqual((len(outcomes), made), (1, ()))
        self.assertFalse(store.database.writer.in_transaction)

    async def test_t4_a_write_to_the_disk_leaves_the_open_transaction_as_it_is(self) -> None:
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        _, made = await store.execute([{"name": "a", "by": 2}], 0, behind(store.committed))
        with syncs() as names:
            await store.sync()
        self.assertEqual(names, ["one.db-reached"])
        await store.apply(made[-1].mark)
        self.assertEqual(await self.numbers(store), {"a": 3})
        self.assertEqual(Reached.read(self.path("one")), 2)

    async def test_a_crash_before_the_commit_leaves_nothing(self) -> None:
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        await store.execute([{"name": "a", "by": 5}], 0, behind(store.committed))
        after = await self.reopen()
        self.assertEqual((await self.numbers(after), after.last), ({"a": 1}, store.committed))

    async def test_only_what_was_executed_can_be_committed(self) -> None:
        store = await self.open()
        await store.execute([{"name": "a", "by": 1}], 0, behind(GENESIS))
        with self.assertRaisesRegex(FatalError, "is executed"):
            await store.apply(entries(GENESIS, change("a", 2))[0].mark)
        await store.rollback()

    async def test_a_row_can_be_deleted_and_come_back(self) -> None:
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1}, {"name": "b", "by": 1})
        await self.write(store, {"name": "a", "by": 0})
        self.assertEqual(await self.numbers(store), {"b": 1})
        await self.write(store, {"name": "b", "by": 0}, {"name": "b", "by": 4})
        self.assertEqual(await self.numbers(store), {"b": 5})

    async def test_a_new_file_has_a_store_id_of_its_own_and_keeps_it(self) -> None:
        one, other = await self.open(), await self.open("other")
        self.assertNotEqual(one.store_id, other.store_id)
        self.assertEqual((await self.reopen()).store_id, one.store_id)
        self.assertEqual(one.seed(), [{"name": "seeded", "by": 1}])


class FollowerTest(LogTest):
    async def test_what_is_persisted_is_pending_and_survives(self) -> None:
        store = await self.open()
        made = entries(GENESIS, change("a", 1), change("b", 2))
        await store.persist(GENESIS, made)
        self.assertEqual((store.committed, store.last), (GENESIS, made[1].mark))
        self.assertEqual(await self.numbers(store), {})
        after = await self.reopen()
        self.assertEqual((after.committed, after.pending), (GENESIS, list(made)))

    async def test_h1_the_newest_epoch_is_known_from_what_is_pending_too(self) -> None:
        store = await self.open()
        begin = history.beginning(history.Epoch(2, "two", 1))
        first = entries(GENESIS, change("a", 1))
        made = first + entries(first[0].mark, begin, change("b", 2), change("c", 3), epoch=2)
        made += entries(made[-1].mark, change("d", 4), epoch=3)  # as before there were ids
        for end, known in ((1, (1, "")), (2, (2, "two")), (4, (2, "two")), (5, (3, ""))):
            await store.persist(store.last, made[store.last.seq : end])
            after = await self.reopen()
            self.assertEqual((after.epoch, after.epoch_id), known)
        await store.persist(made[3].mark, ())
        await store.apply(made[2].mark)
        after = await self.reopen()
        self.assertEqual((len(after.pending), after.epoch, after.epoch_id), (1, 2, "two"))

    async def test_apply_shows_the_prefix_and_survives(self) -> None:
        store = await self.open()
        made = entries(GENESIS, change("a", 1), change("b", 2), change("a", 3))
        await store.persist(GENESIS, made)
        await store.apply(made[1].mark)
        self.assertEqual(await self.numbers(store), {"a": 1, "b": 2})
        self.assertEqual((store.committed, store.pending), (made[1].mark, [made[2]]))
        after = await self.reopen()
        self.assertEqual((after.committed, after.pending), (made[1].mark, [made[2]]))
        self.assertEqual(await self.numbers(after), {"a": 1, "b": 2})
        await store.apply(made[2].mark)
        await store.apply(made[2].mark)  # again is nothing
        self.assertEqual(await self.numbers(store), {"a": 3, "b": 2})

    async def test_r6_only_what_the_log_holds_durably_is_applied_without_an_fsync(self) -> None:
        store = await self.open()
        made = entries(GENESIS, change("a", 1), change("b", 2), change("c", 3))
        modes: list[str] = []  # of each commit
        [[mode]] = await store.database.writer.execute_fetchall("PRAGMA synchronous")
        said = {str(mode): mode, "FULL": 2, "NORMAL": 1}
        current = [str(mode)]

        def traced(statement: str) -> None:
            if statement.startswith("PRAGMA synchronous="):
                current.append(statement.partition("=")[2])
            elif statement == "COMMIT":
                modes.append(current[-1])

        await store.database.writer.set_trace_callback(traced)
        await store.persist(GENESIS, made[:2])
        await store.apply(made[0].mark, synced=False)
        await store.persist(made[1].mark, made[2:])
        await store.apply(made[1].mark, synced=False)
        await store.apply(made[2].mark)
        await store.probe()
        await self.write(store, {"name": "d", "by": 4})
        self.assertEqual([said[mode] for mode in modes], [2, 1, 2, 1, 2, 2, 2])
        self.assertEqual(current[1:], ["NORMAL", "FULL"] * 2)  # said once where it changes

    async def test_a_conflict_drops_its_own_entries_from_there_on(self) -> None:
        store = await self.open()
        ours = entries(GENESIS, change("a", 1), change("b", 2), change("c", 3))
        await store.persist(GENESIS, ours)
        theirs = entries(ours[0].mark, change("d", 4), epoch=2)
        await store.persist(ours[0].mark, theirs)
        self.assertEqual(store.pending, [ours[0], *theirs])
        self.assertEqual((await self.reopen()).pending, [ours[0], *theirs])
        await store.apply(theirs[-1].mark)
        self.assertEqual(await self.numbers(store), {"a": 1, "d": 4})

    async def test_a_tail_can_be_dropped(self) -> None:
        store = await self.open()
        made = entries(GENESIS, change("a", 1), change("b", 2))
        await store.persist(GENESIS, made)
        await store.persist(made[0].mark, ())
        self.assertEqual((await self.reopen()).pending, [made[0]])

    async def test_only_what_the_log_has_can_be_applied(self) -> None:
        store = await self.open()
        made = entries(GENESIS, change("a", 1))
        await store.persist(GENESIS, made)
        for mark in (Mark(1, "another"), Mark(2, made[0].digest)):
            with self.assertRaisesRegex(FatalError, "the log has"):
                await store.apply(mark)

    async def test_follower_and_primary_end_with_the_same_rows(self) -> None:
        primary, follower = await self.open(), await self.open("follower")
        for number in range(5):
            made = await self.write(
                primary,
                {"name": f"n{number}", "by": number},
                {"name": "sum", "by": number},
                {"name": f"n{number - 1}", "by": 0},
            )
            await follower.persist(follower.committed, made)
            await follower.apply(made[-1].mark)
        self.assertEqual(await self.numbers(follower), await self.numbers(primary))
        self.assertEqual(follower.committed, primary.committed)

    async def test_a_log_that_contradicts_itself_is_fatal(self) -> None:
        store = await self.open()
        await store.persist(GENESIS, entries(GENESIS, change("a", 1), change("b", 2)))
        await store.close()
        connection = sqlite3.connect(self.path("one"))
        connection.execute("UPDATE log SET effects = replace(effects, '1', '9') WHERE seq = 1")
        connection.commit()
        connection.close()
        with self.assertRaisesRegex(FatalError, "does not follow"):
            await ReplicatedStore.open(self.path("one"), Shelf(), 1000)


class PagesTest(LogTest):
    async def test_read_log_goes_on_behind_a_seq(self) -> None:
        store = await self.open()
        made = await self.write(store, *({"name": f"n{n}", "by": 1} for n in range(4)))
        await store.persist(made[-1].mark, pending := entries(made[-1].mark, change("p", 1)))
        for after in range(6):
            page = await store.read_log(after)
            everything = (*made, *pending)
            self.assertEqual(page.entries, everything[after:])
            self.assertEqual(page.base, everything[after - 1].mark if after else GENESIS)
            self.assertTrue(page.end)

    async def test_what_comes_during_a_look_at_an_empty_log_is_on_the_next_page(self) -> None:
        """Or it would seem compacted, and a new replica be sent a snapshot."""
        store = await self.open()
        read = store.database.read

        async def read_and_write(*args: Any) -> Any:
            rows = await read(*args)
            if store.committed == GENESIS:
                await self.write(store, {"name": "a", "by": 1})
            return rows

        with mock.patch.object(store.database, "read", read_and_write):
            page = await store.read_log(0)
        self.assertEqual((page.base, page.entries, page.end), (GENESIS, (), False))

    async def test_read_log_beyond_the_end(self) -> None:
        store = await self.open()
        page = await store.read_log(0)
        self.assertEqual((page.base, page.entries, page.end), (GENESIS, (), True))
        await self.write(store, {"name": "a", "by": 1})
        page = await store.read_log(7)
        self.assertEqual((page.base, page.entries), (None, ()))

    async def test_pages_have_a_bound_and_say_whether_they_reach_the_end(self) -> None:
        store = await self.open()
        count = log_table.PAGE_ENTRIES + 3
        made = await self.write(store, *({"name": f"n{n}", "by": 1} for n in range(count)))
        first = await store.read_log(0)
        self.assertEqual((len(first.entries), first.end), (log_table.PAGE_ENTRIES, False))
        second = await store.read_log(log_table.PAGE_ENTRIES)
        self.assertEqual((second.entries, second.end), (made[log_table.PAGE_ENTRIES :], True))

    async def test_a_page_of_large_entries_is_short_but_never_empty(self) -> None:
        store = await self.open()
        huge = Change(
            ("a",), {"put": {"numbers": [{"name": "a" * log_table.PAGE_BYTES, "value": 1}]}}
        )
        made = entries(GENESIS, huge, change("b", 1), change("c", 1))
        await store.persist(GENESIS, made)
        page = await store.read_log(0)
        self.assertEqual((page.entries, page.end), (made[:1], False))
        page = await store.read_log(1)
        self.assertEqual((page.entries, page.end), (made[1:], True))

    async def test_the_log_is_compacted_and_says_so(self) -> None:
        store = await self.open(log_entries=3)
        for _ in range(10):
            await self.write(store, {"name": "a", "by": 1})
        self.assertEqual(await self.logged(store), [8, 9, 10])
        page = await store.read_log(7)
        self.assertEqual([entry.seq for entry in page.entries], [8, 9, 10])
        self.assertIsNone(page.base)  # what was there is gone: only a snapshot helps (J3)
        page = await store.read_log(8)
        self.assertIsNotNone(page.base)
        for after in (0, 3, 6):
            page = await store.read_log(after)
            self.assertEqual((page.base, page.entries, page.end), (None, (), False))
        self.assertEqual(await self.numbers(store), {"a": 10})

    async def test_what_somebody_will_ask_for_is_kept_within_bounds(self) -> None:
        store = await self.open(log_entries=3)
        with mock.patch.object(replicated_store, "MAX_KEPT", 20):
            for number in range(1, 50):
                store.keep_from = 6 if number >= 6 else None
                await self.write(store, {"name": "a", "by": 1})
                first, *_ = await self.logged(store)
                self.assertEqual(first, max(1, min(number - 2, 6), number - 22))
        store.keep_from = None
        with mock.patch.object(log_table, "SLICE_ENTRIES", 15):  # not all of it at once
            for first in (43, 49):
                await self.write(store, {"name": "a", "by": 1})
                self.assertEqual((await self.logged(store))[0], first)

    async def test_a_compacted_log_opens_again(self) -> None:
        store = await self.open(log_entries=3)
        for _ in range(10):
            await self.write(store, {"name": "a", "by": 1})
        after = await self.reopen()
        self.assertEqual((after.committed, after.pending), (store.committed, []))
