"""Books and sales: what operations come to, decided on plain rows."""

from __future__ import annotations

import json
import unittest
from typing import Any

from bazar.errors import (
    Conflict,
    ForeignHistory,
    KeyReused,
    NotBuyer,
    NotFound,
    OutOfStock,
    PreconditionFailed,
    TooLate,
)
from bazar.http.response import entity_tag, render
from storage.books import fold, info_key, show_book
from storage.catalog import KEYS_KEPT_MS, MAX_AMOUNT, Catalog
from storage.history import Position
from storage.tags import IN_STOCK, PRICES, SEARCHES, TOPICS
from storage.working_set import WantedRows
from tests.unit.storage.rows import PlainCatalog


def sell(key: str, *lines: tuple[int, int]) -> dict[str, Any]:
    return {
        "op": "sell",
        "key": key,
        "lines": [{"book": book, "quantity": quantity} for book, quantity in lines],
    }


def update(key: str, book: int, **fields: Any) -> dict[str, Any]:
    return {"op": "update", "key": key, "book": book, "fields": fields}


def cancel(key: str, order_id: str, *lines: tuple[int, int]) -> dict[str, Any]:
    return {**sell(key, *lines), "op": "cancel", "order_id": order_id}


def undo(
    key: str, order_id: str, sale_key: str, within_ms: int, *lines: tuple[int, int]
) -> dict[str, Any]:
    buyer = {"key": sale_key, "within_ms": within_ms}
    return {**cancel(key, order_id, *lines), "buyer": buyer}


def create(key: str, *books: tuple[str, str | None, str]) -> dict[str, Any]:
    rows = [{"title": t, "author": a, "topic": c, "cost": 1, "count": 2} for t, a, c in books]
    return {"op": "create", "key": key, "books": rows}


class DecidingTest(unittest.TestCase):
    def setUp(self) -> None:
        self.catalog = PlainCatalog()

    def tags(self, operation: Any) -> set[str]:
        [outcome] = self.catalog.batch(operation)
        assert outcome.change is not None
        return set(outcome.change.tags)

    def book(self, number: int) -> dict[str, Any]:
        return dict(self.catalog.state["books", number])

    def topics(self) -> dict[str, int]:
        return {row["name"]: row["id"] for row in self.catalog.rows("topics")}


class SellingTest(DecidingTest):
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


