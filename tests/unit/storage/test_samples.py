"""What a catalog begins with, and how the samples are taken away."""

from __future__ import annotations

from bazar.errors import Conflict, KeyReused, NotFound
from storage.books import info_key
from storage.catalog import Catalog
from storage.samples import SAMPLES
from storage.tags import SEARCHES, TOPICS
from tests.unit.storage.operations import DecidingCase, create, sell, update
from tests.unit.storage.rows import PlainCatalog

REMOVE = {"op": "remove_samples", "key": "remove"}


class BeginningTest(DecidingCase):
    def test_s7_a_catalog_begins_with_the_samples(self) -> None:
        rows = self.catalog.rows("books")
        self.assertEqual([row["id"] for row in rows], list(SAMPLES))
        self.assertEqual(rows[3]["title"], "Cooking for the Impatient Undergrad")
        self.assertEqual(self.topics(), {"Distributed Systems": 1, "Undergraduate School": 2})

    def test_s7_an_empty_one_has_an_entry_and_no_book(self) -> None:
        empty = PlainCatalog(empty=True)
        self.assertEqual((empty.seq, empty.rows("books"), empty.rows("topics")), (1, [], []))
        # What others are told is not asked once it has begun.
        self.assertIsInstance(empty.batch(*Catalog().seed())[0].answer, KeyReused)
        self.assertEqual(empty.rows("books"), [])

    def test_s7_no_other_book_has_a_samples_number(self) -> None:
        empty = PlainCatalog(empty=True)
        made = empty.one(create("c", ("t", None, "c"), ("u", None, "c")))
        self.assertEqual([one["id"] for one in made["books"]], [8, 9])

    def test_where_there_are_none_numbers_begin_at_one(self) -> None:
        empty = PlainCatalog(empty=True)
        empty.decider.samples = {}
        made = empty.one(create("c", ("t", None, "c")))
        self.assertEqual(made["books"], [{"id": 1, "created": True}])


class RemovingTest(DecidingCase):
    def test_s7_all_are_taken_away_by_one_entry(self) -> None:
        [outcome] = self.catalog.batch(REMOVE)
        assert outcome.change is not None and isinstance(outcome.answer, dict)
        tags = {SEARCHES, TOPICS, *map(info_key, SAMPLES)}
        self.assertEqual(set(outcome.change.tags), tags)  # C5
        self.assertEqual(outcome.change.effects["delete"], {"books": list(SAMPLES)})
        self.assertEqual([book["id"] for book in outcome.answer["removed"]], list(SAMPLES))
        self.assertEqual(outcome.answer["kept"], [])
        self.assertEqual(self.catalog.rows("books"), [])

    def test_s7_their_numbers_are_not_given_again(self) -> None:
        _, made = self.catalog.batch(REMOVE, create("c", ("RPCs for Noobs", None, "Reprints")))
        self.assertEqual(made.answer, {"books": [{"id": 8, "created": True}]})
        again = self.catalog.one(create("d", ("Spring", None, "Reprints")))
        self.assertEqual(again["books"], [{"id": 9, "created": True}])

    def test_r1_one_that_is_made_anew_in_the_same_batch_is_a_new_book(self) -> None:
        again = create("c", ("RPCs for Noobs", None, "Distributed Systems"))
        _, made = self.catalog.batch(REMOVE, again)
        self.assertEqual(made.answer, {"books": [{"id": 8, "created": True}]})
        self.assertEqual([row["id"] for row in self.catalog.rows("books")], [8])

    def test_s7_what_was_sold_is_never_taken_away(self) -> None:
        own = self.catalog.one(create("c", ("t", None, "c")))["books"][0]["id"]
        for number, book in enumerate((own, 4)):
            self.catalog.one(sell(f"s{number}", (book, 1)))
            for _ in range(2):
                with self.assertRaisesRegex(Conflict, "order order-1"):
                    self.catalog.one(REMOVE)
        self.assertEqual(len(self.catalog.rows("books")), 8)

    def test_r1_a_purchase_in_the_same_batch_is_before_it_or_finds_nothing(self) -> None:
        sold, _, refused = self.catalog.batch(sell("s", (4, 1)), sell("t", (5, 1)), REMOVE)
        self.assertIsNotNone(sold.change)
        self.assertIsInstance(refused.answer, Conflict)
        self.assertIn("order order-1", str(refused.answer))
        self.assertIsNone(refused.change)
        other = PlainCatalog()
        _, late, changed = other.batch(REMOVE, sell("s", (4, 1)), update("u", 4, cost=1))
        self.assertIsInstance(late.answer, NotFound)
        self.assertIsInstance(changed.answer, NotFound)
        self.assertEqual((other.rows("books"), other.rows("sales")), ([], []))

    def test_s4_a_sale_that_was_refused_is_none(self) -> None:
        refused, _ = self.catalog.batch(sell("s", (4, 99)), REMOVE)
        self.assertIsNone(refused.change)
        self.assertEqual(self.catalog.rows("books"), [])

    def test_s7_one_that_became_another_book_is_the_keepers_own(self) -> None:
        self.catalog.batch(
            update("a", 1, title="Mine"),
            update("b", 2, author="Me"),
            update("c", 3, topic="My topic"),
            update("d", 4, isbn="9780306406157"),
            update("e", 5, cost=99, count=0),  # it is the same book all the same
        )
        answer = self.catalog.one(REMOVE)
        self.assertEqual([book["id"] for book in answer["kept"]], [1, 2, 3, 4])
        self.assertEqual([book["id"] for book in answer["removed"]], [5, 6, 7])
        self.assertEqual(answer["removed"][0]["cost"], 99)
        self.assertEqual([row["id"] for row in self.catalog.rows("books")], [1, 2, 3, 4])

    def test_s1_the_same_key_returns_the_first_answer(self) -> None:
        first = self.catalog.one(REMOVE)
        self.assertEqual(self.catalog.one(REMOVE), {**first, "replayed": True})
        another = self.catalog.one({**REMOVE, "key": "another"})
        self.assertEqual(another, {"removed": [], "kept": []})

    def test_s7_where_none_is_left_it_does_not_matter_what_was_sold(self) -> None:
        self.catalog.batch(update("u", 4, title="Mine"), REMOVE, sell("s", (4, 1)))
        answer = self.catalog.one({**REMOVE, "key": "again"})
        self.assertEqual(answer["removed"], [])
        self.assertEqual([book["count"] for book in answer["kept"]], [6])

    def test_own_books_stay(self) -> None:
        self.catalog.one(create("c", ("t", None, "Distributed Systems")))
        self.catalog.one(REMOVE)
        self.assertEqual([row["id"] for row in self.catalog.rows("books")], [8])
        # A topic keeps its number, whether it has books or not.
        self.catalog.one(create("d", ("u", None, "Undergraduate School")))
        self.assertEqual(self.book(9)["catalog_id"], 2)
