"""Cancelling and undoing: what comes back, decided on plain rows."""

from __future__ import annotations

from itertools import chain
from typing import Any

from bazar.errors import (
    Conflict,
    ForeignHistory,
    KeyReused,
    NotBuyer,
    NotFound,
    TooLate,
)
from storage.catalog import KEYS_KEPT_MS, MAX_AMOUNT
from storage.history import Position
from tests.unit.storage.operations import DecidingCase, cancel, sell, undo, update


class CancellingCase(DecidingCase):
    """One order that may be cancelled."""

    def setUp(self) -> None:
        super().setUp()
        self.sale = self.catalog.one(sell("k", (4, 3), (5, 2)))
        self.order = self.sale["order_id"]

    def rows(self) -> list[dict[str, Any]]:
        """All cancellations, in the order of their entries."""
        tables = map(self.catalog.rows, ("earlier_cancellations", "cancellations"))
        return sorted(chain(*tables), key=lambda row: int(row["seq"]))

    def counts(self) -> tuple[int, int]:
        return self.book(4)["count"], self.book(5)["count"]


class CancellingTest(CancellingCase):
    """S6: totals that only grow, so that copies come back once."""

    def test_it_is_one_entry_with_copies_and_totals(self) -> None:
        self.assertEqual(self.counts(), (4, 8))
        [outcome] = self.catalog.batch(cancel("c", self.order, (4, 1)))
        assert outcome.change is not None
        self.assertEqual(outcome.change.tags, ("info_4",))
        put = outcome.change.effects["put"]
        self.assertEqual([(row["id"], row["count"]) for row in put["books"]], [(4, 5)])
        answer = {
            **{"order_id": self.order, "seq": 3, "cancelled_at": self.catalog.now_ms},
            "cancelled": [{"book": 4, "quantity": 1}],
        }
        self.assertEqual(outcome.answer, answer)
        [row] = self.catalog.rows("cancellations")
        self.assertEqual(row, {**answer, "cancelled": '[{"book": 4, "quantity": 1}]'})
        self.assertEqual(self.counts(), (5, 8))

    def test_other_keys_do_not_add_up(self) -> None:
        for key, lines, counts in (
            ("a", [(4, 2)], (6, 8)),
            ("b", [(4, 2)], (6, 8)),
            ("c", [(4, 1)], (6, 8)),  # less than that is there already
            ("d", [(5, 2)], (6, 10)),
            ("e", [(4, 3), (5, 1)], (7, 10)),
            ("f", [(4, 3), (5, 2)], (7, 10)),
        ):
            before = self.rows()
            grows = counts != self.counts()
            answer = self.catalog.one(cancel(key, self.order, *lines))
            self.assertEqual(self.counts(), counts, key)
            now = self.rows()
            self.assertEqual(now[: len(before)], before)
            self.assertEqual(len(now), len(before) + grows, key)
        self.assertEqual(
            answer["cancelled"], [{"book": 4, "quantity": 3}, {"book": 5, "quantity": 2}]
        )
        self.assertEqual(answer["seq"], self.catalog.rows("cancellations")[0]["seq"])

    def test_lines_of_one_book_count_together(self) -> None:
        """Only a node can send them."""
        cancelled = self.catalog.one(cancel("a", self.order, (4, 1), (5, 1), (4, 1)))["cancelled"]
        self.assertEqual(cancelled, [{"book": 4, "quantity": 2}, {"book": 5, "quantity": 1}])
        self.assertEqual(self.counts(), (6, 9))
        with self.assertRaisesRegex(Conflict, "book 4: this order has 3, not 4"):
            self.catalog.one(cancel("b", self.order, (4, 2), (4, 2)))
        twice = self.catalog.one(sell("l", (4, 1), (4, 2)))["order_id"]
        self.catalog.one(cancel("c", twice, (4, 3)))
        self.assertEqual(self.counts(), (6, 9))

    def test_a_key_that_was_forgotten_gives_nothing_back_again(self) -> None:
        self.catalog.one(cancel("a", self.order, (4, 3)))
        self.catalog.now_ms += KEYS_KEPT_MS + 1
        self.catalog.batch(update("u", 1, cost=1), update("v", 1, cost=2))
        self.assertNotIn(("answers", "a"), self.catalog.state)
        self.catalog.one(cancel("a", self.order, (4, 3)))
        self.assertEqual(self.counts(), (7, 8))

    def test_in_one_batch_each_sees_those_before_it(self) -> None:
        outcomes = self.catalog.batch(
            cancel("a", self.order, (4, 1)),
            cancel("b", self.order, (4, 3)),
            cancel("c", self.order, (4, 2)),
            sell("k", (4, 3), (5, 2)),
        )
        totals = [one.answer["cancelled"][0]["quantity"] for one in outcomes]  # type: ignore[index]
        self.assertEqual(totals, [1, 3, 3, 3])
        self.assertEqual(self.counts(), (7, 8))

    def test_the_sales_key_tells_what_was_cancelled_since(self) -> None:
        cancelled = self.catalog.one(cancel("c", self.order, (5, 1)))["cancelled"]
        again = self.catalog.one(sell("k", (4, 3), (5, 2)))
        self.assertEqual(again, {**self.sale, "cancelled": cancelled, "replayed": True})

    def test_its_own_key_has_the_first_answer_again(self) -> None:
        first = self.catalog.one(cancel("c", self.order, (4, 1)))
        self.catalog.one(cancel("d", self.order, (4, 2)))
        again = self.catalog.one(cancel("c", self.order, (4, 1)))
        self.assertEqual(again, {**first, "replayed": True})
        with self.assertRaises(KeyReused):
            self.catalog.one(cancel("c", self.order, (4, 3)))
        with self.assertRaises(KeyReused):
            self.catalog.one(cancel("k", self.order, (4, 3)))

    def test_no_more_than_was_sold_and_of_no_other_order(self) -> None:
        for lines in ([(4, 4)], [(4, 1), (6, 1)], [(5, 3), (4, 1)]):
            with self.assertRaisesRegex(Conflict, r"book \d: this order has \d"):
                self.catalog.one(cancel("c", self.order, *lines))
        with self.assertRaisesRegex(NotFound, "no order has the id elsewhere"):
            self.catalog.one(cancel("c", "elsewhere", (4, 1)))
        self.assertEqual(self.counts(), (4, 8))
        self.assertEqual(self.catalog.rows("cancellations"), [])

    def test_not_where_a_stock_would_be_too_large(self) -> None:
        self.catalog.one(update("u", 4, count=MAX_AMOUNT))
        with self.assertRaisesRegex(Conflict, "cancelled: book 4 would have"):
            self.catalog.one(cancel("c", self.order, (5, 1), (4, 1)))
        self.assertEqual(self.counts(), (MAX_AMOUNT, 8))

    def test_s4_not_for_orders_of_another_history(self) -> None:
        operation = {**cancel("c", self.order, (4, 1)), "cursor": Position(99, "e").plain}
        with self.assertRaises(ForeignHistory):
            self.catalog.one(operation)
        self.assertEqual(self.counts(), (4, 8))