class ChangingTest(DecidingTest):
    def test_c5_an_update_of_the_stock_touches_its_book_alone(self) -> None:
        self.assertEqual(self.tags(update("a", 4, count=9)), {info_key(4)})
        self.assertEqual(self.tags(update("b", 4, count_add=-8)), {info_key(4)})
        self.assertEqual(self.tags(sell("c", (5, 9))), {info_key(5)})

    def test_c5_a_price_touches_what_is_in_the_order_of_prices(self) -> None:
        self.assertEqual(self.tags(update("a", 4, cost=9)), {info_key(4), PRICES})
        self.assertEqual(self.tags(update("b", 4, cost=9)), {info_key(4)})

    def test_c5_who_is_sold_out_or_comes_back_touches_what_is_in_stock(self) -> None:
        touched = {info_key(4), IN_STOCK}
        for operation in (
            sell("a", (4, 3), (4, 4)),
            update("b", 4, count_add=2),
            update("c", 4, count=0),
            update("d", 4, count=1),
            sell("e", (4, 1)),
        ):
            self.assertEqual(self.tags(operation), touched, operation)
        self.assertEqual(self.tags(update("f", 4, count=0)), {info_key(4)})
        self.assertEqual(self.tags(sell("g", (2, 1), (5, 1))), {info_key(2), info_key(5), IN_STOCK})
        self.assertEqual(
            self.tags(update("h", 4, count=3, cost=1)), {info_key(4), IN_STOCK, PRICES}
        )

    def test_c5_what_searches_show_by_touches_every_search(self) -> None:
        for number, fields in enumerate(
            ({"title": "x"}, {"author": "y"}, {"topic": "z"}, {"topic": "Distributed Systems"})
        ):
            keys = self.tags(update(f"k{number}", 4, **fields))
            self.assertEqual(keys, {info_key(4), SEARCHES, TOPICS}, fields)
        keys = self.tags(update("same", 4, title="x", count=3))  # nothing of it is new
        self.assertEqual(keys, {info_key(4)})
        self.assertEqual(
            self.tags(create("c", ("t", None, "new"))), {info_key(8), SEARCHES, TOPICS}
        )

    def test_an_update_of_an_unknown_book(self) -> None:
        with self.assertRaises(NotFound):
            self.catalog.one(update("k", 99, topic="made by nobody"))
        # Nor does the refused one leave its topic behind.
        self.catalog.batch(update("l", 99, topic="nobody's"), update("m", 4, topic="somebody's"))
        self.assertNotIn("nobody's", self.topics())
        self.assertEqual(self.book(4)["catalog_id"], self.topics()["somebody's"])

    def test_a_topic_that_a_refused_update_would_have_made_is_made_by_the_next(self) -> None:
        outcomes = self.catalog.batch(update("k", 99, topic="T"), update("l", 4, topic="T"))
        self.assertIsInstance(outcomes[0].answer, NotFound)
        self.assertEqual(self.book(4)["catalog_id"], self.topics()["T"])

    def test_a_book_is_the_same_if_title_author_and_topic_are(self) -> None:
        first = self.catalog.one(create("a", ("t", "x", "c"), ("t", "y", "c"), ("t", "x", "d")))
        self.assertEqual([one["id"] for one in first["books"]], [8, 9, 10])
        again = self.catalog.one(create("b", ("t", "x", "c"), ("u", "x", "c"), ("u", "x", "c")))
        self.assertEqual(
            again["books"],
            [
                {"id": 8, "created": False},
                {"id": 11, "created": True},
                {"id": 11, "created": False},
            ],
        )
        self.catalog.one(update("u", 9, author="x"))  # now 8 and 9 are alike; the lower id stands
        third = self.catalog.one(create("c", ("t", "x", "c"), ("t", "y", "c")))
        self.assertEqual(third["books"], [{"id": 8, "created": False}, {"id": 12, "created": True}])

    def test_keys_of_other_writes_are_kept_for_a_day(self) -> None:
        self.catalog.one(update("k", 4, count=1))
        self.catalog.now_ms += KEYS_KEPT_MS
        self.assertTrue(self.catalog.one(update("k", 4, count=1))["replayed"])
        self.catalog.now_ms += 1
        self.catalog.one(update("another", 4, count=2))
        self.catalog.one(update("one more", 4, count=2))
        self.assertNotIn(("answers", "k"), self.catalog.state)
        self.assertNotIn("replayed", self.catalog.one(update("k", 4, count=1)))

    def test_the_starting_stock_is_there_once(self) -> None:
        again = self.catalog.one(self.catalog.decider.seed()[0])
        self.assertTrue(again["replayed"])
        self.assertEqual(len(self.catalog.rows("books")), 7)

    def test_each_write_takes_two_old_keys_along(self) -> None:
        for number in range(6):
            self.catalog.now_ms += 1
            self.catalog.one(update(f"k{number}", 4, count=number))
        self.catalog.now_ms += KEYS_KEPT_MS + 1
        refused, sold, changed = self.catalog.batch(
            update("r", 99, count=1), sell("s", (5, 1)), update("u", 4, count=1)
        )
        self.assertIsNone(refused.change)
        assert sold.change is not None and changed.change is not None
        # All that this batch takes go with its first change.
        gone = {"answers": ["starting-stock", "k0", "k1", "k2"]}
        self.assertEqual(sold.change.effects["delete"], gone)
        self.assertNotIn("delete", changed.change.effects)
        left = [row["key"] for row in self.catalog.rows("answers")]
        self.assertEqual(left, ["k3", "k4", "k5", "u"])

    def test_editions_are_told_apart_by_their_isbns(self) -> None:
        one, other = "9780306406157", "9780804429573"

        def made(isbn: str | None) -> tuple[int, bool]:
            operation = create(f"k{self.catalog.seq}", ("T", "A", "C"))
            if isbn is not None:
                operation["books"][0]["isbn"] = isbn
            [result] = self.catalog.one(operation)["books"]
            return result["id"], result["created"]

        self.assertEqual(made(one), (8, True))
        self.assertEqual(made(one), (8, False))
        self.assertEqual(made(other), (9, True))
        self.assertEqual(made(None), (8, False))  # the oldest of those that it may be
        self.catalog.one(update("u", 8, isbn=None))
        self.assertEqual(made(one), (8, False))  # it may be that one
        self.assertEqual(made(other), (9, False))

    def test_c5_an_isbn_that_changes_drops_all_searches(self) -> None:
        self.assertIn(SEARCHES, self.tags(update("u", 4, isbn="9780306406157")))
        self.assertNotIn(SEARCHES, self.tags(update("v", 4, isbn="9780306406157", cost=3)))


