"""How the whole state travels from one store to another (J3)."""

from __future__ import annotations

from unittest import mock

from bazar.errors import FatalError
from bazar.replication.messages import GENESIS, Snapshot
from storage import history
from storage.sqlite import state_tables
from storage.sqlite.replicated_store import ReplicatedStore
from tests.unit.storage.sqlite.test_replicated_store import LogTest, Shelf, change, entries


class SnapshotTest(LogTest):
    async def chunks(self, store: ReplicatedStore) -> list[Snapshot]:
        return [chunk async for chunk in store.snapshot()]

    async def filled(self, name: str = "one", rows: int = 3) -> ReplicatedStore:
        store = await self.open(name)
        await self.write(store, *({"name": f"{name}{n}", "by": n + 1} for n in range(rows)))
        return store

    async def test_a_snapshot_replaces_everything(self) -> None:
        source, target = await self.filled(), await self.filled("target", 5)
        await target.persist(target.committed, entries(target.committed, change("pending", 1)))
        store_id = target.store_id
        chunks = await self.chunks(source)
        self.assertEqual([chunk.first for chunk in chunks], [True] + [False] * (len(chunks) - 1))
        self.assertEqual([chunk.final for chunk in chunks], [False] * (len(chunks) - 1) + [True])
        for chunk in chunks:
            await target.install(chunk)
        for store in (target, await self.reopen("target")):
            self.assertEqual(await self.numbers(store), await self.numbers(source))
            self.assertEqual((store.committed, store.pending), (source.committed, []))
            self.assertEqual(store.store_id, store_id)
            self.assertEqual(await self.logged(store), [])
        made = await self.write(source, {"name": "more", "by": 1})
        await target.persist(target.committed, made)
        await target.apply(made[-1].mark)
        self.assertEqual(await self.numbers(target), await self.numbers(source))

    async def test_large_tables_travel_in_chunks(self) -> None:
        source = await self.filled(rows=state_tables.CHUNK_ROWS + 1)
        chunks = await self.chunks(source)
        sizes = [len(rows) for chunk in chunks for rows in chunk.rows.values()]
        self.assertEqual(sizes, [state_tables.CHUNK_ROWS, 1])
        target = await self.open("target")
        for chunk in chunks:
            await target.install(chunk)
        self.assertEqual(await self.numbers(target), await self.numbers(source))

    async def test_large_rows_travel_in_smaller_chunks(self) -> None:
        source = await self.open()
        names = [f"{n}" * state_tables.CHUNK_BYTES for n in range(3)]
        await self.write(source, *({"name": name, "by": 1} for name in names))
        sizes = [len(rows) for chunk in await self.chunks(source) for rows in chunk.rows.values()]
        self.assertEqual(sizes, [1, 1, 1])

    async def test_a_chunk_ends_with_the_row_that_makes_it_large_enough(self) -> None:
        source = await self.open()
        names = ("a" * 9, "b", "c" * 9, "d", "e")
        await self.write(source, *({"name": name, "by": 1000} for name in names))
        with mock.patch.object(state_tables, "CHUNK_BYTES", 10):
            chunks = await self.chunks(source)
        sizes = [len(rows) for chunk in chunks for rows in chunk.rows.values()]
        self.assertEqual(sizes, [2, 2, 1])

    async def test_j3_a_log_that_came_as_a_snapshot_reaches_back_to_nobody(self) -> None:
        source, target = await self.filled(), await self.open("target")
        for chunk in await self.chunks(source):
            await target.install(chunk)
        self.assertIsNone((await target.read_log(0)).base)
        self.assertEqual((await target.read_log(target.committed.seq)).base, target.committed)

    async def test_an_empty_state_is_a_snapshot_too(self) -> None:
        source, target = await self.open(), await self.filled("target")
        for chunk in await self.chunks(source):
            await target.install(chunk)
        self.assertEqual((await self.numbers(target), target.committed), ({}, GENESIS))

    async def test_a_snapshot_is_of_one_moment(self) -> None:
        source = await self.filled(rows=state_tables.CHUNK_ROWS + 1)
        before, mark = await self.numbers(source), source.committed
        snapshot = source.snapshot()
        chunks = [await anext(snapshot)]
        await self.write(source, {"name": "one0", "by": 1000}, {"name": "zzz", "by": 1})
        chunks += [chunk async for chunk in snapshot]
        self.assertEqual({chunk.mark for chunk in chunks}, {mark})
        target = await self.open("target")
        for chunk in chunks:
            await target.install(chunk)
        self.assertEqual(await self.numbers(target), before)

    async def test_all_its_tables_are_of_that_moment(self) -> None:
        source = await self.filled()
        mark, snapshot = source.committed, source.snapshot()
        chunks = [await anext(snapshot)]
        self.assertEqual([*chunks[0].rows], ["numbers"])
        begin = entries(mark, history.beginning(history.Epoch(2, "two", mark.seq)), epoch=2)
        await source.persist(mark, begin)
        await source.apply(begin[0].mark)
        chunks += [chunk async for chunk in snapshot]
        self.assertEqual([chunk.mark for chunk in chunks], [mark] * len(chunks))
        self.assertEqual([[*chunk.rows] for chunk in chunks], [["numbers"], []])

    async def test_an_interrupted_snapshot_leaves_the_old_state(self) -> None:
        source, target = (
            await self.filled(rows=state_tables.CHUNK_ROWS + 1),
            await self.filled("target"),
        )
        pending = entries(target.committed, change("pending", 1))
        await target.persist(target.committed, pending)
        before, mark = await self.numbers(target), target.committed
        for chunk in (await self.chunks(source))[:-1]:
            await target.install(chunk)
            self.assertEqual(await self.numbers(target), before)
            after = await self.reopen("target")  # as after a crash
            self.assertEqual((await self.numbers(after), after.committed), (before, mark))
            self.assertEqual(after.pending, list(pending))
        # Its feed broke off, and the next one sends ordinary entries.
        await target.apply(pending[-1].mark)
        self.assertEqual(await self.numbers(target), {**before, "pending": 1})

    async def test_a_snapshot_that_begins_anew_forgets_the_first(self) -> None:
        source, other = await self.filled(), await self.filled("other")
        target = await self.open("target")
        await target.install((await self.chunks(source))[0])
        for chunk in await self.chunks(other):
            await target.install(chunk)
        self.assertEqual(await self.numbers(target), await self.numbers(other))

    async def test_a_snapshot_without_a_beginning_is_fatal(self) -> None:
        source, target = await self.filled(), await self.open("target")
        again = await ReplicatedStore.open(self.path("one"), Shelf(), 1000, derive_s=0)
        self.addAsyncCleanup(again.close)
        for store in (target, again):  # one that has written, and one that has not yet
            with self.assertRaisesRegex(FatalError, "without the first one"):
                await store.install((await self.chunks(source))[-1])

    async def test_nor_is_there_one_once_something_else_was_written(self) -> None:
        source, target = await self.filled(), await self.open("target")
        first, *_, last = await self.chunks(source)
        await target.install(first)
        await target.persist(GENESIS, entries(GENESIS, change("a", 1)))
        with self.assertRaisesRegex(FatalError, "without the first one"):
            await target.install(last)
        for chunk in (first, last):
            await target.install(chunk)
        with self.assertRaisesRegex(FatalError, "without the first one"):
            await target.install(last)
        self.assertEqual(await self.numbers(target), await self.numbers(source))
