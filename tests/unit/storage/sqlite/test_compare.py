"""What an operator is told about the files of replicas: each row that differs, and nothing that is
only a matter of moments."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from bazar.errors import NotFound
from bazar.replication.messages import Mark
from storage.catalog import Catalog
from storage.history import number_of
from storage.orders import Orders
from storage.reconciliation import Reconciliation
from storage.sqlite import compare
from storage.sqlite.catalog import CatalogRows
from storage.sqlite.compare import Difference, compare_sales, differences, same_moment
from storage.sqlite.orders import OrderRows
from storage.sqlite.replica_file import ReplicaFile, closing
from storage.sqlite.replicated_store import ReplicatedStore
from tests.files import FilesTestCase
from tests.unit.storage.sqlite.test_replicated_store import LogTest


class Clock:
    """One that goes on only while somebody sleeps; nobody may go on for ever."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        self.asked += 1
        assert self.asked < 1000, "nobody sleeps"
        return self.now

    def sleep(self, seconds: float) -> None:
        assert len(self.slept) < 1000, "nobody asks how long it takes"
        self.slept.append(seconds)
        self.now += seconds


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
        for timeout_s, pauses in ((0, 1), (2.5 * compare.RETRY_S, 3)):
            clock = Clock()
            with mock.patch.object(compare, "time", clock):
                self.assertFalse(same_moment([one, two], timeout_s))
            self.assertEqual(clock.slept, [compare.RETRY_S] * pauses)
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
        with mock.patch.object(compare, "time", Clock()):
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
    async def asyncSetUp(self) -> None:
        self.sold, self.ordered = self.directory / "catalog-1.db", self.directory / "order-1.db"
        await (await ReplicatedStore.open(self.sold, CatalogRows(Catalog()), 1000)).close()
        await (await ReplicatedStore.open(self.ordered, OrderRows(Orders()), 1000)).close()

    def run_in(self, path: Path, sql: str) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(sql)

    def order(self, order_id: str, number: int) -> None:
        self.run_in(
            self.ordered,
            "INSERT INTO orders (order_id, seq, sold_at, lines)"
            f" VALUES ('{order_id}', {number}, 0, '[]')",
        )

    def follow(self) -> str:
        """Have an order follow a sale. Return what the catalog commits with that."""
        number = number_of(1, 1)
        self.run_in(self.ordered, f"INSERT INTO cursors VALUES ('sales', {number}, 'e')")
        self.order("o", number)
        return (
            f"INSERT INTO sales VALUES ('o', 'k', '', 0, {number}, '[]');"
            " INSERT INTO history VALUES (1, 'e', 0);"
            " UPDATE meta SET value = 1 WHERE name = 'committed_seq'"
        )

    def compared(self, catalog: ReplicaFile) -> tuple[Reconciliation, Clock]:
        """What is found, and the time that it takes."""
        clock, orders = Clock(), ReplicaFile("order-1", self.ordered)
        with closing([catalog, orders]), mock.patch.object(compare, "time", clock):
            return compare_sales(orders, catalog), clock

    def test_what_a_follower_is_about_to_commit_is_no_fault(self) -> None:
        catalog = CommittedMeanwhile("catalog-1", self.sold)
        catalog.commit = self.follow()
        found, clock = self.compared(catalog)
        self.assertEqual([*found.faults], [])
        self.assertEqual(clock.slept, [compare.RETRY_S])

    def test_what_it_does_not_commit_in_time_is_one(self) -> None:
        self.follow()
        found, clock = self.compared(ReplicaFile("catalog-1", self.sold))
        self.assertEqual(found.unsold.first, ["o"])
        self.assertAlmostEqual(clock.now, compare.FOLLOWS_S, delta=2 * compare.RETRY_S)

    def test_nobody_waits_for_what_is_there(self) -> None:
        self.run_in(self.sold, self.follow())
        found, clock = self.compared(ReplicaFile("catalog-1", self.sold))
        self.assertEqual(([*found.faults], clock.slept), ([], []))

    def test_what_is_sold_while_both_are_read_is_no_fault(self) -> None:
        catalog, orders = (
            SoldMeanwhile("catalog-1", self.sold),
            ReplicaFile("order-1", self.ordered),
        )
        catalog.orders = self.ordered
        with closing([catalog, orders]):
            self.assertEqual([*compare_sales(orders, catalog).faults], [])
            orders.look()
            self.assertEqual(orders.highest_number(["orders"]), 7)

    def test_s5_only_the_orders_behind_where_the_cursor_went_back_to_were_adopted(self) -> None:
        for number in (5, 6, 9, 10):
            self.order(f"o{number:02}", number)
        self.run_in(self.ordered, "INSERT INTO adoptions (upto, behind) VALUES (9, 5)")
        found, _ = self.compared(ReplicaFile("catalog-1", self.sold))
        self.assertEqual(found.adopted.first, ["o06", "o09"])
        self.assertEqual(found.unsold.first, ["o05", "o10"])
