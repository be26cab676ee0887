"""How rows are written in place of others: as they came, and no more than differs."""

from __future__ import annotations

import sqlite3
import unittest
from typing import Any

from bazar.replication.messages import GENESIS, Change, chained
from storage.checksum import checksum
from storage.sqlite.state_tables import StateTables

COLUMNS = ("title", "cost", "count")


class PutTest(unittest.TestCase):
    def setUp(self) -> None:
        self.writer = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(self.writer.close)
        self.writer.row_factory = sqlite3.Row
        self.writer.execute("CREATE TABLE books (id INTEGER PRIMARY KEY, title, cost, count)")
        self.writer.execute("CREATE TABLE set_columns (id, name)")
        for name in COLUMNS:  # SQLite writes the indexes of a column that is set, changed or not
            self.writer.execute(
                f"CREATE TRIGGER set_{name} AFTER UPDATE OF {name} ON books"
                f" BEGIN INSERT INTO set_columns VALUES (new.id, '{name}'); END"
            )
        self.tables = StateTables({"books": "id"})
        self.put((1, "a", 10, 5), (2, "b", 20, 5), (3, "c", 30, None))
        self.written()

    def put(self, *rows: tuple[Any, ...]) -> None:
        images = [dict(zip(("id", *COLUMNS), row, strict=False)) for row in rows]
        self.tables.put(self.writer, "books", images)

    def written(self) -> list[tuple[int, str]]:
        """Return which columns of which rows were set since this was asked last."""
        found = self.writer.execute("SELECT id, name FROM set_columns ORDER BY id, name").fetchall()
        self.writer.execute("DELETE FROM set_columns")
        return [(row["id"], row["name"]) for row in found]

    def assert_rows(self, *rows: tuple[Any, ...]) -> None:
        found = self.writer.execute("SELECT * FROM books ORDER BY id").fetchall()
        self.assertEqual([tuple(row) for row in found], [*rows])
        summed = StateTables({"books": "id"})
        summed.sum_all(self.writer)
        for tables in (self.tables, summed):
            self.assertEqual(tables.checksum, checksum("books", found))

    def test_only_what_differs_is_set(self) -> None:
        self.put((1, "a", 10, 4), (2, "B", 20, 4), (3, "c", 30, 0), (4, "d", 40, 1))
        self.assertEqual(self.written(), [(1, "count"), (2, "count"), (2, "title"), (3, "count")])
        self.assert_rows((1, "a", 10, 4), (2, "B", 20, 4), (3, "c", 30, 0), (4, "d", 40, 1))

    def test_what_is_there_already_is_not_written(self) -> None:
        before = self.writer.total_changes
        self.put((1, "a", 10, 5), (3, "c", 30, None))
        self.assertEqual(self.writer.total_changes, before)
        self.assert_rows((1, "a", 10, 5), (2, "b", 20, 5), (3, "c", 30, None))

    def test_what_becomes_unknown_and_an_image_from_before_a_column(self) -> None:
        self.put((1, None, 10, 5), (2, "b", 20), (4, "d", 40))
        self.assertEqual(self.written(), [(1, "title"), (2, "count")])
        self.assert_rows(
            (1, None, 10, 5), (2, "b", 20, None), (3, "c", 30, None), (4, "d", 40, None)
        )

    def test_nothing_is_asked_of_a_table_for_rows_that_are_not_named(self) -> None:
        ran: list[str] = []
        self.writer.set_trace_callback(ran.append)
        for effect, words in (
            ({"put": {"books": []}, "delete": {"books": []}}, set()),
            ({"put": {"books": [{"id": 1, "cost": 9}]}}, {"SELECT", "UPDATE"}),
            ({"delete": {"books": [1]}}, {"SELECT", "DELETE"}),
        ):
            [made] = chained(GENESIS, 1, [Change((), effect)])
            self.tables.apply(self.writer, [made])
            # The comments are of the triggers.
            self.assertEqual({one.split()[0] for one in ran if not one.startswith("--")}, words)
            ran.clear()
