"""`/search`: in which order, how many, of which topic, and what is in stock; and from which cached
answers a write has to be seen (C5)."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock
from urllib.parse import urlencode

from storage import paging
from tests.http.shop import TOKEN, ShopTestCase
from tests.http.test_frontend import STARTING_STOCK

NODES = ("frontend-1", "catalog-1", "catalog-2")


class FindingTest(ShopTestCase):
    def make(self, *books: tuple[str, str, int, int]) -> None:
        names = ("title", "topic", "cost", "count")
        rows = [dict(zip(names, one, strict=True)) for one in books]
        self.ask("/import", "POST", {"books": rows}, node="catalog-1", token=TOKEN)

    def ids(self, node: str = "frontend-1", **query: str) -> list[int]:
        found = self.get(f"/search?{urlencode(query)}", node)
        return [book["id"] for book in found]

    def pages(self, node: str, **query: str) -> list[Any]:
        """The answers to the very end, as their links lead."""
        path, pages = f"/search?{urlencode(query)}", []
        while True:
            pages.append(self.ask(path, node=node))
            self.assertEqual(pages[-1].code, 200, path)
            if "Link" not in pages[-1].headers:
                return pages
            path = pages[-1].headers["Link"].partition(">")[0].removeprefix("<")


class OrdersTest(FindingTest):
    def test_every_node_lists_in_every_order_to_the_end(self) -> None:
        stock = list(STARTING_STOCK)
        by_price = sorted(stock, key=lambda book: (book[4], book[0]))
        orders = {
            "title": [book[0] for book in sorted(stock, key=lambda book: book[1].lower())],
            "price": [book[0] for book in by_price],
            "-price": [book[0] for book in reversed(by_price)],
            "newest": [book[0] for book in reversed(stock)],
        }
        for node in NODES:
            for sort, numbers in orders.items():
                pages = self.pages(node, topic="s", sort=sort, limit="2")
                found = [book["id"] for page in pages for book in json.loads(page.body)]
                self.assertEqual(found, numbers, sort)
                self.assertEqual([page.headers["X-Total-Count"] for page in pages], ["7"] * 4)
            self.assertEqual(self.ids(node, q="under", sort="price"), [4, 3])
            self.assertEqual(self.ids(node, q="under", sort="fit"), self.ids(node, q="under"))

    def test_titles_stand_in_links_whatever_is_in_them(self) -> None:
        titles = ("Ünder & 100% <b>", "under/score?a=b#c", "under 計算機", "under +1")
        self.make(*((title, "Odd", 1, 1) for title in titles))
        for node in NODES:
            pages = self.pages(node, topic="odd", sort="title", limit="1")
            found = [book["id"] for page in pages for book in json.loads(page.body)]
            self.assertEqual(sorted(found), [8, 9, 10, 11])

    def test_words_of_a_topic_that_are_in_stock(self) -> None:
        self.make(*((f"Under {n}", "Sea" if n % 2 else "Seaside", n, n % 3) for n in range(9)))
        for node in NODES:
            sea = {"q": "under", "topic": "Sea"}
            self.assertEqual(self.ids(node, **sea, sort="newest"), [15, 13, 11, 9])
            self.assertEqual(self.ids(node, **sea, in_stock="true"), [9, 13, 15])
            self.assertEqual(
                self.ids(node, **sea, in_stock="false", sort="-price"), [15, 13, 11, 9]
            )
            self.assertEqual(self.ids(node, q="under", topic="sea"), [])
            self.assertEqual(self.ids(node, topic="sea", in_stock="true"), [9, 10, 12, 13, 15, 16])
            self.assertEqual(self.ids(node, topic="sea", in_stock="true", sort="newest")[0], 16)

    def test_how_many_there_are(self) -> None:
        self.make(*((f"Many {n}", "T", 1, n % 2) for n in range(8)))
        for node in NODES:
            for query, total in (
                ("q=many&limit=1", "8"),
                ("q=many&limit=1&in_stock=true", "4"),
                ("q=nothing", "0"),
                ("topic=t&limit=1", "15"),
            ):
                response = self.ask(f"/search?{query}", node=node)
                self.assertEqual(response.headers["X-Total-Count"], total, query)
        for query in ("topic=t&limit=3", "q=many&sort=title", "topic=t&in_stock=true"):
            with mock.patch.dict(vars(paging), COUNTED=7):
                self.assertEqual(self.ask(f"/search?{query}").headers["X-Total-Count"], "7+", query)

    def test_a_page_that_ends_early_leads_on(self) -> None:
        self.make(*((f"Many {n}", "T", n, int(n == 0)) for n in range(9)))
        with mock.patch.dict(vars(paging), LOOKED=3, COUNTED=3):
            for node in NODES:
                pages = self.pages(node, q="many", sort="newest", in_stock="true")
                found = [[book["id"] for book in json.loads(page.body)] for page in pages]
                self.assertEqual([one for page in found for one in page], [8])
                self.assertGreater(len(found), 1)


class CachedTest(FindingTest):
    """C5: a write is seen by every search that it may change, and drops no other."""

    def verdict(self, path: str) -> str:
        verdict: str = self.ask(path).headers["X-Cache"]
        return verdict

    def cached(self, *paths: str) -> None:
        for path in paths:
            self.ask(path)
            self.assertEqual(self.verdict(path), "hit", path)

    def test_a_changed_price_moves_a_book_into_a_page_that_did_not_show_it(self) -> None:
        by_price, by_title = (f"/search?topic=s&limit=2&sort={sort}" for sort in ("price", "title"))
        dearest = "/search?q=the&limit=1&sort=-price"
        self.cached(by_price, by_title, dearest)
        self.assertEqual([one["id"] for one in self.get(by_price)], [4, 3])
        self.update(7, cost=1)
        self.assertEqual([one["id"] for one in self.get(by_price)], [7, 4])
        self.assertEqual([one["id"] for one in self.get(dearest)], [6])
        self.assertEqual(self.verdict(by_title), "hit")
        self.update(7, cost=9999)
        self.assertEqual([one["id"] for one in self.get(dearest)], [7])

    def test_who_is_sold_out_leaves_and_who_comes_back_enters(self) -> None:
        path, all_books = "/search?topic=s&limit=1&in_stock=true", "/search?topic=s&limit=1"
        after = "/search?topic=s&limit=1&in_stock=true&sort=newest&after=3"
        self.cached(path, all_books, after)
        self.assertEqual(self.ask(path).headers["X-Total-Count"], "7")
        self.assertEqual([one["id"] for one in self.get(after)], [2])
        self.buy(2)  # the last copy, and no page but one shows it
        response = self.ask(path)
        self.assertEqual(response.headers["X-Cache"], "miss")
        self.assertEqual(response.headers["X-Total-Count"], "6")
        self.assertEqual([one["id"] for one in self.get(after)], [1])
        self.assertEqual(self.verdict(all_books), "hit")
        self.update(2, count_add=1)
        self.assertEqual([one["id"] for one in self.get(after)], [2])
        self.assertEqual(self.ask(path).headers["X-Total-Count"], "7")

    def test_a_sale_drops_only_what_shows_the_book(self) -> None:
        paths = [
            f"/search?topic=s&limit=1&sort={sort}{more}"
            for sort in ("title", "price", "-price", "newest")
            for more in ("", "&in_stock=true")
        ]
        showing = [path for path in paths if self.get(path)[0]["id"] == 4]
        self.assertEqual(len(showing), 4)
        self.cached(*paths)
        self.buy(4)
        for path in paths:
            self.assertEqual(self.verdict(path), "miss" if path in showing else "hit", path)

    def test_each_search_has_an_answer_of_its_own(self) -> None:
        queries = (
            *("q=under", "q=under&sort=price", "q=under&in_stock=true", "topic=under"),
            *(
                "q=under&topic=Undergraduate+School",
                "topic=under&sort=price",
                "topic=under&limit=1",
            ),
        )
        for query in queries:
            self.assertEqual(self.verdict(f"/search?{query}"), "miss", query)
        for query in queries[-3:]:
            self.assertEqual(self.verdict(f"/search?{query}"), "hit", query)
