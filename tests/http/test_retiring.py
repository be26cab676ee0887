"""Books are retired: nobody finds or buys them, receipts stay, and they can come back."""

from __future__ import annotations

import json
from typing import Any

from tests.http.shop import TOKEN, ShopTestCase
from tests.http.test_pages import PagesTestCase

COOKING = "Cooking for the Impatient Undergrad"


class RetiringTest(ShopTestCase):
    def retire(self, book: int, to: Any = True, node: str = "catalog-1", **headers: str) -> Any:
        body = {"retired": to}
        return self.ask(f"/update/{book}", "PUT", body, node=node, token=TOKEN, **headers)

    def listed(self, path: str = "/retired", node: str = "catalog-1") -> list[int]:
        response = self.ask(path, node=node, token=TOKEN)
        self.assertEqual(response.code, 200, response.body)
        return [book["id"] for book in json.loads(response.body)]

    def test_it_leaves_every_search_at_every_port_and_comes_back(self) -> None:
        nodes = ("frontend-1", "catalog-1", "catalog-2")
        paths = ("/search?topic=undergrad", "/search?q=cooking", "/search?q=undergrad")

        def found() -> list[bool]:
            return [
                any(book["id"] == 4 for book in self.get(path, node))
                for path in paths
                for node in (*nodes, "frontend-1")  # and from the cache
            ]

        self.assertEqual(set(found()), {True})
        shown = json.loads(self.retire(4).body)
        self.assertEqual(shown, {**self.get("/info/5"), **shown, "retired": True})
        self.assertEqual(set(found()), {False})
        for node in nodes:
            self.assertIs(self.get("/info/4", node)["retired"], True)
        back = json.loads(self.retire(4, False, "catalog-2").body)
        self.assertNotIn("retired", back)
        self.assertEqual(set(found()), {True})

    def test_a_topic_all_of_whose_books_are_retired_vanishes(self) -> None:
        self.assertEqual(len(self.get("/topics")), 2)
        self.retire(1)
        self.assertEqual(len(self.get("/topics")), 2)
        self.retire(2)
        self.assertEqual([one["topic"] for one in self.get("/topics")], ["Undergraduate School"])
        self.retire(2, False)
        self.assertEqual(len(self.get("/topics")), 2)

    def test_it_is_not_sold_and_the_buyer_is_told_why(self) -> None:
        self.buy(4)
        self.retire(4)
        for node in ("frontend-1", "order-1", "order-2"):
            body = self.assert_error(self.ask("/purchase/4", "PUT", node=node), 409, "retired")
            self.assertIn("book 4", body["error"])
            self.assertEqual(body["books"], [{"id": 4, "cost": 20, "count": 6}])
        basket = {"lines": [{"book": 5}, {"book": 4, "cost": 999}, {"book": 6, "quantity": 1000}]}
        body = self.assert_error(self.ask("/purchase", "POST", basket), 409, "retired")
        self.assertEqual([book["id"] for book in body["books"]], [4])
        self.assertEqual([self.get(f"/info/{n}")["count"] for n in (4, 5)], [6, 10])
        self.retire(4, False)
        self.assertEqual(self.buy(4)["new_count"], 5)

    def test_a_purchase_is_answered_again_after_it(self) -> None:
        first = self.buy(4, Idempotency_Key="k")
        self.retire(4)
        self.assertEqual(self.buy(4, Idempotency_Key="k"), {**first, "replayed": True})

    def test_orders_keep_what_was_sold_and_cancelled_copies_go_back(self) -> None:
        order = self.buy(4)["order_id"]
        before = self.get(f"/orders/{order}")
        self.retire(4)
        self.update(4, title="Another", cost=9)
        self.assertEqual(self.get(f"/orders/{order}"), before)
        self.assertEqual(before["lines"][0]["title"], COOKING)
        self.ask(f"/orders/{order}/cancel", "POST", token=TOKEN)
        book = self.get("/info/4")
        self.assertEqual((book["count"], book["retired"]), (7, True))

    def test_the_conditions_of_other_fields_hold_for_it(self) -> None:
        tag = self.ask("/info/4").headers["Etag"]
        body = self.assert_error(self.retire(4, If_Match='"x"'), 412, "precondition_failed")
        self.assertEqual(body["etag"], tag)
        first = self.retire(4, If_Match=tag, Idempotency_Key="k")
        self.assertEqual(first.code, 200)
        self.assertEqual(self.retire(4, If_Match=tag, Idempotency_Key="k").body, first.body)
        self.assert_error(self.retire(4, False, If_Match=tag), 412)
        new = self.ask("/info/4").headers["Etag"]
        self.assertNotEqual(new, tag)
        self.assertEqual(self.ask("/info/4", If_None_Match=tag).code, 200)
        self.assertEqual(self.retire(4, False, If_Match=new).code, 200)
        # It is what it was: so is its tag.
        self.assertEqual(self.ask("/info/4", If_None_Match=tag).code, 304)

    def test_nothing_but_true_and_false(self) -> None:
        some: tuple[Any, ...] = (None, 1, 0, "true", "", [], {})
        for wrong in some:
            body = self.assert_error(self.retire(4, wrong), 400, "bad_request")
            self.assertIn("retired", body["error"])
        self.assert_error(self.retire(99), 404, "not_found")
        self.assert_error(self.ask("/update/4", "PUT", {"retired": True}, node="catalog-1"), 401)

    def test_the_retired_are_listed_for_those_who_may(self) -> None:
        self.assertEqual(self.listed(), [])
        for book in (6, 2, 4):
            self.retire(book)
        for node in ("catalog-1", "catalog-2", "frontend-1"):
            self.assertEqual(self.listed(node=node), [2, 4, 6])
            for path, first in (("/retired?limit=1&q=undergrad", 4), ("/retired?limit=2", 2)):
                response = self.ask(path, node=node, token=TOKEN)
                self.assertEqual(json.loads(response.body)[0]["id"], first)
            self.assertEqual(response.headers["X-Total-Count"], "3")
            link = response.headers["Link"].partition(">")[0].removeprefix("<")
            self.assertEqual(self.listed(link, node), [6])
            self.assertEqual(self.listed("/retired?offset=1&limit=1", node), [4])
            self.assert_error(self.ask("/retired", node=node), 401)
            for wrong in ("q=%20", "topic=x", "sort=title", "after=x"):
                refused = self.ask(f"/retired?{wrong}", node=node, token=TOKEN)
                self.assert_error(refused, 400)
            self.assert_error(self.ask("/search?q=x&retired=true", node=node), 400)

    def test_the_same_book_is_not_made_anew(self) -> None:
        new = {"title": "T", "author": "A", "topic": "Zz", "cost": 1, "count": 1}
        made = json.loads(self.ask("/create", "POST", new, node="catalog-1", token=TOKEN).body)
        self.retire(made["id"])
        body = self.assert_error(
            self.ask("/create", "POST", new, node="catalog-1", token=TOKEN), 409, "retired"
        )
        self.assertIn(f"book {made['id']} ", body["error"])
        self.assertEqual(body["books"], [{"id": made["id"], "cost": 1, "count": 1}])
        rows = {"books": [new, {**new, "title": "U"}, {**new, "title": "V", "retired": True}]}
        answer = self.ask("/import", "POST", rows, node="catalog-2", token=TOKEN)
        self.assertEqual(
            json.loads(answer.body)["results"],
            [
                {"id": made["id"], "created": False, "retired": True},
                {"id": made["id"] + 1, "created": True},
                {"id": made["id"] + 2, "created": True},
            ],
        )
        self.assertEqual(self.listed(), [made["id"], made["id"] + 2])
        self.assertEqual([book["title"] for book in self.get("/search?topic=zz")], ["U"])
        self.retire(made["id"], False)
        self.assert_error(
            self.ask("/create", "POST", new, node="catalog-1", token=TOKEN), 409, "conflict"
        )


