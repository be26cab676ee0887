"""Books in memory: as the rows have them, or not at all."""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bazar.replication.messages import GENESIS, Change, Entry, Mark, chained
from storage.hot_books import HotBooks

BOOK = {"id": 1, "count": 7}


@dataclass
class Core:
    committed: Mark = GENESIS
    pending: Sequence[Entry] = ()


def log(before: Mark, *tags: str, epoch: int = 1) -> tuple[Entry, ...]:
    return chained(before, epoch, [Change((tag,), {"to": tag}) for tag in tags])


class HotBooksTest(unittest.TestCase):
    def setUp(self) -> None:
        self.books, self.core = HotBooks(2), Core()
        self.commit(*log(GENESIS, "begin"))
        self.keep("b1")

    def commit(self, *entries: Entry) -> None:
        """The order in which a node does it: others learn of it in the same step."""
        self.books.committed(entries)
        self.core.committed, self.core.pending = entries[-1].mark, ()

    def keep(self, tag: str, book: dict[str, Any] = BOOK) -> None:
        self.books.put(tag, book, self.core.committed, self.core)

    def get(self, tag: str = "b1") -> dict[str, Any] | None:
        return self.books.get(tag, self.core)

    def test_what_is_kept_stays_until_an_entry_touches_it(self) -> None:
        self.commit(*log(self.core.committed, "b2", "other"))
        self.assertEqual(self.get(), BOOK)
        self.commit(*log(self.core.committed, "b2", "b1"))
        self.assertIsNone(self.get())

    def test_while_an_entry_that_touches_it_is_pending_it_is_not_known(self) -> None:
        """Its commit may be in the rows, and have been shown to somebody who read those."""
        pending = log(self.core.committed, "b1")
        self.core.pending = pending
        self.assertIsNone(self.get())
        self.keep("b1")
        self.commit(*pending)
        self.assertIsNone(self.get())

    def test_what_was_read_before_a_commit_is_not_kept_after_it(self) -> None:
        since = self.core.committed
        self.commit(*log(self.core.committed, "b2"))
        self.books.put("b2", BOOK, since, self.core)
        self.assertIsNone(self.get("b2"))

    def test_another_state_forgets_all(self) -> None:
        """A snapshot, or another history with the same number of entries."""
        for mark in (Mark(9, "snapshot"), Mark(self.core.committed.seq, "another")):
            self.setUp()
            self.core.committed = mark
            self.assertIsNone(self.get())
            self.keep("b1")
            self.assertEqual(self.get(), BOOK)

    def test_an_entry_behind_another_state_forgets_all(self) -> None:
        """Nobody has asked in between."""
        for mark in (Mark(9, "snapshot"), Mark(self.core.committed.seq, "another")):
            self.setUp()
            self.core.committed = mark
            self.commit(*log(mark, "b2"))
            self.assertIsNone(self.get())

    def test_over_one_database_an_epochs_marks_follow_by_number(self) -> None:
        self.core.committed = Mark(3, "epoch-a")
        self.assertIsNone(self.get())
        self.keep("b1")
        self.commit(Entry(4, 1, ("b2",), {}, "epoch-a"))
        self.assertEqual(self.get(), BOOK)
        for other in (Entry(6, 1, ("b2",), {}, "epoch-a"), Entry(5, 2, ("b2",), {}, "epoch-b")):
            self.core.committed = Mark(4, "epoch-a")
            self.get()
            self.keep("b1")
            self.commit(other)
            self.assertIsNone(self.get(), other)

    def test_the_least_recently_used_make_room(self) -> None:
        for number in (2, 3):
            self.keep(f"b{number}", {"id": number})
        self.assertIsNone(self.get())
        self.assertEqual(self.get("b3"), {"id": 3})

    def test_no_entries_change_nothing(self) -> None:
        self.books.committed(())
        self.assertEqual(self.get(), BOOK)
