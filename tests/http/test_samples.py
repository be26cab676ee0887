"""Shops that begin empty, and samples that are taken away: what every reader is shown of it."""

from __future__ import annotations

import json
from typing import Any

from tests.http.shop import TOKEN
from tests.http.test_pages import PagesTestCase

BOOK = {"title": "Der Deich", "author": "Ada Siel", "topic": "Reise", "cost": 700, "count": 4}
NODES = ("frontend-1", "catalog-1", "catalog-2")


class SamplesTestCase(PagesTestCase):
    def create(self) -> Any:
        response = self.ask("/create", "POST", BOOK, node="catalog-2", token=TOKEN)
        self.assertEqual(response.code, 201, response.body)
        return json.loads(response.body)

    def remove(self, node: str = "catalog-1", **headers: str) -> Any:
        response = self.ask("/samples", "DELETE", node=node, token=TOKEN, **headers)
        self.assertEqual(response.code, 200, response.body)
        return json.loads(response.body)


class EmptyTest(SamplesTestCase):
    empty = True

    def test_s7_it_has_no_book_at_any_node_until_one_is_made(self) -> None:
        for node in NODES:
            self.assert_error(self.ask("/info/1", node=node), 404, "not_found")
            self.assertEqual(self.get("/search?q=the", node), [])
        self.assertEqual(self.get("/topics"), [])
        self.assertEqual(self.remove(), {"removed": [], "kept": []})
        made = self.create()
        self.assertEqual(made["id"], 8)  # the samples' numbers are theirs alone
        for node in NODES:
            self.assertEqual(self.get("/info/8", node), made)
        self.assertEqual(self.get("/topics"), [{"catalog_id": 1, "topic": "Reise"}])
        self.assertEqual(self.buy(8)["new_count"], 3)

    def test_its_pages_say_what_to_do_until_there_is_a_book(self) -> None:
        for path in ("/", "/books", "/books?q=deich", "/books?q=a+b"):
            for _ in range(2):  # from the cache, too
                page = self.page(path)
                self.assertIn("There are no books yet", page.text)
                self.assertIn("python -m bazar import books.csv", page.text)
                self.assertNotIn("choose a topic", page.text)
                self.assertEqual(page.forms["/books"][0][0], "q")
        self.assertIn("There is none", self.page("/books?topic=Reise").text)
        self.create()
        for path in ("/", "/books", "/books?q=deich", "/books?topic=Reise"):
            self.assertIn("Der Deich", self.page(path).text)
        for path in ("/", "/books?q=a+b", "/books?topic=Meer", "/books?after=9"):
            self.assertNotIn("no books yet", self.page(path).text)


class RemovingTest(SamplesTestCase):
    def test_c5_nothing_that_was_cached_shows_them(self) -> None:
        paths = ("/info/4", "/search?q=cooking", "/search?topic=school", "/topics")
        pages = ("/", "/books", "/books/4", "/books?q=cooking")
        for _ in range(2):
            for path in paths:
                self.assertIn(b"Undergrad", self.ask(path).body)
            for path in pages:
                self.assertIn("Undergrad", self.page(path).text)
        self.assertEqual(len(self.remove()["removed"]), 7)
        for node in NODES:
            self.assert_error(self.ask("/info/4", node=node), 404, "not_found")
        for path in paths[1:]:
            self.assertEqual(self.get(path), [])
        for path in ("/", "/books", "/books?q=cooking"):
            self.assertIn("There are no books yet", self.page(path).text)
        self.assertIn("There is no such page", self.page("/books/4", 404).text)

    def test_a_basket_says_that_they_are_gone(self) -> None:
        self.add(4, 1, 20)
        page = self.page("/basket")
        self.assertIn("Cooking for the Impatient Undergrad", page.text)
        own = self.create()["id"]
        self.add(own, 1, 700)
        form = self.page("/basket").forms["/basket"]
        self.remove()
        self.assertIn("No longer in the shop", self.page("/basket").text)
        # The form that was there before: nothing of it is bought.
        self.assertEqual(self.goes(self.send("/basket/buy", [*form, ("do", "buy")])), "/basket")
        page = self.page("/basket")
        self.assertIn("No longer in the shop", page.text)
        self.assertEqual(self.stock(own), 4)
        self.goes(self.send("/basket/buy", [*page.forms["/basket"], ("do", "buy")]))
        self.assertEqual(self.stock(own), 3)

    def test_s7_their_numbers_are_not_given_again(self) -> None:
        self.remove("catalog-2")
        self.assertEqual(self.create()["id"], 8)
        self.assert_error(self.ask("/info/7"), 404)

    def test_s7_once_anything_was_sold_they_stay(self) -> None:
        order = self.buy(self.create()["id"])["order_id"]
        for node in ("catalog-1", "catalog-2"):
            response = self.ask("/samples", "DELETE", node=node, token=TOKEN)
            error = self.assert_error(response, 409, "conflict")
            self.assertIn(order, error["error"])
        self.assertEqual(len(self.get("/search?topic=s")), 8)

    def test_those_that_became_other_books_stay(self) -> None:
        self.update(2, title="Mine")
        self.update(3, cost=1, count=0)
        found = self.remove()
        self.assertEqual([book["id"] for book in found["kept"]], [2])
        self.assertIn(("Mine", 506), [(b["title"], b["cost"]) for b in found["kept"]])
        self.assertEqual(self.get("/topics"), [{"catalog_id": 1, "topic": "Distributed Systems"}])
        self.assertEqual([book["id"] for book in self.get("/search?topic=s")], [2])

    def test_s1_a_key_is_good_for_one_removal(self) -> None:
        first = self.remove(Idempotency_Key="k")
        self.assertEqual(self.remove("catalog-2", Idempotency_Key="k"), first)
        self.assertEqual(self.remove(), {"removed": [], "kept": []})
        response = self.ask("/create", "POST", BOOK, node="catalog-1", token=TOKEN,
                            Idempotency_Key="k")  # fmt: skip
        self.assert_error(response, 422, "key_reused")

    def test_it_takes_no_body_and_no_condition(self) -> None:
        for body, headers in ((b"{}", {}), (None, {"If_Match": "*"})):
            response = self.ask(
                "/samples", "DELETE", body, node="catalog-1", token=TOKEN, **headers
            )
            self.assert_error(response, 400, "bad_request")
        self.assert_error(self.ask("/samples", "DELETE", node="catalog-1"), 401)
        self.assert_error(self.ask("/samples", token=TOKEN, node="catalog-1"), 405)
        self.assertEqual(len(self.get("/search?topic=s")), 7)
