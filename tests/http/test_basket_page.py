"""The basket's page: what is typed, what it costs, and what another window does meanwhile."""

from __future__ import annotations

from tests.http.test_pages import PagesTestCase


class BasketPageTest(PagesTestCase):
    def put(self, book: int, quantity: int, cost: int) -> None:
        response = self.send("/basket", [("do", "add"), *self.wanted(book, quantity, cost)])
        while response.code == 307:  # a new visitor
            path = response.headers["Location"]
            response = self.send(path, [("do", "add"), *self.wanted(book, quantity, cost)])
        self.assertEqual(self.goes(response), "/basket")

    def typed(self, do: str, **copies: str) -> list[tuple[str, str]]:
        """The basket's form with some quantities typed anew, by book: `of_4="3"`."""
        changed = {f"quantity-{name.removeprefix('of_')}": value for name, value in copies.items()}
        form = self.page("/basket").forms["/basket"]
        return [("do", do), *((name, changed.get(name, value)) for name, value in form)]

    def lines(self) -> dict[str, str]:
        form = self.page("/basket").forms["/basket"]
        return {name: value for name, value in form if name.startswith("quantity-")}

    def test_nothing_is_bought_for_another_sum_than_the_button_says(self) -> None:
        self.put(4, 1, 20)
        self.put(5, 1, 1200)
        form = self.typed("buy", of_4="3")
        page = self.page(self.goes(self.send("/basket/buy", form)))
        self.assertIn("it is $12.60 now. Nothing was bought so far.", page.text)
        self.assertEqual((self.stock(4), self.stock(5)), (7, 10))
        self.assertNotIn("Nothing was bought so far", self.page("/basket").text)
        form = self.typed("buy")
        self.assertIn("$12.60", self.page(self.goes(self.send("/basket/buy", form))).text)
        self.assertEqual((self.stock(4), self.stock(5)), (4, 9))

    def test_of_no_copies_nothing_is_bought_and_nothing_is_left(self) -> None:
        self.put(4, 1, 20)
        form = self.typed("buy", of_4="0")
        page = self.page(self.goes(self.send("/basket/buy", form)))
        self.assertIn("It is empty", page.text)
        self.assertEqual(self.stock(4), 7)

    def test_what_another_window_has_put_into_it_stays(self) -> None:
        self.put(4, 1, 20)
        form = self.typed("buy")
        self.put(5, 1, 1200)
        bought = self.goes(self.send("/basket/buy", form))
        self.assertEqual(self.lines(), {"quantity-5": "1"})
        self.assertEqual(self.goes(self.send("/basket/buy", form)), bought)  # once
        self.assertEqual(self.lines(), {"quantity-5": "1"})
        self.assertNotEqual(self.goes(self.send("/basket/buy", self.typed("buy"))), bought)
        self.assertEqual((self.stock(4), self.stock(5)), (6, 9))

    def test_a_book_is_removed_whatever_is_typed_beside_it(self) -> None:
        for typed, left in (("", "1"), ("x", "1"), ("3", "3"), ("03", "3")):
            with self.subTest(typed):
                self.cookies.clear()
                self.put(4, 1, 20)
                self.put(5, 1, 1200)
                form = self.typed("remove-5", of_4=typed)
                self.assertEqual(self.goes(self.send("/basket", form)), "/basket")
                self.assertEqual(self.lines(), {"quantity-4": left})

    def test_zeros_before_a_number_are_none_of_it(self) -> None:
        self.put(4, 1, 20)
        self.send("/basket", self.typed("update", of_4=" 02"))
        self.assertEqual(self.lines(), {"quantity-4": "2"})
        self.send("/basket", self.typed("update", of_4="00"))
        self.assertIn("It is empty", self.page("/basket").text)

    def test_a_browser_that_keeps_no_cookie_is_told(self) -> None:
        form = [("do", "add"), *self.wanted(4, 1, 20)]
        response = self.send("/basket", form)
        self.assertEqual(response.code, 307)
        self.cookies.clear()
        page = self.reading(self.send(response.headers["Location"], form), 400)
        self.assertIn("cookie", page.text)
        self.assertEqual(page.forms["/basket"], form)


class ReceiptTest(PagesTestCase):
    def test_only_who_has_just_bought_is_thanked(self) -> None:
        bought = self.send("/buy", self.wanted(4, 1, 20, "k" * 32))
        while bought.code == 307:
            bought = self.send(bought.headers["Location"], self.wanted(4, 1, 20, "k" * 32))
        path = self.goes(bought)
        self.assertIn("Thank you. Your order is placed.", self.page(path).text)
        del self.cookies["bought"]
        later = self.page(path).text
        self.assertNotIn("Thank you", later)
        self.assertIn("This page is your receipt", later)
        self.cookies.clear()
        strangers = self.page(path).text
        self.assertNotIn("Thank you", strangers)
        self.assertIn("This page is a receipt", strangers)