class UndoingTest(CancellingCase):
    """S6: by the buyer alone, and for so long."""

    def undo(self, key: str, *lines: tuple[int, int], sale_key: str = "k") -> Any:
        return self.catalog.one(undo(key, self.order, sale_key, 600, *lines))

    def test_it_is_a_cancellation_as_every_other(self) -> None:
        cancelled = self.undo("u", (4, 1))["cancelled"]
        self.assertEqual(cancelled, [{"book": 4, "quantity": 1}])
        self.assertEqual(self.undo("v", (4, 3), (5, 2))["seq"], 4)
        self.assertEqual(self.counts(), (7, 10))

    def test_so_long_after_the_sale_and_no_longer(self) -> None:
        self.catalog.now_ms += 599
        self.undo("u", (4, 1))
        self.catalog.now_ms += 1
        with self.assertRaises(TooLate) as refused:
            self.undo("v", (4, 2))
        self.assertEqual(refused.exception.details, {"until": "2001-09-09T01:46:40.600Z"})
        self.assertEqual(self.counts(), (5, 8))
        self.assertNotIn(("answers", "v"), self.catalog.state)

    def test_where_another_primarys_clock_was_ahead_the_time_is_not_longer_than_none(self) -> None:
        self.catalog.now_ms -= 1000
        with self.assertRaises(TooLate):
            self.catalog.one(undo("u", self.order, "k", 0, (4, 1)))
        self.catalog.one(undo("v", self.order, "k", 1, (4, 1)))

    def test_what_was_done_is_answered_as_before_however_late(self) -> None:
        first = self.undo("u", (4, 1))
        self.catalog.now_ms += 600
        self.assertEqual(self.undo("u", (4, 1)), {**first, "replayed": True})
        self.assertEqual(self.undo("v", (4, 1)), first)  # under another key, too
        self.catalog.now_ms += KEYS_KEPT_MS + 1
        self.catalog.batch(update("x", 1, cost=1), update("y", 1, cost=2))
        self.assertNotIn(("answers", "u"), self.catalog.state)
        later = self.undo("u", (4, 1))
        self.assertEqual(later, first)
        other = undo("u", self.order, "k", 700, (4, 1))  # the setting has changed meanwhile
        self.assertEqual(self.catalog.one(other), {**later, "replayed": True})
        self.assertEqual(self.counts(), (5, 8))

    def test_by_the_key_of_this_sale_alone(self) -> None:
        self.catalog.batch(sell("other", (4, 1)), cancel("c", self.order, (4, 1)))
        for key in ("other", "c", "starting-stock", "none", "K"):
            with self.assertRaises(NotBuyer):
                self.undo("u", (4, 2), sale_key=key)
        with self.assertRaises(NotFound):
            self.catalog.one(undo("u", "elsewhere", "k", 600, (4, 1)))
        self.assertEqual(self.counts(), (4, 8))

    def test_r1_nor_by_the_key_of_a_sale_in_the_same_batch(self) -> None:
        sold, refused = self.catalog.batch(
            sell("other", (4, 1)), undo("u", self.order, "other", 600, (4, 1))
        )
        self.assertIsNotNone(sold.change)
        self.assertIsInstance(refused.answer, NotBuyer)
        self.assertEqual(self.counts(), (3, 8))

    def test_a_keeper_is_never_too_late(self) -> None:
        self.catalog.now_ms += 10**9
        self.catalog.one(cancel("c", self.order, (4, 1)))
        self.assertEqual(self.counts(), (5, 8))