class ConditionsTest(DecidingTest):
    """RFC 9110 section 13, decided with the write."""

    def tag(self, number: int) -> str:
        row = self.book(number)
        names = {topic: name for name, topic in self.topics().items()}
        return entity_tag(render(show_book({**row, "topic": names[row["catalog_id"]]})))

    def test_if_match_holds_for_what_is_there_and_for_nothing_else(self) -> None:
        tag = self.tag(4)
        for number, matching in enumerate(([tag], ["*"], ['"x"', tag])):
            self.catalog.one({**update(f"k{number}", 4, count=7), "if_match": matching})
        for number, other in enumerate((['"x"'], [f"W/{tag}"], [self.tag(5)], [tag.strip('"')])):
            operation = {**update(f"l{number}", 4, count=1), "if_match": other}
            with self.assertRaises(PreconditionFailed) as refused:
                self.catalog.one(operation)
            self.assertEqual(refused.exception.details, {"etag": tag})
        self.assertEqual(self.book(4)["count"], 7)

    def test_if_none_match_is_the_other_way_round_and_compares_weakly(self) -> None:
        tag = self.tag(4)
        for number, matching in enumerate(([tag], ["*"], [f"W/{tag}"], ['"x"', tag])):
            with self.assertRaises(PreconditionFailed):
                self.catalog.one({**update(f"k{number}", 4, count=1), "if_none_match": matching})
        self.catalog.one({**update("l", 4, count=1), "if_none_match": ['"x"', 'W/"y"']})
        self.assertEqual(self.book(4)["count"], 1)
        both = {"if_match": [self.tag(4)], "if_none_match": [self.tag(4)]}
        with self.assertRaises(PreconditionFailed):
            self.catalog.one({**update("m", 4, count=2), **both})

    def test_r1_of_two_writers_in_one_batch_that_read_the_same_one_wins(self) -> None:
        match = {"if_match": [self.tag(4)]}
        first, second = self.catalog.batch(
            {**update("a", 4, cost=1), **match}, {**update("b", 4, cost=2), **match}
        )
        self.assertIsNotNone(first.change)
        self.assertIsInstance(second.answer, PreconditionFailed)
        self.assertIsNone(second.change)
        self.assertEqual(self.book(4)["cost"], 1)

    def test_r1_a_book_made_in_the_same_batch_has_the_tag_that_readers_will_see(self) -> None:
        alone = PlainCatalog()
        alone.one(create("c", ("t", "a", "c")))
        shown = show_book({**alone.state["books", 8], "topic": "c"})
        _, changed = self.catalog.batch(
            create("c", ("t", "a", "c")),
            {**update("u", 8, count=1), "if_match": [entity_tag(render(shown))]},
        )
        self.assertIsNotNone(changed.change, changed)

    def test_s1_a_replay_is_not_asked_again_whether_its_condition_holds(self) -> None:
        operation = {**update("k", 4, count=1), "if_match": [self.tag(4)]}
        first = self.catalog.one(operation)
        self.assertEqual(self.catalog.one(operation), {**first, "replayed": True})
        with self.assertRaises(KeyReused):
            self.catalog.one({**operation, "if_match": ["*"]})

    def test_s4_what_was_refused_may_be_sent_again_with_its_key(self) -> None:
        refused = {**update("k", 4, count=1), "if_match": ['"x"']}
        with self.assertRaises(PreconditionFailed):
            self.catalog.one(refused)
        self.catalog.one({**refused, "if_match": [self.tag(4)]})

    def test_a_book_that_is_not_there_is_not_found_whatever_the_condition(self) -> None:
        for name in ("if_match", "if_none_match"):
            with self.assertRaises(NotFound):
                self.catalog.one({**update(name, 99, count=1), name: ["*"]})


class RestockingTest(DecidingTest):
    def test_it_is_added_to_what_is_there_by_then(self) -> None:
        outcomes = self.catalog.batch(
            sell("s", (4, 3)), update("a", 4, count_add=5), update("b", 4, count_add=-9, cost=1)
        )
        self.assertEqual([one.change is None for one in outcomes], [False] * 3)
        self.assertEqual((self.book(4)["count"], self.book(4)["cost"]), (0, 1))
        self.assertNotIn("count_add", self.book(4))

    def test_s1_a_replay_adds_once(self) -> None:
        first = self.catalog.one(update("k", 4, count_add=5))
        self.assertEqual(self.catalog.one(update("k", 4, count_add=5))["book"], first["book"])
        self.assertEqual(self.book(4)["count"], 12)

    def test_never_below_none_nor_over_what_a_count_may_be(self) -> None:
        with self.assertRaises(OutOfStock) as refused:
            self.catalog.one(update("k", 4, count_add=-8))
        self.assertEqual(refused.exception.details["books"], [{"id": 4, "cost": 20, "count": 7}])
        with self.assertRaises(Conflict):
            self.catalog.one(update("k", 4, count_add=MAX_AMOUNT - 6))
        self.assertEqual(self.book(4)["count"], 7)
        self.catalog.one(update("k", 4, count_add=MAX_AMOUNT - 7))


