"""What is known of the newest sales without a look at the rows."""

from __future__ import annotations

import unittest

from bazar.replication.messages import Entry
from storage.history import Position, number_of, seq_of
from storage.recent_sales import RecentSales


def sale(seq: int, epoch: int = 1) -> Entry:
    number = number_of(epoch, seq)
    row = {"order_id": f"order {number}", "seq": number, "sold_at": 7, "lines": "[]"}
    return Entry(seq, epoch, (), {"put": {"sales": [row]}}, "")


def other(seq: int, epoch: int = 1) -> Entry:
    return Entry(seq, epoch, (), {"put": {"books": [{"id": 1}]}}, "")


def at(seq: int, id: str | None = "a", epoch: int = 1) -> Position:
    return Position(number_of(epoch, seq), id)


class RecentSalesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.recent = RecentSales(most=4)

    def commit(self, *entries: Entry, epoch: int = 1, epoch_id: str = "a") -> None:
        self.recent.committed(entries, epoch, epoch_id)

    def behind(
        self, position: Position, last_seq: int, epoch_id: str = "a", limit: int = 10
    ) -> list[int] | None:
        """The entries of the sales behind a position; None if they are not known."""
        found = self.recent.behind(position, last_seq, epoch_id, limit)
        if found is None:
            return None
        sales, last_id = found
        self.assertEqual(last_id, epoch_id)
        return [seq_of(sold["seq"]) for sold in sales]

    def test_sales_behind_one_of_them(self) -> None:
        self.commit(sale(1), other(2))
        self.commit(sale(3), sale(4))
        self.assertEqual(self.behind(at(1), 4), [3, 4])
        self.assertEqual(self.behind(at(1), 4, limit=1), [3])
        self.assertEqual(self.behind(at(4), 4), [])

    def test_a_position_that_is_no_sale_of_them_is_not_known(self) -> None:
        self.commit(other(1), sale(2))
        for position in (Position(), at(1), at(3), at(2, None), at(2, "b"), at(2, epoch=2)):
            self.assertIsNone(self.behind(position, 2), position)

    def test_what_is_committed_beyond_them_is_not_known(self) -> None:
        self.commit(sale(1))
        self.assertIsNone(self.behind(at(1), 2))
        self.assertIsNone(self.behind(at(1), 0))

    def test_a_gap_begins_anew(self) -> None:
        self.commit(sale(1))
        self.commit(sale(3), sale(4))
        self.assertIsNone(self.behind(at(1), 4))
        self.assertEqual(self.behind(at(3), 4), [4])

    def test_another_epoch_begins_anew(self) -> None:
        self.commit(sale(1))
        self.assertIsNone(self.behind(at(1), 1, "b"))
        self.commit(sale(2, 2), sale(3, 2), epoch=2, epoch_id="b")
        self.assertIsNone(self.behind(at(1), 3, "b"))
        self.assertIsNone(self.behind(at(2, "a", 2), 3, "b"))
        self.assertEqual(self.behind(at(2, "b", 2), 3, "b"), [3])

    def test_the_same_number_of_another_epoch_begins_anew(self) -> None:
        """H4: the files were put back, and the next epoch has the number of the last one."""
        self.commit(sale(1))
        self.commit(sale(2), sale(3), epoch_id="b")
        self.assertIsNone(self.behind(at(1, "b"), 3, "b"))
        self.assertEqual(self.behind(at(2, "b"), 3, "b"), [3])

    def test_t3_what_an_epoch_has_inherited_has_an_id_that_is_not_known(self) -> None:
        self.commit(sale(1), sale(2), sale(3, 2), sale(4, 2), epoch=2, epoch_id="b")
        self.assertIsNone(self.behind(at(1, "b"), 4, "b"))
        self.assertEqual(self.behind(at(3, "b", 2), 4, "b"), [4])

    def test_so_many_are_kept(self) -> None:
        for seq in range(1, 101):
            self.commit(sale(seq))
        self.assertIsNone(self.behind(at(80), 100))
        self.assertEqual(self.behind(at(97), 100), [98, 99, 100])
