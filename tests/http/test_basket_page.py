"""The basket's page: what is typed, what it costs, and what another window does meanwhile."""

from __future__ import annotations

from tests.http.test_pages import PagesTestCase


class BasketPageTest(PagesTestCase):
    def typed(self, do: str, **copies: str) -> list[tuple[str, str]]:
        """The basket's form with some quantities typed anew, by book: `of_4="3"`."""
        changed = {f"quantity-{name.removeprefix('of_')}": value for name, value in copies.items()}
        form = self.page("/basket").forms["/basket"]
        return [("do", do), *((name, changed.get(name, value)) for name, value in form)]

    def lines(self) -> dict[str, str]:
        form = self.page("/basket").forms["/basket"]
        return {name: value for name, value in form if name.startswith("quantity-")}

    def test_nothing_is_bought_for_another_sum_than_the_button_says(self) -> None:
        self.add(4, 1, 20)
        self.add(5, 1, 1200)
        form = self.typed("buy", of_4="3")
        page = self.page(self.goes(self.send("/basket/buy", form)))
        self.assertIn("so has the sum: it is $12.60 now.", page.text)
        self.assertEqual((self.stock(4), self.stock(5)), (7, 10))
        self.assertNotIn("so has the sum", self.page("/basket").text)
        form = self.typed("buy")
        self.assertIn("$12.60", self.page(self.goes(self.send("/basket/buy", form))).text)
        self.assertEqual((self.stock(4), self.stock(5)), (4, 9))

    def test_of_no_copies_nothing_is_bought_and_nothing_is_left(self) -> None:
        self.add(4, 1, 20)
        form = self.typed("buy", of_4="0")
        page = self.page(self.goes(self.send("/basket/buy", form)))
        self.assertIn("It is empty", page.text)
        self.assertEqual(self.stock(4), 7)

    def test_what_another_window_has_put_into_it_stays(self) -> None:
        self.add(4, 1, 20)
        form = self.typed("buy")
        self.add(5, 1, 1200)
        bought = self.goes(self.send("/basket/buy", form))
        self.assertEqual(self.lines(), {"quantity-5": "1"})
        self.assertEqual(self.goes(self.send("/basket/buy", form)), bought)  # once
        self.assertEqual(self.lines(), {"quantity-5": "1"})
        self.assertNotEqual(self.goes(self.send("/basket/buy", self.typed("buy"))), bought)
        self.assertEqual((self.stock(4), self.stock(5)), (6, 9))

    def test_more_copies_that_another_window_has_put_into_it_stay(self) -> None:
        self.add(4, 1, 20)
        form = self.typed("buy")
        self.add(4, 2, 20)
        self.goes(self.send("/basket/buy", form))
        self.assertEqual((self.lines(), self.stock(4)), ({"quantity-4": "2"}, 6))

    def test_a_book_of_which_none_is_typed_is_out_of_it(self) -> None:
        self.update(5, cost=20)
        self.add(4, 1, 20)
        self.add(5, 1, 20)
        self.goes(self.send("/basket/buy", self.typed("buy", of_4="0", of_5="2")))
        self.assertIn("It is empty", self.page("/basket").text)
        self.assertEqual((self.stock(4), self.stock(5)), (7, 8))

    def test_what_was_bought_is_not_asked_about_again(self) -> None:
        """By the back button, with other copies than those that were bought."""
        self.add(4, 1, 20)
        form, other = self.typed("buy"), self.typed("buy", of_4="2")
        before = dict(self.cookies)
        self.goes(self.send("/basket/buy", form))
        page = self.reading(self.send("/basket/buy", other), 422)
        self.assertIn("This order was made before", page.text)
        self.cookies = before  # the answer was lost
        changed = self.page(self.goes(self.send("/basket/buy", other)))
        page = self.reading(self.send("/basket/buy", changed.forms["/basket"]), 422)
        self.assertIn("This order was made before", page.text)
        self.assertEqual(self.stock(4), 6)

    def test_a_book_is_removed_whatever_is_typed_beside_it(self) -> None:
        for typed, left in (("", "1"), ("x", "1"), ("3", "3"), ("03", "3")):
            with self.subTest(typed):
                self.cookies.clear()
                self.add(4, 1, 20)
                self.add(5, 1, 1200)
                form = self.typed("remove-5", of_4=typed)
                self.assertEqual(self.goes(self.send("/basket", form)), "/basket")
                self.assertEqual(self.lines(), {"quantity-4": left})

    def test_zeros_before_a_number_are_none_of_it(self) -> None:
        self.add(4, 1, 20)
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
        path = self.goes(self.insist("/buy", self.wanted(4, 1, 20, "k" * 32)))
        self.assertIn("Thank you. Your order is placed.", self.page(path).text)
        del self.cookies["bought"]
        later = self.page(path).text
        self.assertNotIn("Thank you", later)
        self.assertIn("This page is your receipt", later)
        self.cookies.clear()
        strangers = self.page(path).text
        self.assertNotIn("Thank you", strangers)
        self.assertIn("This page is a receipt", strangers)
