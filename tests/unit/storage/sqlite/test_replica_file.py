"""What another process reads of a replica's file: where its log ends, and which numbers it gave."""

from __future__ import annotations

from bazar.replication.messages import GENESIS
from storage import history
from storage.catalog import Catalog
from storage.sqlite.catalog import CatalogRows
from storage.sqlite.replica_file import ReplicaFile
from storage.sqlite.replicated_store import ReplicatedStore
from tests.unit.storage.sqlite.test_replicated_store import LogTest, Shelf, change, entries


class ReplicaFileTest(LogTest):
    async def asyncSetUp(self) -> None:
        self.store = await self.open()

    def file(self) -> ReplicaFile:
        """The file of the store, as it is now."""
        file = ReplicaFile("one", self.path("one"))
        self.addCleanup(file.close)
        file.look()
        return file

    def test_it_knows_nothing_before_it_looks(self) -> None:
        file = ReplicaFile("one", self.path("one"))
        self.addCleanup(file.close)
        known = (file.store, file.committed, file.checksum, file.reached)
        self.assertEqual(known, ("", GENESIS, None, 0))

    def test_an_empty_one(self) -> None:
        file = self.file()
        self.assertEqual((file.begun(), file.tail()), (0, (0, GENESIS)))
        self.assertEqual((file.committed, file.pending(), file.reached), (GENESIS, frozenset(), 0))
        self.assertEqual(file.store, self.store.store_id)

    async def test_what_is_pending_is_behind_the_committed_mark(self) -> None:
        begin = history.beginning(history.Epoch(2, "two", 0))
        made = entries(GENESIS, begin, change("a", 1), change("b", 2), change("c", 3), epoch=2)
        await self.store.persist(GENESIS, made)
        self.assertEqual(self.file().begun(), 0)  # of its own it has committed nothing yet
        await self.store.apply(made[1].mark)
        file = self.file()
        self.assertEqual((file.committed, file.begun()), (made[1].mark, 2))
        self.assertEqual(file.pending(), {made[2].mark, made[3].mark})
        self.assertEqual((file.tail(), file.reached), ((2, made[3].mark), 4))

    def test_the_program_that_has_made_it_reads_it(self) -> None:
        class Other(Shelf):
            pass

        file, other = self.file(), Other()
        self.assertEqual(file.schema(), 1 + len(Shelf.migrations))
        self.assertIsNone(file.other_version(other))
        other.migrations = (*Shelf.migrations, "")
        self.assertRegex(file.other_version(other) or "", "has schema 3, and .* knows 4: start it")
        other.migrations = Shelf.migrations[:1]
        self.assertRegex(file.other_version(other) or "", "schema 3, and .* knows 2: use its own")


class NumbersTest(LogTest):
    async def test_the_highest_number_is_that_of_all_tables(self) -> None:
        catalog = CatalogRows(Catalog())
        store = await ReplicatedStore.open(self.path("one"), catalog, 1000)
        self.addAsyncCleanup(store.close)
        file = ReplicaFile("one", self.path("one"))
        self.addCleanup(file.close)
        self.assertEqual(file.highest_number(catalog.tables), 0)
        await store.database.writer.executescript(
            "INSERT INTO sales VALUES ('o', 'k', '', 0, 7, '[]');"
            " INSERT INTO cancellations VALUES ('o', 9, 0, '[]');"
            " INSERT INTO earlier_cancellations VALUES (8, 'o', 0, '[]')"
        )
        self.assertEqual(file.highest_number(catalog.tables), 9)
        self.assertEqual(file.highest_number(["cancellations", "sales"]), 9)
        self.assertEqual(file.highest_number(["books", "topics"]), 0)
