"""What an operator is told about the files of replicas: each fault by its own name, each row that
differs, and nothing that is only a matter of moments."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bazar.errors import ConfigError, NotFound
from bazar.replication.messages import Mark
from storage.catalog import Catalog
from storage.history import number_of
from storage.orders import Orders
from storage.sqlite.catalog import CatalogRows
from storage.sqlite.compare import Difference, compare_sales, differences, same_moment
from storage.sqlite.integrity import faults_of, find_damage, refuse_foreign_wal
from storage.sqlite.orders import OrderRows
from storage.sqlite.replica_file import ReplicaFile, closing
from storage.sqlite.replicated_store import ReplicatedStore
from tests.files import FilesTestCase
from tests.unit.storage.sqlite.test_replicated_store import LogTest, Shelf, change, entries


class PutBackTest(LogTest):
    """A file that was put back, and what lies beside it."""

    async def test_one_beside_the_wal_of_a_later_state_is_refused(self) -> None:
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        await store.close()
        kept = self.path("one").read_bytes()
        refuse_foreign_wal(self.path("one"))

        store = await self.open()
        for _ in range(2):
            await self.write(store, {"name": "a", "by": 1})
        wal = self.directory / "one.db-wal"
        after_crash = self.path("one").read_bytes(), wal.read_bytes()
        await store.close()
        for database, refused in ((after_crash[0], False), (kept, True)):
            self.path("one").write_bytes(database)
            wal.write_bytes(after_crash[1])
            with self.subTest(refused=refused):
                if refused:
                    with self.assertRaisesRegex(ConfigError, "one.db-wal beside it goes on from"):
                        refuse_foreign_wal(self.path("one"))
                    self.assertEqual(wal.read_bytes(), after_crash[1])  # as it was: look, not touch
                    wal.unlink()
                refuse_foreign_wal(self.path("one"))

        self.assertEqual(await self.numbers(await self.open()), {"a": 1})

    async def test_one_that_is_cut_short_when_it_is_opened_or_closed_is_not(self) -> None:
        """The mark alone is in the WAL, or has gone from the file already."""
        store = await self.open()
        await self.write(store, {"name": "a", "by": 1})
        await store.database.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await store.database.writer.execute("PRAGMA application_id = 0")
        await store.database.writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
        copy = self.path("copy")
        for suffix in ("", "-wal"):
            content = (self.directory / f"one.db{suffix}").read_bytes()
            copy.with_name(copy.name + suffix).write_bytes(content)
        self.assertGreater((self.directory / "copy.db-wal").stat().st_size, 0)
        refuse_foreign_wal(copy)

    def test_what_is_no_database_or_an_older_one_is_left_to_others(self) -> None:
        path = self.path("one")
        refuse_foreign_wal(path)
        path.write_bytes(b"no database" * 1000)
        (self.directory / "one.db-wal").write_bytes(b"no WAL")
        refuse_foreign_wal(path)


class FaultsTest(LogTest):
    """Several checks notice most damage; here each is alone, so that none can be missing."""

    async def asyncSetUp(self) -> None:
        store = await self.open()
        for value in range(1, 6):
            await self.write(store, {"name": f"number {value}", "by": value})
        await store.persist(store.last, entries(store.last, change("pending", 1)))
        await store.close()

    def change_file(self, sql: str) -> None:
        connection = sqlite3.connect(self.path("one"))
        connection.executescript(sql)
        connection.close()

    def faults(self) -> list[str]:
        with closing([file := ReplicaFile("one", self.path("one"))]):
            file.look()
            return list(faults_of(file, Shelf.tables))

    def test_none(self) -> None:
        self.assertEqual(self.faults(), [])

    def test_the_first_entry_follows_nothing_and_the_others_each_other(self) -> None:
        for seq, before in ((1, 0), (3, 2)):
            with self.subTest(seq):
                self.change_file(f"UPDATE log SET effects = '{{\"put\":{seq}}}' WHERE seq = {seq}")
                [fault] = [fault for fault in self.faults() if f"entry {seq} " in fault]
                self.assertIn(f"one: log entry {seq} does not follow {before}", fault)

    def test_a_gap_in_the_log(self) -> None:
        self.change_file("DELETE FROM log WHERE seq = 3")
        [fault] = self.faults()
        self.assertIn("log entry 4 does not follow 2", fault)

    def test_what_a_compacted_log_begins_with_cant_be_checked(self) -> None:
        self.change_file("DELETE FROM log WHERE seq < 3")
        self.assertEqual(self.faults(), [])

    def tail(self) -> tuple[int | None, int]:
        with closing([file := ReplicaFile("one", self.path("one"))]):
            file.look()
            epoch, last = file.tail()
            return epoch, last.seq

    def test_the_epoch_of_a_log_that_came_as_a_snapshot_is_in_its_history(self) -> None:
        self.change_file("INSERT INTO history VALUES (1, 'a', 0), (4, 'b', 2)")
        self.assertEqual(self.tail(), (1, 6))
        self.change_file("DELETE FROM log")
        self.assertEqual(self.tail(), (4, 5))

    def test_a_file_from_before_histories_is_no_damaged_one(self) -> None:
        self.change_file("DROP TABLE history; DELETE FROM log; DELETE FROM meta WHERE name='rows'")
        (self.directory / "one.db-reached").unlink()
        self.assertEqual(self.faults(), [])
        self.assertEqual(self.tail(), (None, 5))

    def test_the_committed_entry_is_the_one_that_is_logged(self) -> None:
        self.change_file("UPDATE meta SET value = 'other' WHERE name = 'committed_digest'")
        self.assertIn("one: log entry 5 is not what 5", self.faults()[0])

    def test_the_end_of_the_log_is_missing(self) -> None:
        self.change_file("DELETE FROM log WHERE seq = 6")
        [fault] = self.faults()
        self.assertRegex(fault, "one: the log ends at 5.*had reached entry 6")

    def test_without_a_log_the_committed_entry_is_its_end(self) -> None:
        self.change_file("DELETE FROM log")
        [fault] = self.faults()
        self.assertRegex(fault, "the log ends at 5")

    def test_rows_of_their_own(self) -> None:
        self.change_file("UPDATE numbers SET value = 9 WHERE name = 'number 1'")
        self.assertEqual(self.faults(), ["one: the rows are not those that were written"])

    def test_a_file_without_a_checksum_says_nothing_of_its_rows(self) -> None:
        self.change_file("UPDATE numbers SET value = 9; DELETE FROM meta WHERE name = 'rows'")
        self.assertEqual(self.faults(), [])

    def test_what_sqlite_finds(self) -> None:
        self.change_file(
            "CREATE TABLE other (x INT); INSERT INTO other VALUES (NULL);"
            "PRAGMA writable_schema = 1; UPDATE sqlite_schema"
            " SET sql = 'CREATE TABLE other (x INT NOT NULL)' WHERE name = 'other'"
        )
        self.assertEqual(self.faults(), ["one: NULL value in other.x"])

    def test_an_older_schema_is_left_to_its_migration(self) -> None:
        """Its rows have other columns: it would look damaged, and be put aside."""
        self.change_file("UPDATE numbers SET value = 9")
        self.assertIsNotNone(find_damage(self.path("one"), Shelf()))
        self.change_file("PRAGMA user_version = 1")
        self.assertIsNone(find_damage(self.path("one"), Shelf()))

    def test_what_cant_be_opened_is_not_damaged(self) -> None:
        """Whoever takes it for that puts a replica's only copy aside."""
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(self.path("two")))
        self.assertIsNone(find_damage(self.path("two"), Shelf()))


