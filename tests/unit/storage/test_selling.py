"""Sales: what they come to, decided on plain rows."""

from __future__ import annotations

import json

from bazar.errors import (
    ForeignHistory,
    KeyReused,
    NotFound,
    OutOfStock,
)
from storage.catalog import KEYS_KEPT_MS
from storage.history import Position
from tests.unit.storage.operations import DecidingCase, create, sell, update


class SellingTest(DecidingCase):
    def test_s4_a_sale_for_orders_of_another_history_is_refused(self) -> None:
        first = {**sell("a", (4, 1)), "cursor": Position(0, None).plain}
        begin = {"op": "begin", "epoch": 0, "id": "e"}
        ahead = {**sell("b", (4, 1)), "cursor": Position(2, None).plain}
        outcomes = self.catalog.batch(begin, first, ahead)
        self.assertEqual([type(one.answer) for one in outcomes], [dict, dict, ForeignHistory])
        self.assertIsNone(outcomes[2].change)
        self.assertEqual(self.book(4)["count"], 6)
        seq = self.catalog.one(sell("a", (4, 1)))["seq"]
        for cursor, refused in (
            ([0, None], False),
            ([seq, "e"], False),
            ([seq, None], False),
            ([seq, "f"], True),
            ([seq + 1, "e"], True),
            ([1, "e"], True),
        ):
            [again] = self.catalog.batch({**first, "cursor": Position(*cursor).plain})
            self.assertEqual(isinstance(again.answer, ForeignHistory), refused, cursor)

    def test_s1_the_cursor_is_no_part_of_the_request(self) -> None:
        bought = self.catalog.one({**sell("a", (4, 1)), "cursor": Position(0, None).plain})
        again = self.catalog.one({**sell("a", (4, 1)), "cursor": Position(1, None).plain})
        self.assertEqual(again, {**bought, "replayed": True})
        self.assertEqual(self.catalog.one(sell("a", (4, 1))), again)

    def test_s1_a_sale_is_one_entry_with_the_rows_it_leaves(self) -> None:
        [outcome] = self.catalog.batch(sell("k", (4, 2)))
        assert outcome.change is not None
        self.assertEqual(outcome.change.tags, ("info_4",))
        put = outcome.change.effects["put"]
        self.assertEqual([(row["id"], row["count"]) for row in put["books"]], [(4, 5)])
        [sale] = put["sales"]
        self.assertEqual((sale["key"], sale["order_id"], sale["seq"]), ("k", "order-1", 2))
        self.assertEqual(sale["sold_at"], self.catalog.now_ms)
        line = {
            "book": 4,
            "title": "Cooking for the Impatient Undergrad",
            "quantity": 2,
            "unit_cost": 20,
            "new_count": 5,
        }
        self.assertEqual(json.loads(sale["lines"]), [line])
        self.assertEqual(self.book(4)["count"], 5)
        self.assertEqual(
            outcome.answer,
            {"order_id": "order-1", "seq": 2, "sold_at": self.catalog.now_ms, "lines": [line]},
        )

    def test_a_title_is_kept_as_it_is_written(self) -> None:
        """Whoever looks into the database can read it, and escapes would take more room."""
        self.catalog.batch(update("u", 4, title="Émile"), sell("k", (4, 1)))
        [sale] = self.catalog.rows("sales")
        self.assertIn('"title": "Émile"', sale["lines"])

    def test_r1_each_operation_sees_those_before_it(self) -> None:
        outcomes = self.catalog.batch(*(sell(f"k{n}", (3, 1)) for n in range(4)))
        counts = [o.answer["lines"][0]["new_count"] for o in outcomes[:2]]  # type: ignore[index]
        self.assertEqual(counts, [1, 0])
        self.assertIsInstance(outcomes[2].answer, OutOfStock)
        self.assertIsInstance(outcomes[3].answer, OutOfStock)
        self.assertEqual(self.book(3)["count"], 0)
        outcomes = self.catalog.batch(
            update("u", 3, count=1), sell("k5", (3, 1)), sell("k6", (3, 1))
        )
        self.assertEqual(
            [isinstance(one.answer, OutOfStock) for one in outcomes], [False, False, True]
        )
        seqs = [sale["seq"] for sale in self.catalog.rows("sales")]
        self.assertEqual(seqs, [2, 3, 5])  # the update between them took a number, too

    def test_s1_the_same_key_returns_the_first_answer(self) -> None:
        first = self.catalog.one(sell("k", (4, 1)))
        again = self.catalog.one(sell("k", (4, 1)))
        self.assertEqual(again, {**first, "replayed": True})
        outcomes = self.catalog.batch(sell("l", (4, 1)), sell("l", (4, 1)))  # within one batch too
        self.assertIsNone(outcomes[1].change)
        self.assertEqual(outcomes[1].answer, {**outcomes[0].answer, "replayed": True})  # type: ignore[dict-item]
        self.assertEqual(self.book(4)["count"], 5)

    def test_s1_the_same_key_for_another_request_is_refused(self) -> None:
        self.catalog.one(sell("k", (4, 1)))
        for other in (sell("k", (4, 2)), sell("k", (5, 1)), update("k", 4, count=1)):
            with self.assertRaises(KeyReused):
                self.catalog.one(other)

    def test_s1_a_key_of_another_write_is_refused_for_a_sale(self) -> None:
        self.catalog.one(update("k", 4, count=5))
        with self.assertRaises(KeyReused):
            self.catalog.one(sell("k", (4, 1)))

    def test_r1_a_book_renamed_in_the_same_batch_makes_room(self) -> None:
        title = self.book(2)["title"]
        _, made = self.catalog.batch(
            update("u", 2, title="Another"), create("c", (title, None, "Distributed Systems"))
        )
        self.assertEqual(made.answer, {"books": [{"id": 8, "created": True}]})

    def test_s1_a_sale_keeps_its_key_for_ever(self) -> None:
        self.catalog.one(sell("k", (4, 1)))
        self.catalog.now_ms += 10 * KEYS_KEPT_MS
        self.assertTrue(self.catalog.one(sell("k", (4, 1)))["replayed"])

    def test_s4_a_refusal_leaves_no_trace(self) -> None:
        for operation, kind in ((sell("k", (2, 2)), OutOfStock), (sell("k", (99, 1)), NotFound)):
            [outcome] = self.catalog.batch(operation)
            self.assertIsInstance(outcome.answer, kind)
            self.assertIsNone(outcome.change)
        self.assertNotIn("replayed", self.catalog.one(sell("k", (2, 1))))

    def test_s1_several_lines_sell_all_or_nothing(self) -> None:
        with self.assertRaises(OutOfStock):
            self.catalog.one(sell("k", (4, 1), (2, 2)))
        with self.assertRaises(OutOfStock):
            self.catalog.one(sell("k", (2, 1), (2, 1)))  # the same book on two lines
        self.assertEqual(self.book(4)["count"], 7)
        answer = self.catalog.one(sell("k", (4, 1), (5, 2), (4, 3)))
        self.assertEqual([line["new_count"] for line in answer["lines"]], [6, 8, 3])
        self.assertEqual((self.book(4)["count"], self.book(5)["count"]), (3, 8))
