"""Books: what making and changing them comes to, decided on plain rows."""

from __future__ import annotations

import unittest

from bazar.errors import (
    Conflict,
    KeyReused,
    NotFound,
    OutOfStock,
    PreconditionFailed,
)
from bazar.http.response import entity_tag, render
from storage.books import fold, info_key, show_book
from storage.catalog import KEYS_KEPT_MS, MAX_AMOUNT, Catalog
from storage.history import Position
from storage.tags import IN_STOCK, PRICES, SEARCHES, TOPICS
from storage.working_set import WantedRows
from tests.unit.storage.operations import DecidingCase, cancel, create, sell, update
from tests.unit.storage.rows import PlainCatalog


class ChangingTest(DecidingCase):
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

    def test_s1_the_same_fields_in_another_order_are_the_same_request(self) -> None:
        first = self.catalog.one(update("k", 4, cost=1, count=2))
        again = self.catalog.one(update("k", 4, count=2, cost=1))
        self.assertEqual(again, {**first, "replayed": True})

    def test_s1_a_key_is_known_to_the_program_after_an_update(self) -> None:
        """It compares requests as an earlier one has written them."""
        request = '{"book": 4, "fields": {"author": "Zoë", "title": "Émile"}, "op": "update"}'
        row = {"key": "k", "request": request, "answer": "{}", "at": self.catalog.now_ms}
        self.catalog.state["answers", "k"] = row
        again = self.catalog.one(update("k", 4, title="Émile", author="Zoë"))
        self.assertEqual(again, {"replayed": True})

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
        self.assertEqual(made(None), (8, False))

    def test_c5_an_isbn_that_changes_drops_all_searches(self) -> None:
        self.assertIn(SEARCHES, self.tags(update("u", 4, isbn="9780306406157")))
        self.assertNotIn(SEARCHES, self.tags(update("v", 4, isbn="9780306406157", cost=3)))


class ConditionsTest(DecidingCase):
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
            with self.assertRaisesRegex(PreconditionFailed, "^If-Match: book 4 ") as refused:
                self.catalog.one(operation)
            self.assertEqual(refused.exception.details, {"etag": tag})
        self.assertEqual(self.book(4)["count"], 7)

    def test_if_none_match_is_the_other_way_round_and_compares_weakly(self) -> None:
        tag = self.tag(4)
        for number, matching in enumerate(([tag], ["*"], [f"W/{tag}"], ['"x"', tag])):
            operation = {**update(f"k{number}", 4, count=1), "if_none_match": matching}
            with self.assertRaisesRegex(PreconditionFailed, "^If-None-Match: book 4 "):
                self.catalog.one(operation)
        self.catalog.one({**update("l", 4, count=1), "if_none_match": ['"x"', 'W/"y"']})
        self.assertEqual(self.book(4)["count"], 1)
        tag = self.tag(4)
        for number, other, failed in ((1, tag, "If-None-Match"), (2, '"x"', "If-Match")):
            both = {"if_match": [other], "if_none_match": [tag]}
            with self.assertRaisesRegex(PreconditionFailed, f"^{failed}: "):
                self.catalog.one({**update(f"m{number}", 4, count=2), **both})

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


class RestockingTest(DecidingCase):
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

    def test_what_a_group_begins_with_wants_the_topics_of_its_samples(self) -> None:
        """They may be there: others write, too, where a beginning is asked for once more."""
        wanted = Catalog().wanted(Catalog().seed())
        self.assertEqual(wanted.topics, {"Distributed Systems", "Undergraduate School"})

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