class CancellingCase(DecidingTest):
    """One order that may be cancelled."""

    def setUp(self) -> None:
        super().setUp()
        self.sale = self.catalog.one(sell("k", (4, 3), (5, 2)))
        self.order = self.sale["order_id"]

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
            answer = self.catalog.one(cancel(key, self.order, *lines))
            self.assertEqual(self.counts(), counts, key)
        self.assertEqual(
            answer["cancelled"], [{"book": 4, "quantity": 3}, {"book": 5, "quantity": 2}]
        )
        self.assertEqual(answer["seq"], self.catalog.rows("cancellations")[0]["seq"])

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
        self.undo("v", (4, 1))

    def test_what_was_done_is_answered_as_before_however_late(self) -> None:
        first = self.undo("u", (4, 1))
        self.catalog.now_ms += 600
        self.assertEqual(self.undo("u", (4, 1)), {**first, "replayed": True})
        self.assertEqual(self.undo("v", (4, 1)), first)  # under another key, too
        self.catalog.now_ms += KEYS_KEPT_MS + 1
        self.catalog.batch(update("x", 1, cost=1), update("y", 1, cost=2))
        self.assertNotIn(("answers", "u"), self.catalog.state)
        self.assertEqual(self.undo("u", (4, 1)), first)
        other = undo("u", self.order, "k", 700, (4, 1))  # the setting has changed meanwhile
        self.assertEqual(self.catalog.one(other), {**first, "replayed": True})
        self.assertEqual(self.counts(), (5, 8))

    def test_by_the_key_of_this_sale_alone(self) -> None:
        self.catalog.batch(sell("other", (4, 1)), cancel("c", self.order, (4, 1)))
        for key in ("other", "c", "starting-stock", "none", "K"):
            with self.assertRaises(NotBuyer):
                self.undo("u", (4, 2), sale_key=key)
        with self.assertRaises(NotFound):
            self.catalog.one(undo("u", "elsewhere", "k", 600, (4, 1)))
        self.assertEqual(self.counts(), (4, 8))

    def test_a_keeper_is_never_too_late(self) -> None:
        self.catalog.now_ms += 10**9
        self.catalog.one(cancel("c", self.order, (4, 1)))
        self.assertEqual(self.counts(), (5, 8))


class WantedTest(unittest.TestCase):
    """What a batch may need is known from its operations alone."""

    def test_a_sale_wants_its_books_and_its_key(self) -> None:
        self.assertEqual(
            Catalog().wanted([sell("k", (4, 1), (5, 2)), sell("l", (4, 1))]),
            WantedRows(
                frozenset({4, 5}), frozenset(), frozenset(), frozenset("kl"), frozenset(), forgets=0
            ),
        )

    def test_an_update_wants_its_book_and_the_topic_that_it_names(self) -> None:
        self.assertEqual(
            Catalog().wanted([update("k", 4, title="t"), update("l", 5, topic="c")]),
            WantedRows(
                frozenset({4, 5}),
                frozenset("c"),
                frozenset(),
                frozenset("kl"),
                frozenset(),
                forgets=4,
            ),
        )

    def test_new_books_want_their_topics_and_titles(self) -> None:
        self.assertEqual(
            Catalog().wanted([create("k", ("t", None, "c"), ("u", "a", "d")), sell("l", (4, 1))]),
            WantedRows(
                frozenset({4}),
                frozenset("cd"),
                frozenset("tu"),
                frozenset("kl"),
                frozenset(),
                forgets=2,
            ),
        )

    def test_a_cancellation_wants_its_sale_and_the_books_that_it_names(self) -> None:
        self.assertEqual(
            Catalog().wanted([cancel("k", "o", (4, 1))]),
            WantedRows(
                *(frozenset({4}), frozenset(), frozenset(), frozenset("k"), frozenset("o")),
                forgets=2,
            ),
        )

    def test_cursors_want_the_history_from_the_oldest_of_them_on(self) -> None:
        sales = [
            {**sell("k", (4, 1)), "cursor": Position(number << 40, "e").plain} for number in (3, 2)
        ]
        begin = {"op": "begin", "epoch": 4, "id": "e"}
        self.assertEqual(Catalog().wanted([begin, *sales]).since, 2)


class FoldTest(unittest.TestCase):
    def test_fold(self) -> None:
        self.assertEqual(fold("E\N{COMBINING ACUTE ACCENT}"), fold("é"))
        self.assertEqual(fold("STRASSE"), fold("straße"))
        self.assertNotEqual(fold("e"), fold("é"))
