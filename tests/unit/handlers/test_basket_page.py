"""The basket as a browser without scripts has it."""

from __future__ import annotations

from handlers.storefront.basket import Basket
from tests.http.test_pages import Fields, PagesTestCase


class BasketTest(PagesTestCase):
    def add(self, book: int, quantity: int, cost: int) -> None:
        fields = [*self.wanted(book, quantity, cost), ("do", "add")]
        self.assertEqual(self.goes(self.send("/basket", fields)), "/basket")

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
        self.goes(self.send("/basket/buy", self.form(q4=5)))  # without an update before
        self.assertEqual((self.stock(4), self.stock(5)), (2, 10))

    def test_nothing_typed_buys_nothing(self) -> None:
        self.add(4, 2, 20)
        self.assertEqual(self.goes(self.send("/basket/buy", self.form(q4=0))), "/basket")
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
