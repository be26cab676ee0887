"""A visitor's own orders: a list, receipts, undoing, and what pages say of what was just bought."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from tornado.httpclient import HTTPResponse

from bazar.http.response import HEADERS
from handlers.storefront.visitor import MAX_OWN
from tests.http.shop import TOKEN
from tests.http.test_pages import Fields, PagesTestCase

UNDO_S = 20  # shorter than a lease: when that is over, all nodes are still at work


class OwnOrdersTestCase(PagesTestCase):
    settings: ClassVar[dict[str, Any]] = {"purchase": {"undo_s": UNDO_S}}

    def setUp(self) -> None:
        super().setUp()
        self.page("/confirm?book=4&quantity=1&cost=20&key=first")  # which has a cookie for all

    def bought(self, book: int, quantity: int, cost: int, name: str) -> str:
        """The id of an order that the visitor has made."""
        receipt = self.goes(self.send("/buy", self.wanted(book, quantity, cost, name)))
        return receipt.removeprefix("/receipt/")

    def basket(self, *lines: tuple[int, int, int]) -> str:
        for one in lines:
            self.add(*one)
        receipt = self.goes(self.send("/basket/buy", self.page("/basket").forms["/basket"]))
        return receipt.removeprefix("/receipt/")

    def undo(self, order: str, **keep: int) -> HTTPResponse:
        """Undo all of an order, or what is not to be kept: keep4=1."""
        fields: Fields = [(name.replace("keep", "keep-"), str(many)) for name, many in keep.items()]
        return self.send(f"/receipt/{order}/undo", fields)

    def undone(self, order: str, **keep: int) -> str:
        """What the receipt says afterwards."""
        self.assertEqual(self.goes(self.undo(order, **keep)), f"/receipt/{order}")
        return self.page(f"/receipt/{order}").text


class ListTest(OwnOrdersTestCase):
    def test_those_of_this_browser_the_newest_first(self) -> None:
        self.assertIn("This browser knows of none", self.page("/receipt").text)
        orders = [self.bought(4, 2, 20, "a"), self.basket((5, 1, 1200), (6, 1, 1500))]
        self.shop.set_time_of_day_on(1.0)
        orders.append(self.bought(7, 1, 2500, "c"))
        page = self.page("/receipt")
        shown = [link for link in page.links if link.startswith("/receipt/")]
        self.assertEqual(
            list(dict.fromkeys(shown)), [f"/receipt/{order}" for order in reversed(orders)]
        )
        self.assertIn("$27.00 1 × How to finish Project 3 on time 1 × Why theory", page.text)
        self.cookies.clear()
        self.assertIn("This browser knows of none", self.page("/receipt").text)

    def test_they_are_sent_to_their_pages_alone_and_shown_to_no_script(self) -> None:
        response = self.send("/buy", self.wanted(4, 1, 20, "a"))
        cookies = {line.partition("=")[0]: line for line in response.headers.get_list("Set-Cookie")}
        [order] = [line for name, line in cookies.items() if name.startswith("order-")]
        for part in ("Path=/receipt", "HttpOnly", "SameSite=Lax"):
            self.assertIn(part, order)
        self.assertNotIn("HttpOnly", cookies["bought"])
        self.assertIn("Max-Age=600", cookies["bought"])

    def test_a_script_is_told_where_to_go(self) -> None:
        fields = self.wanted(4, 1, 20, "a")
        response = self.send("/buy", fields, Accept="application/json")
        self.assertEqual(
            (response.code, response.headers["Content-Type"]), (200, HEADERS["Content-Type"])
        )
        there = json.loads(response.body)["location"]
        self.assertEqual(there, self.goes(self.send("/buy", fields)))

    def test_two_windows_that_buy_at_once_lose_none(self) -> None:
        before = dict(self.cookies)
        for name in ("a", "b"):
            self.cookies, known = dict(before), self.cookies  # neither knows of the other
            self.bought(4, 1, 20, name)
            self.cookies = {**known, **self.cookies}
        self.assertEqual(self.page("/receipt").text.count("1 × Cooking"), 2)

    def test_the_oldest_are_forgotten(self) -> None:
        old = {f"order-{number:032x}": "0" * 32 for number in range(MAX_OWN + 4)}
        self.cookies |= old
        order = self.bought(4, 1, 20, "a")
        page = self.page(f"/receipt/{order}")  # where a purchase leads
        self.assertIn("Thank you", page.text)
        known = [name for name in self.cookies if name.startswith("order-")]
        self.assertEqual(known, [*list(old)[5:], f"order-{order}"])
        text = self.page("/receipt").text
        self.assertEqual(text.count("The shop has no order"), MAX_OWN - 1)
        self.assertIn("1 × Cooking", text)

    def test_cookies_that_are_none_of_ours(self) -> None:
        self.cookies |= {"order-": "x", f"order-{'0' * 32}": "x", f"order-{'g' * 32}": "0" * 32}
        self.cookies |= {f"order-{'0' * 33}": "0" * 32, "bought": "4.x.y~~basket"}
        self.assertIn("This browser knows of none", self.page("/receipt").text)
        self.assertIn("It is empty", self.page("/basket").text)
        self.assertIn("Buy this?", self.page("/confirm?book=4&quantity=1&cost=20&key=k").text)


class UndoTest(OwnOrdersTestCase):
    def test_all_of_it(self) -> None:
        order = self.bought(4, 2, 20, "a")
        page = self.page(f"/receipt/{order}")
        self.assertRegex(page.text, r"You can undo this order until \d+ \w+ \d{4}, \d\d:\d\d UTC")
        for _ in range(2):
            text = self.undone(order)
            self.assertIn("This order is cancelled. $0.40 comes back.", text)
            self.assertIn("Undergrad Cancelled 2 $0.20 $0.40 In all $0.40 Comes back $0.40", text)
            self.assertNotIn("undo", text.lower())
            self.assertEqual(self.stock(4), 7)
        self.assertIn("Cancelled: $0.40 comes back", self.page("/receipt").text)
        self.assertEqual(self.get(f"/orders/{order}")["refund"], 40)

    def test_a_part_and_then_the_rest(self) -> None:
        order = self.basket((4, 3, 20), (5, 2, 1200))
        text = self.undone(order, keep4=1, keep5=2)
        self.assertIn("A part of this order is cancelled. $0.40 comes back.", text)
        self.assertIn("; a part cancelled ", text)
        self.assertIn("What you keep is $24.20.", text)
        self.assertIn("Undergrad Cancelled: 2 of 3 3 $0.20 $0.60", text)
        self.assertEqual((self.stock(4), self.stock(5)), (6, 8))
        self.assertIn("A part is cancelled: $0.40", self.page("/receipt").text)
        for keep in ({"keep4": 1}, {"keep4": 3}, {"keep4": 9, "keep5": 2}, {"keep6": 0}):
            self.undone(order, **keep)  # nothing that is not undone already
            self.assertEqual((self.stock(4), self.stock(5)), (6, 8), keep)
        self.assertIn("This order is cancelled. $24.60", self.undone(order))
        self.assertEqual((self.stock(4), self.stock(5)), (7, 10))

    def test_no_longer_than_it_is_said(self) -> None:
        early, late = self.bought(4, 1, 20, "a"), self.bought(5, 1, 1200, "b")
        done = self.undone(early)
        self.shop.set_time_of_day_on(UNDO_S)
        receipt = self.page(f"/receipt/{late}")
        self.assertNotIn("Changed your mind?", receipt.text)
        self.assertIn("The time in which you could undo this order is over.", receipt.text)
        self.assertNotIn("can be undone", self.page("/receipt").text)
        page = self.reading(self.undo(late), 409)
        self.assertIn("It is too late to undo this", page.text)
        self.assertRegex(page.text, r"You could until \d+ \w+ \d{4}, \d\d:\d\d UTC")
        self.assertEqual(self.undone(early), done)  # asked once more, and it is so
        self.assertEqual((self.stock(4), self.stock(5)), (7, 9))
        response = self.ask(f"/orders/{late}/cancel", "POST", token=TOKEN)  # the keeper may
        self.assertEqual(response.code, 200)

    def test_by_nobody_else_whatever_they_know(self) -> None:
        order, other = self.bought(4, 1, 20, "a"), self.bought(5, 1, 1200, "b")
        known = f"order-{order}"
        name = self.cookies[known]
        buyer = self.cookies.pop("visitor")
        mine = dict(self.cookies)
        for cookies in (
            {},  # the id alone, which is public
            {known: name},  # and the name of its purchase
            {known: name, "visitor": "0" * 32},
            {known: mine[f"order-{other}"], "visitor": buyer},  # another purchase of its buyer
            {"visitor": buyer},
        ):
            self.cookies = dict(cookies)
            status = 400 if known in cookies and "visitor" not in cookies else 403
            page = self.reading(self.undo(order), status)
            self.assertIn("Only its buyer can undo an order", page.text)
            if known not in cookies:
                shown = self.page(f"/receipt/{order}")
                self.assertNotIn(f"/receipt/{order}/undo", shown.forms)
            self.assertEqual(self.stock(4), 6)
        self.cookies = {known: name, "visitor": buyer}
        self.assertIn("This order is cancelled", self.undone(order))

    def test_what_was_bought_by_no_page_can_not_be_undone(self) -> None:
        order = self.buy(4, Idempotency_Key="0" * 32)["order_id"]
        self.cookies[f"order-{order}"] = "0" * 32
        self.assertIn("Only its buyer", self.reading(self.undo(order), 403).text)
        self.assertEqual(self.stock(4), 6)

    def test_malformed_forms(self) -> None:
        order = self.bought(4, 2, 20, "a")
        for typed in ("-1", "1.5", "x", "", "1001"):
            response = self.send(f"/receipt/{order}/undo", [("keep-4", typed)])
            self.assertIn("keep-4", self.reading(response, 400).text)
        self.reading(self.send(f"/receipt/{order}/undo", [("keep-4", "1"), ("keep-4", "0")]), 400)
        self.assertEqual(self.stock(4), 5)
        self.reading(self.undo("1"), 400)
        self.cookies[f"order-{'0' * 32}"] = "0" * 32
        self.assertIn("no such page", self.reading(self.undo("0" * 32), 404).text)
        self.assertIn("cancelled", self.undone(order, keep4=1))


class NobodyThereTest(OwnOrdersTestCase):
    settings: ClassVar[dict[str, Any]] = {
        "pool": {"write_deadline_s": 0.3, "write_attempt_s": 0.3,
                 "read_deadline_s": 0.3, "read_attempt_s": 0.3}
    }  # fmt: skip

    def test_a_page_that_says_so_and_what_to_do(self) -> None:
        for name in ("order-1", "order-2"):
            self.io_loop.run_sync(lambda name=name: self.shop.stop_node(name))
        order = "0" * 32
        self.cookies |= {f"order-{order}": "0" * 32, "visitor": "0" * 32}
        page = self.reading(self.undo(order, keep4=1), 503)
        self.assertIn("your order stands", page.text)
        self.assertEqual(page.forms[f"/receipt/{order}/undo"], [("keep-4", "1")])
        for path in ("/receipt", f"/receipt/{order}"):
            self.assertIn(path, self.page(path, 503).links)


class NeverTest(OwnOrdersTestCase):
    settings: ClassVar[dict[str, Any]] = {"purchase": {"undo_s": 0}}

    def test_where_it_is_switched_off(self) -> None:
        order = self.bought(4, 1, 20, "a")
        self.assertNotIn("undo", self.page(f"/receipt/{order}").text.lower())
        self.assertIn("too late", self.reading(self.undo(order), 409).text)
        self.assertEqual(self.stock(4), 6)


class LimitedTest(OwnOrdersTestCase):
    settings: ClassVar[dict[str, Any]] = {
        "rate_limit": {"purchases_per_s": 0.01, "purchases_burst": 2}
    }

    def test_undoing_counts_as_buying_does(self) -> None:
        order = self.bought(4, 1, 20, "a")
        self.undone(order)
        self.assertEqual(self.undo(order).code, 429)


class JustBoughtTest(OwnOrdersTestCase):
    link = "/confirm?book=4&quantity=1&cost=20&key="

    def test_the_page_that_asked_does_not_ask_again(self) -> None:
        order = self.bought(4, 1, 20, "a")
        page = self.page(self.link + "a")
        self.assertIn(f"You just bought this It is your order {order}", self.whole(page.text))
        self.assertIn(f"/receipt/{order}", page.links)
        self.assertNotIn("/buy", page.forms)
        [again] = [link for link in page.links if link.startswith("/confirm?book=4")]
        page = self.page(again)
        self.assertIn(
            "You just bought this: see your order . Here you would buy it once", page.text
        )
        self.assertNotEqual(self.goes(self.send("/buy", page.forms["/buy"])), f"/receipt/{order}")
        self.assertEqual(self.stock(4), 5)

    def test_nor_once_it_is_undone(self) -> None:
        order = self.bought(4, 1, 20, "a")
        self.undone(order)
        self.assertIn("You bought this, and it is cancelled", self.page(self.link + "a").text)
        self.assertNotIn("You just bought", self.page(self.link + "b").text)

    def test_another_book_is_asked_about_as_ever(self) -> None:
        self.bought(5, 1, 1200, "a")
        self.assertNotIn("just bought", self.page(self.link + "b").text)

    def test_the_last_few_are_remembered(self) -> None:
        for number in range(7):
            self.bought(7, 1, 2500, f"n{number}")
        self.assertEqual(self.cookies["bought"].count("~"), 4)
        self.assertIn("just bought", self.page(self.link.replace("4", "7") + "n2").text)
        self.assertNotIn("It is your order", self.page(self.link.replace("4", "7") + "n1").text)

    def test_an_empty_basket_says_what_it_has_become(self) -> None:
        order = self.basket((4, 1, 20), (5, 1, 1200))
        page = self.page("/basket")
        self.assertIn("You just bought what was in it: see your order", page.text)
        self.assertIn(f"/receipt/{order}", page.links)
        self.undone(order)
        self.assertNotIn("just bought", self.page("/basket").text)

    def test_no_page_is_kept_by_a_browser(self) -> None:
        order = self.bought(4, 1, 20, "a")
        for path in (self.link + "a", self.link + "b", "/basket", "/receipt", f"/receipt/{order}"):
            self.assertEqual(self.send(path).headers["Cache-Control"], "private, no-store")

    def test_a_basket_from_before_purchases_had_names_is_bought_under_its_key(self) -> None:
        self.cookies["basket"] = "ab" * 16 + "~4.1.20"
        receipt = self.goes(self.send("/basket/buy", self.page("/basket").forms["/basket"]))
        self.assertEqual([row[1] for row in self.shop.rows("catalog-1", "sales")], ["ab" * 16])
        self.assertNotIn("undo", self.page(receipt).text.lower())

    def whole(self, text: str) -> str:
        """The text with an order's number as one word."""
        return re.sub(r"([0-9a-f]{8}) ([0-9a-f]{8}) ([0-9a-f]{8}) ([0-9a-f]{8})", r"\1\2\3\4", text)