class MomentTest(LogTest):
    """Files are compared while the shop goes on writing."""

    async def asyncSetUp(self) -> None:
        self.stores = [await self.open("one"), await self.open("two")]
        for store in self.stores:
            await self.write(store, {"name": "a", "by": 1})

    def file(self, name: str) -> ReplicaFile:
        file = ReplicaFile(name, self.path(name))
        self.addCleanup(file.close)
        return file

    def test_a_file_that_is_not_there(self) -> None:
        with self.assertRaisesRegex(NotFound, "three.db: three has no file here"):
            ReplicaFile("three", self.path("three"))

    async def test_it_stays_at_its_moment_until_it_looks_again(self) -> None:
        one = self.file("one")
        first = one.look()
        await self.write(self.stores[0], {"name": "a", "by": 1})
        self.assertEqual([row["value"] for row in one.rows("numbers", "name")], [1])
        self.assertEqual(one.committed, first)
        self.assertEqual(one.look(), self.stores[0].committed)
        self.assertEqual([row["value"] for row in one.rows("numbers", "name")], [2])

    async def test_it_waits_for_the_same_entry(self) -> None:
        await self.write(self.stores[0], {"name": "a", "by": 1})
        one, two = self.file("one"), self.file("two")
        self.assertFalse(same_moment([one, two], 0))
        looked: list[Mark] = []

        class CatchingUp(ReplicaFile):
            def look(self) -> Mark:
                if len(looked) == 2:
                    with sqlite3.connect(self.path) as connection:
                        connection.execute("UPDATE meta SET value = 2 WHERE name='committed_seq'")
                    connection.close()
                looked.append(super().look())
                return looked[-1]

        late = CatchingUp("two", self.path("two"))
        self.addCleanup(late.close)
        self.assertTrue(same_moment([one, late], 60))
        self.assertEqual([mark.seq for mark in looked], [1, 1, 2])