class RetiredPagesTest(PagesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cookies["visitor"] = "a" * 32

    def test_whoever_has_a_link_reads_that_it_is_no_longer_sold(self) -> None:
        before = self.page("/books/4")
        self.update(4, retired=True)
        response = self.send("/books/4")
        page = self.reading(response)
        self.assertIn("No longer sold", page.text)
        self.assertIn(COOKING, page.text)
        self.assertNotIn("$0.20", page.text)
        self.assertNotIn("/buy", page.forms)
        self.assertIn("/books?topic=Undergraduate+School", page.links)
        self.assertIn('<meta name="robots" content="noindex">', response.body.decode())
        self.update(4, retired=False)
        self.assertEqual(self.page("/books/4").text, before.text)
        self.assertNotIn("noindex", self.send("/books/4").body.decode())

    def test_pages_that_are_cached_follow_both_ways(self) -> None:
        paths = ("/", "/books", "/books?q=cook", "/books?topic=Undergraduate+School", "/books/4")
        for _ in range(2):
            for path in paths:
                self.page(path)
        for retired, link in ((True, False), (False, True)):
            self.update(4, retired=retired)
            for path in paths[:-1]:
                self.assertEqual("/books/4" in self.page(path).links, link, path)
            self.assertEqual("No longer sold" in self.page("/books/4").text, retired)

    def test_the_home_page_does_without_a_topic_that_has_none_left(self) -> None:
        topic = "/books?topic=Distributed+Systems"
        self.assertIn(topic, self.page("/").links)
        self.update(1, retired=True)
        self.assertIn(topic, self.page("/").links)
        self.update(2, retired=True)
        self.assertNotIn(topic, self.page("/").links)
        self.assertIn("There is none", self.page(topic).text)

    def test_who_buys_it_all_the_same_is_told(self) -> None:
        self.update(4, retired=True)
        page = self.page(self.goes(self.send("/buy", self.wanted(4, 1, 20, "k"))))
        self.assertIn("No longer sold", page.text)
        self.assertIn("Nothing was bought", page.text)
        self.assertNotIn("just been sold", page.text)
        self.assertNotIn("/buy", page.forms)
        asked = self.page(self.goes(self.send("/buy", self.wanted(4, 1, 20))))
        self.assertIn("No longer sold", asked.text)

    def test_a_basket_that_holds_it_is_bought_without_it(self) -> None:
        self.add(4, 2, 20)
        self.add(5, 2, 1200)
        form = self.page("/basket").forms["/basket"]
        self.update(4, retired=True)
        self.assertEqual(self.goes(self.send("/basket/buy", form)), "/basket")
        page = self.page("/basket")
        self.assertIn("No longer sold : not part of this order", page.text.replace(":", " :"))
        self.assertIn("Buy all for $24.00", page.text)
        receipt = self.page(self.goes(self.send("/basket/buy", page.forms["/basket"])))
        self.assertIn("In all $24.00", receipt.text)
        self.assertNotIn(COOKING, receipt.text)

    def test_its_receipt_stays_and_leads_to_it(self) -> None:
        where = self.goes(self.send("/buy", self.wanted(4, 2, 20, "k")))
        before = self.page(where).text
        self.update(4, retired=True, title="Another", cost=999)
        receipt = self.page(where)
        self.assertEqual(receipt.text, before)
        self.assertIn("/books/4", receipt.links)
        self.assertIn("No longer sold", self.page("/books/4").text)
