"""A keeper takes books from sale, finds them again, and brings them back."""

from __future__ import annotations

import csv
import io

from tests.http import shop
from tests.http.test_keeper_books import NEW, KeeperBooksTestCase

COOKING = "Cooking for the Impatient Undergrad"
MEANT = {"sure": "sure"}


class RetiringTest(KeeperBooksTestCase):
    def retiring(self, number: int = 4) -> tuple[str, dict[str, str]]:
        action, fields = self.fill(self.keyed(f"/keeper/books/{number}"), "retire")
        return action, {**fields, **MEANT}

    def returning(self, number: int = 4) -> tuple[str, dict[str, str]]:
        return self.fill(self.keyed(f"/keeper/books/{number}"), "return")

    def found(self, query: str) -> list[int]:
        prefix = "/keeper/books/"
        rows = [a.removeprefix(prefix) for a in self.page(f"/keeper/books{query}").links]
        return [int(number) for number in rows if number.isdigit()]

    def test_there_and_back(self) -> None:
        before = self.book(4)
        said = self.told(self.press(self.retiring()))
        self.assertIn("nobody finds it or buys it any more", said)
        self.assertRegex(said, "Retired +: nobody finds it or buys it")
        self.assertEqual(self.book(4), {**before, "retired": True})
        self.assert_error(self.ask("/purchase/4", "PUT"), 409, "retired")
        self.assertEqual(self.get("/search?q=cook"), [])
        said = self.told(self.press(self.returning()))
        self.assertIn("It is on sale again", said)
        self.assertNotIn("Retired", said)
        self.assertEqual(self.book(4), before)
        self.assertEqual(self.get("/search?q=cook"), [before])

    def test_it_has_to_be_meant_and_says_what_it_does(self) -> None:
        address = self.keyed("/keeper/books/4")
        text = self.page(address).text
        for told in ("Its orders and their receipts stay", "you can bring it back"):
            self.assertIn(told, text)
        action, fields = self.fill(address, "retire")
        page = self.reading(self.press((action, {**fields, "sure": ""})), 400)
        self.assertIn("It stays on sale until you say that you mean it", page.text)
        self.assertNotIn("retired", self.book(4))
        action, fields = self.form(page, "retire")
        self.goes(self.press((action, {**fields, **MEANT})))
        self.assertIs(self.book(4)["retired"], True)

    def test_pressed_twice_or_gone_back_to_it_is_done_once(self) -> None:
        retiring = self.retiring()
        self.goes(self.press(retiring))
        self.goes(self.press(self.returning()))
        said = self.told(self.press(retiring))
        self.assertIn("was not done a second time", said)
        self.assertNotIn("retired", self.book(4))

    def test_gone_back_from_something_else(self) -> None:
        """A key is of one request: what was sent before under it was another one."""
        address = self.keyed("/keeper/books/4")
        retire, restock = self.fill(address, "retire"), self.fill(address, "change", count_add="3")
        self.goes(self.press(restock))
        page = self.reading(self.press((retire[0], {**retire[1], **MEANT})), 422)
        self.assertIn("This form was sent before", page.text)
        self.assertNotIn("retired", self.book(4))
        action, fields = self.form(page, "retire")
        self.goes(self.press((action, {**fields, **MEANT})))
        self.assertEqual((self.book(4)["count"], self.book(4)["retired"]), (10, True))

    def test_who_changes_it_meanwhile_loses_nothing(self) -> None:
        changing = self.changing(cost="9.99")
        self.goes(self.press(self.retiring()))
        self.assertIn("The change is saved", self.told(self.press(changing)))
        self.goes(self.press(self.restocking("5")))
        book = self.book(4)
        self.assertEqual((book["cost"], book["count"], book["retired"]), (999, 12, True))

    def test_the_list_has_them_apart(self) -> None:
        for number in (3, 4):
            self.goes(self.press(self.retiring(number)))
        for query, numbers in (
            ("", [1, 2, 5, 6, 7]),
            ("?q=undergrad", []),
            ("?q=4", [4, 1]),  # by its number in any case; "40 minutes"
            ("?retired=true", [3, 4]),
            ("?retired=true&q=undergrad", [4, 3]),
            ("?retired=true&q=cook", [4]),
            ("?retired=true&q=grade", []),
            ("?retired=true&q=3", [3]),
            ("?retired=true&q=5", []),  # which is on sale
            ("?retired=false", [1, 2, 5, 6, 7]),
        ):
            self.assertEqual(self.found(query), numbers, query)
        page = self.page("/keeper/books?retired=true&q=undergrad")
        self.assertIn("Retired books with “undergrad”", page.text)
        self.assertIn("retired Undergraduate School $0.20 7", page.text)
        self.assertIn(("q", "undergrad"), page.forms["/keeper/books"])
        for query, ticked in (("?retired=true", True), ("", False)):
            body = self.send(f"/keeper/books{query}").body.decode()
            self.assertEqual('name="retired" value="true" checked>' in body, ticked)
        nothing = self.page("/keeper/books?q=undergrad")
        self.assertIn("/keeper/books?q=undergrad&retired=true", nothing.links)
        self.page("/keeper/books?retired=1", 400)

    def test_page_by_page_and_as_a_table(self) -> None:
        new = [
            {"title": f"Many {n}", "topic": "Zz", "cost": 1, "count": 1, "retired": n < 60}
            for n in range(70)
        ]
        self.ask("/import", "POST", {"books": new}, node="catalog-1", token=shop.TOKEN)
        for query in ("?retired=true", "?retired=true&q=many"):
            first = self.page(f"/keeper/books{query}")
            self.assertIn("50 of 60 books", first.text)
            second = self.page(first.to["next"])
            self.assertEqual(self.page(second.to["prev"]).links, first.links)
            [table] = [link for link in first.links if "books.csv" in link]
            text = self.send(table).body.decode("utf-8-sig")
            rows = list(csv.DictReader(io.StringIO(text)))
            self.assertEqual((len(rows), {row["retired"] for row in rows}), (60, {"true"}))

    def test_the_same_book_is_named_instead_of_made(self) -> None:
        self.goes(self.press(self.adding()))
        self.goes(self.press(self.retiring(8)))
        page = self.reading(self.press(self.adding(cost="1")), 409)
        self.assertIn("is retired. Bring it back there", page.text)
        self.assertIn("/keeper/books/8", page.links)
        self.assertEqual(self.typed(page), {**NEW, "cost": "1"})

    def test_a_cancelled_copy_comes_back_to_it(self) -> None:
        order = self.buy(4)["order_id"]
        self.goes(self.press(self.retiring()))
        action, fields = self.fill(self.keyed(f"/keeper/orders/{order}"), "all")
        self.goes(self.press((action, {**fields, **MEANT})))
        self.assertEqual((self.book(4)["count"], self.book(4)["retired"]), (7, True))
