"""Books that are retired, decided on plain rows (S8)."""

from __future__ import annotations

from typing import Any

from bazar.errors import OutOfStock, PreconditionFailed, PriceChanged, Retired
from storage.books import RETIRED, info_key, show_book
from storage.tags import SEARCHES, TOPICS
from tests.unit.storage.operations import DecidingCase, cancel, create, sell, update

ISBN, OTHER_ISBN = "9780306406157", "9780804429573"


class RetiringTest(DecidingCase):
    def retire(self, *books: int, to: bool = True) -> None:
        self.catalog.batch(*(update(f"{to}{self.catalog.seq}.{n}", n, retired=to) for n in books))

    def made(self, isbn: str | None = None, **fields: Any) -> dict[str, Any]:
        operation = create(f"k{self.catalog.seq}", ("T", "A", "C"))
        operation["books"][0] |= fields | ({} if isbn is None else {"isbn": isbn})
        [result] = self.catalog.one(operation)["books"]
        found: dict[str, Any] = result
        return found

    def test_nothing_is_sold_until_it_is_brought_back(self) -> None:
        self.retire(4)
        with self.assertRaisesRegex(Retired, "book 4") as refused:
            self.catalog.one(sell("k", (5, 1), (4, 1)))
        self.assertEqual(refused.exception.details, {"books": [{"id": 4, "cost": 20, "count": 7}]})
        self.assertEqual((self.book(4)["count"], self.book(5)["count"]), (7, 10))
        self.retire(4, to=False)
        self.assertEqual(self.catalog.one(sell("k", (4, 7)))["lines"][0]["new_count"], 0)

    def test_r1_it_counts_for_the_rest_of_its_batch(self) -> None:
        before, _, between, _, after = self.catalog.batch(
            *(sell("a", (4, 1)), update("b", 4, retired=True), sell("c", (4, 1))),
            *(update("d", 4, retired=False), sell("e", (4, 1))),
        )
        self.assertIsInstance(between.answer, Retired)
        self.assertEqual([type(one.answer) for one in (before, after)], [dict, dict])
        self.assertEqual(self.book(4)["count"], 5)

    def test_it_is_the_first_thing_that_a_buyer_is_told(self) -> None:
        """Fewer copies, or another price, would not help."""
        self.retire(4)
        for line in ({"quantity": 100}, {"quantity": 1, "cost": 1}):
            with self.assertRaises(Retired):
                self.catalog.one({**sell("k"), "lines": [{"book": 4, **line}]})
        with self.assertRaises(Retired) as refused:
            self.catalog.one(sell("k", (5, 100), (4, 1)))
        self.assertEqual([one["id"] for one in refused.exception.details["books"]], [4])
        for line, kind in (({"quantity": 100}, OutOfStock), ({"cost": 1}, PriceChanged)):
            with self.assertRaises(kind):
                self.catalog.one({**sell("k"), "lines": [{"book": 5, "quantity": 1, **line}]})

    def test_s1_what_was_bought_before_is_answered_again(self) -> None:
        first = self.catalog.one(sell("k", (4, 1)))
        self.retire(4)
        self.assertEqual(self.catalog.one(sell("k", (4, 1))), {**first, "replayed": True})

    def test_s6_cancelled_copies_go_back_to_it(self) -> None:
        sold = self.catalog.one(sell("k", (4, 3)))
        self.retire(4)
        self.catalog.one(cancel("c", sold["order_id"], (4, 2)))
        self.assertEqual((self.book(4)["count"], self.book(4)["retired"]), (6, RETIRED))

    def test_c5_it_leaves_every_search_and_comes_back_to_each(self) -> None:
        for key, to in (("a", True), ("b", False)):
            self.assertEqual(self.tags(update(key, 4, retired=to)), {info_key(4), SEARCHES, TOPICS})
            self.assertEqual(self.tags(update(f"{key}2", 4, retired=to)), {info_key(4)})

    def test_all_else_of_it_can_be_changed(self) -> None:
        self.retire(4)
        self.catalog.one(update("k", 4, title="x", cost=3, count_add=2))
        row = self.book(4)
        self.assertEqual((row["title"], row["cost"], row["count"]), ("x", 3, 9))
        self.assertEqual(row["retired"], RETIRED)

    def test_its_tag_is_another_one_and_that_of_other_books_stays(self) -> None:
        row = {**self.book(4), "topic": "T"}
        self.assertNotIn("retired", show_book(row))
        self.assertEqual(
            list(show_book({**row, "retired": RETIRED}).items())[-1], ("retired", True)
        )
        with self.assertRaises(PreconditionFailed):
            self.catalog.one({**update("k", 4, retired=True), "if_match": ['"x"']})
        self.assertIsNone(self.book(4)["retired"])

    def test_the_same_book_is_not_made_anew(self) -> None:
        self.assertEqual(self.made(), {"id": 8, "created": True})
        self.retire(8)
        for isbn in (None, ISBN):
            self.assertEqual(self.made(isbn), {"id": 8, "created": False, "retired": True})
        self.assertEqual(self.made(cost=99, retired=True)["id"], 8)
        self.assertEqual((self.book(8)["cost"], self.book(8)["retired"]), (1, RETIRED))
        self.retire(8, to=False)
        self.assertEqual(self.made(), {"id": 8, "created": False})

    def test_of_several_that_are_the_same_one_on_sale_counts(self) -> None:
        self.assertEqual([self.made(one)["id"] for one in (ISBN, OTHER_ISBN)], [8, 9])
        self.retire(8)
        self.assertEqual(self.made(), {"id": 9, "created": False})
        self.assertEqual(self.made(ISBN), {"id": 8, "created": False, "retired": True})
        operations = create("k", ("T", "A", "C")), update("l", 9, retired=True)
        again = create("m", ("T", "A", "C")), update("n", 8, retired=False)
        results = self.catalog.batch(*operations, *again, create("o", ("T", "A", "C")))
        books = [one.answer["books"][0] for one in results[::2] if isinstance(one.answer, dict)]
        self.assertEqual([book["id"] for book in books], [9, 8, 8])
        self.assertEqual([book.get("retired") for book in books], [None, True, None])

    def test_a_book_may_be_made_as_a_retired_one(self) -> None:
        self.assertEqual(self.made(retired=True), {"id": 8, "created": True})
        self.assertEqual(self.book(8)["retired"], RETIRED)
        with self.assertRaises(Retired):
            self.catalog.one(sell("s", (8, 1)))