class DifferencesTest(FilesTestCase):
    """Rows of small tables, in as many files as there are replicas."""

    tables = {"books": "id", "topics": "name"}  # noqa: RUF012

    def found(self, *replicas: Sequence[tuple[int, str, int]]) -> list[Difference]:
        files = []
        for number, rows in enumerate(replicas, 1):
            path = Path(self.directory / f"{number}.db")
            path.unlink(missing_ok=True)
            connection = sqlite3.connect(path)
            connection.execute("CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, cost INT)")
            connection.execute("CREATE TABLE topics (name TEXT PRIMARY KEY)")
            connection.executemany("INSERT INTO books VALUES (?, ?, ?)", rows)
            connection.execute("INSERT INTO topics VALUES (?)", (f"of {len(rows)}",))
            connection.commit()
            connection.close()
            files.append(ReplicaFile(f"replica-{number}", path))
        with closing(files):
            return list(differences(files, self.tables))

    def books(self, *replicas: Sequence[tuple[int, str, int]]) -> list[tuple[Any, list[str]]]:
        found = self.found(*replicas)
        return [(one.key, one.columns()) for one in found if one.table == "books"]

    def test_none(self) -> None:
        rows = [(1, "a", 10), (2, "b", 20)]
        self.assertEqual(self.found(rows, rows, rows), [])
        self.assertEqual(self.found([], []), [])

    def test_columns_that_differ(self) -> None:
        first = [(1, "a", 10), (2, "b", 20), (3, "c", 30)]
        second = [(1, "a", 10), (2, "B", 20), (3, "c", 31)]
        self.assertEqual(self.books(first, second), [(2, ["title"]), (3, ["cost"])])
        self.assertEqual(self.books(first, first, second), [(2, ["title"]), (3, ["cost"])])

    def test_a_missing_row_is_named_with_all_its_columns_wherever_it_is(self) -> None:
        every = ["id", "title", "cost"]
        whole = [(1, "a", 10), (2, "b", 20), (3, "c", 30)]
        for missing in (0, 1, 2):
            less = whole[:missing] + whole[missing + 1 :]
            with self.subTest(missing):
                self.assertEqual(self.books(whole, less), [(missing + 1, every)])
                self.assertEqual(self.books(less, whole), [(missing + 1, every)])
        self.assertEqual([key for key, _ in self.books(whole, [])], [1, 2, 3])

    def test_what_each_replica_has(self) -> None:
        one, two = self.found([(1, "a", 10)], [(1, "a", 11)]), self.found([(7, "a", 10)], [])
        self.assertEqual(one[0].rows, {
            "replica-1": {"id": 1, "title": "a", "cost": 10},
            "replica-2": {"id": 1, "title": "a", "cost": 11},
        })  # fmt: skip
        self.assertEqual(two[0].rows["replica-2"], None)

    def test_every_table_is_compared(self) -> None:
        found = self.found([(1, "a", 10)], [])
        self.assertEqual([(one.table, one.key) for one in found], [
            ("books", 1), ("topics", "of 0"), ("topics", "of 1"),
        ])  # fmt: skip


class SoldMeanwhile(ReplicaFile):
    """The file of a catalog; while it is looked at an order comes to the orders' file."""

    orders: Path

    def look(self) -> Mark:
        with contextlib.closing(sqlite3.connect(self.orders)) as connection, connection:
            connection.execute(
                "INSERT INTO orders (order_id, seq, sold_at, lines) VALUES ('late', 7, 0, '[]')"
            )
        return super().look()


class CommittedMeanwhile(ReplicaFile):
    """The file of a follower; it commits what it has acknowledged when it is looked at twice."""

    looks = 0
    commit: str

    def look(self) -> Mark:
        self.looks += 1
        if self.looks == 2:
            with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
                connection.executescript(self.commit)
        return super().look()


class SalesTest(FilesTestCase):
    async def test_what_a_follower_is_about_to_commit_is_no_fault(self) -> None:
        sold, ordered = self.directory / "catalog-2.db", self.directory / "order-1.db"
        await (await ReplicatedStore.open(sold, CatalogRows(Catalog()), 1000)).close()
        await (await ReplicatedStore.open(ordered, OrderRows(Orders()), 1000)).close()
        number = number_of(1, 1)
        with contextlib.closing(sqlite3.connect(ordered)) as connection, connection:
            connection.executescript(
                f"INSERT INTO cursors VALUES ('sales', {number}, 'e');"
                " INSERT INTO orders (order_id, seq, sold_at, lines)"
                f" VALUES ('o', {number}, 0, '[]')"
            )
        catalog, orders = CommittedMeanwhile("catalog-2", sold), ReplicaFile("order-1", ordered)
        catalog.commit = (
            f"INSERT INTO sales VALUES ('o', 'k', '', 0, {number}, '[]');"
            " INSERT INTO history VALUES (1, 'e', 0);"
            " UPDATE meta SET value = 1 WHERE name = 'committed_seq'"
        )
        with closing([catalog, orders]):
            self.assertEqual([*compare_sales(orders, catalog).faults], [])

    async def test_what_is_sold_while_both_are_read_is_no_fault(self) -> None:
        sold, ordered = self.directory / "catalog-1.db", self.directory / "order-1.db"
        await (await ReplicatedStore.open(sold, CatalogRows(Catalog()), 1000)).close()
        await (await ReplicatedStore.open(ordered, OrderRows(Orders()), 1000)).close()
        catalog, orders = SoldMeanwhile("catalog-1", sold), ReplicaFile("order-1", ordered)
        catalog.orders = ordered
        with closing([catalog, orders]):
            self.assertEqual([*compare_sales(orders, catalog).faults], [])
            orders.look()
            self.assertEqual(orders.highest_number(["orders"]), 7)
