"""`/search?q=`: words of title or author, at the front end and at the catalog."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from unittest import mock
from urllib.parse import quote

from storage import letters
from storage.sqlite import engine
from storage.sqlite.search_index import ALL
from tests.http.shop import TOKEN, ShopTestCase
from tests.http.test_frontend import book

NODES = ("frontend-1", "catalog-1", "catalog-2")


class WordSearchTest(ShopTestCase):
    def verdict(self, path: str) -> str:
        verdict: str = self.ask(path).headers["X-Cache"]
        return verdict

    def test_every_node_finds_the_same(self) -> None:
        for node in NODES:
            self.assertEqual(self.get("/search?q=COOK+imp", node), [book(4)])
            self.assertEqual([b["id"] for b in self.get("/search?q=under", node)], [4, 3])
            self.assertEqual(self.get("/search?q=nothing+of+that", node), [])

    def test_malformed_queries_are_400_and_say_why(self) -> None:
        for query, words in (
            ("q=", "q: must have 1 to 200"),
            ("q=%20", "q: must have 1 to 200"),
            (f"q={'x' * 201}", "q: must have 1 to 200"),
            (f"q={quote('a ' * 17)}", "q: has 17 words"),
            ("q=%E2%80%8B", "q: has no word"),
            ("q=a%00b", "q: holds the control character U+0000"),
            ("q=%ff", "q: is not UTF-8"),
            ("q=a&q=b", "q: is given 2 times"),
            ("q=a&sort=size", "sort: must be one of fit, title, price, -price, newest"),
            ("topic=a&sort=fit", "sort: fit is an order of what words find"),
            ("q=a&in_stock=1", "in_stock: must be true or false"),
            ("q=a&in_stock=", "in_stock: must be true or false"),
            ("q=a&in_stock=true&offset=1", "offset: does not go with in_stock"),
            ("topic=a&sort=title&offset=1", "offset: does not go with in_stock, or an order"),
            ("q=a&sort=price&after=17", "after: '17' names no place in a list of books by cost"),
            ("q=a&sort=title&after=17", "after: '17' names no place in a list of books by title"),
            ("q=a&sort=newest&after=a-17", "after: 'a-17' names no place"),
            ("q=a&sort=title&after=%00-17", "after: '\\x00-17' names no place"),
            ("q=a&limit=101", "limit: must be"),
            ("q=a&after=x", "after: 'x' names no place"),
            ("q=a&after=", "after: '' names no place"),
            ("topic=a&after=1-2", "after: '1-2' names no place"),
            (f"topic=a&after={'9' * 19}", "after: "),
            ("q=a&after=1&after=2", "after: is given 2 times"),
            (f"q={quote('ـ')}", "q: has no word"),
            ("", "topic: is missing"),
        ):
            for node in NODES:
                error = self.assert_error(self.ask(f"/search?{query}", node=node), 400)["error"]
                self.assertIn(words, error)

    def test_pages_have_links_with_the_words(self) -> None:
        for node in NODES:
            response = self.ask("/search?q=%20UNDER%20%20&limit=1", node=node)
            self.assertEqual(
                response.headers["Link"], '</search?q=UNDER&limit=1&after=3-35-4>; rel="next"'
            )
            for part in ("after=3-35-4", "offset=1"):
                last = self.ask(f"/search?q=UNDER&limit=1&{part}", node=node)
                self.assertNotIn("Link", last.headers)
                self.assertEqual([b["id"] for b in json.loads(last.body)], [3])

    def test_c5_a_book_that_changes_its_words_enters_and_leaves_cached_searches(self) -> None:
        path = "/search?q=hasty"
        self.assertEqual([self.verdict(path) for _ in range(2)], ["miss", "hit"])
        self.update(4, title="Cooking for the Hasty")
        self.assertEqual([one["id"] for one in self.get(path)], [4])
        self.assertEqual(self.verdict(path), "hit")
        self.update(4, title="Cooking", author="Hasty, Ann")
        self.assertEqual([one["author"] for one in self.get(path)], ["Hasty, Ann"])
        new = {"title": "t", "author": "Mr Hasty", "topic": "t", "cost": 1, "count": 1}
        self.ask("/create", "POST", new, node="catalog-2", token=TOKEN)
        self.assertEqual([one["id"] for one in self.get(path)], [8, 4])

    def test_c5_a_purchase_drops_the_searches_that_show_the_book(self) -> None:
        for path in ("/search?q=cooking", "/search?q=rpcs"):
            self.assertEqual([self.verdict(path) for _ in range(2)], ["miss", "hit"])
        self.buy(4)
        self.assertEqual(self.verdict("/search?q=rpcs"), "hit")
        response = self.ask("/search?q=cooking")
        self.assertEqual(response.headers["X-Cache"], "miss")
        self.assertEqual(json.loads(response.body), [{**book(4), "count": 6}])

    def test_a_node_answers_once_its_index_is_made(self) -> None:
        async def restart() -> None:
            await self.shop.stop_node("catalog-2")
            path = self.shop.config.data_dir / "catalog-2.db"
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("UPDATE words_made SET by = 'another version of Unicode'")
                connection.commit()
            with mock.patch.object(engine, "DERIVE_S", 0.0):
                await self.shop.start_node("catalog-2")

        self.io_loop.run_sync(restart)
        self.io_loop.run_sync(self.shop.ready)
        self.assertEqual(self.get("/search?q=cook", "catalog-2"), [book(4)])
        [(by, upto, *_)] = self.shop.rows("catalog-2", "words_made")
        self.assertEqual((by, upto), (letters.VERSION, ALL))

    def test_spaces_are_no_second_cache_key(self) -> None:
        self.get("/search?q=cook+imp")
        self.assertEqual(self.verdict("/search?q=%20cook%20%20imp"), "hit")
        self.assertEqual(self.verdict("/search?topic=cook+imp"), "miss")
