"""The basket as a browser without scripts has it."""

from __future__ import annotations

from handlers.storefront.basket import Basket
from tests.http.test_pages import Fields, PagesTestCase


class BasketTest(PagesTestCase):
    def form(self, **typed: int) -> Fields:
        """The basket's form, with quantities typed in: q4=2."""
        form = dict[str, list[str]]()
        for name, value in self.page("/basket").forms["/basket"]:
            number = name.removeprefix("quantity-")
            form.setdefault(name, []).append(str(typed.get(f"q{number}", value)))
        return [(name, value) for name, values in form.items() for value in values]

    def test_a_basket_becomes_one_order(self) -> None:
        self.assertIn("It is empty", self.page("/basket").text)
        self.add(4, 2, 20)
        self.add(5, 1, 1200)
        self.add(4, 1, 20)
        self.assertIn("In all $12.60", self.page("/basket").text)
        form = self.form()
        receipt = self.goes(self.send("/basket/buy", form))
        text = self.page(receipt).text
        self.assertIn("Undergrad 3 $0.20 $0.60", text)
        self.assertIn("on time 1 $12.00 $12.00 In all $12.60", text)
        self.assertIn("It is empty", self.page("/basket").text)
        self.assertEqual(len(self.shop.rows("order-1", "orders")), 1)
        # Sent again, by the back button or by a browser that saw no answer, it is the same order.
        self.assertEqual(self.goes(self.send("/basket/buy", form)), receipt)
        self.assertEqual((self.stock(4), self.stock(5)), (4, 9))

    def test_what_is_typed_counts(self) -> None:
        self.add(4, 2, 20)
        self.add(5, 1, 1200)
        self.add(6, 1, 1500)
        self.send("/basket", [*self.form(q4=3, q5=0), ("do", "update")])
        self.assertIn("In all $15.60", self.page("/basket").text)
        self.send("/basket", [*self.form(q4=1), ("do", "remove-6")])
        self.assertIn("In all $0.20", self.page("/basket").text)
        shown = self.goes(self.send("/basket/buy", self.form(q4=5)))  # without an update before
        self.assertIn("In all $1.00", self.page(shown).text)
        self.goes(self.send("/basket/buy", self.form()))
        self.assertEqual((self.stock(4), self.stock(5)), (2, 10))

    def test_nothing_typed_buys_nothing(self) -> None:
        self.add(4, 2, 20)
        page = self.page(self.goes(self.send("/basket/buy", self.form(q4=0))))
        self.assertIn("It is empty", page.text)
        self.assertEqual(self.stock(4), 7)

    def test_prices_and_stock_that_have_changed(self) -> None:
        for book, cost in ((2, 506), (3, 50), (4, 20), (5, 1200)):
            self.add(book, 2, cost)
        self.assertIn("You asked for 2. Only 1 is left", self.page("/basket").text)
        form = self.form()
        self.update(4, cost=30)
        self.assertEqual(self.goes(self.send("/basket/buy", form)), "/basket")
        page = self.page("/basket")
        self.assertIn("it was $0.20, and is $0.30 now", page.text)
        form = self.form()
        self.update(5, count=0)
        self.assertEqual(self.goes(self.send("/basket/buy", form)), "/basket")
        page = self.page("/basket")
        self.assertIn("Out of stock: not part of this order", page.text)
        self.assertEqual([self.stock(book) for book in (2, 3, 4)], [1, 2, 7])
        receipt = self.goes(self.send("/basket/buy", self.form()))
        self.assertIn("In all $6.66", self.page(receipt).text)

    def test_a_basket_that_was_bought_unseen_is_not_bought_again(self) -> None:
        self.add(4, 2, 20)
        form, kept = self.form(), dict(self.cookies)
        self.send("/basket/buy", form)
        self.cookies = kept  # the answer was lost, the visitor adds a book, and tries again
        self.add(5, 1, 1200)
        page = self.reading(self.send("/basket/buy", self.form()), 422)
        self.assertIn("This order was made before", page.text)
        self.assertEqual((self.stock(4), self.stock(5)), (5, 10))
        self.send("/basket", page.forms["/basket"])
        self.goes(self.send("/basket/buy", self.form()))
        self.assertEqual((self.stock(4), self.stock(5)), (3, 9))

    def test_cookies_of_others_are_an_empty_basket(self) -> None:
        good = Basket(lines={4: (2, 20)}).text()
        for text in ("", "x", good[1:], good + "~", good + "~4.0.1", good + "~01.1.1", good * 2):
            self.assertEqual(Basket.read(text).lines, {}, text)
        many = Basket(lines=dict.fromkeys(range(51), (1, 1))).text()
        self.assertEqual(Basket.read(many).lines, {})
        self.assertEqual(Basket.read(good).lines, {4: (2, 20)})
        self.assertEqual(Basket.read(good).text(), good)

    def test_bounds(self) -> None:
        self.cookies["basket"] = Basket(lines=dict.fromkeys(range(50), (1000, 1))).text()
        self.add(4, 5, 20)
        self.assertEqual(Basket.read(self.cookies["basket"]).lines[4], (1000, 20))
        fields = [*self.wanted(50, 1, 20), ("do", "add")]
        self.assertIn("holds 50 different", self.reading(self.send("/basket", fields), 400).text)
        self.assertIn("No longer in the shop", self.page("/basket").text)
        self.reading(self.send("/basket", [("do", "dance")]), 400)
        self.reading(self.send("/basket", [("do", "remove-x")]), 400)


class StumblesTest(PagesTestCase):
    """What is typed, what it costs, and what another window does meanwhile."""

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
