"""The storefront as a browser without scripts has it: links, forms and cookies."""

from __future__ import annotations

import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from tornado.httpclient import HTTPResponse

from handlers.assets import assets
from handlers.html import CONTENT_POLICY
from handlers.storefront import rendering
from handlers.storefront.basket import Basket
from tests.http.shop import TOKEN, ShopTestCase

Fields = list[tuple[str, str]]
PAGES = Path(rendering.__file__).parent


class Reading(HTMLParser):
    """The text of a page, its links, and its forms: action -> fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.to: dict[str, str] = {}  # what relation the page has to a link, "next", say
        self.forms: dict[str, Fields] = {}
        self.all_forms: list[tuple[str, Fields]] = []  # some lead to the same place
        self._form: Fields = []
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(given["href"])
            self.to[given.get("rel", "")] = given["href"]
        elif tag == "form":
            self._form = self.forms[given["action"]] = []
            self.all_forms.append((given["action"], self._form))
        elif tag == "input":
            self._form.append((given["name"], given.get("value", "")))

    def handle_data(self, data: str) -> None:
        self.text += data + " "


class PagesTestCase(ShopTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cookies: dict[str, str] = {}

    def send(self, path: str, fields: Fields | None = None, **headers: str) -> HTTPResponse:
        """One request, not following redirects; with fields it posts a form."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response = self.fetch(
            path,
            method="GET" if fields is None else "POST",
            body=None if fields is None else urlencode(fields),
            headers=sent,
            follow_redirects=False,
        )
        for line in response.headers.get_list("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if not self.cookies[name]:
                del self.cookies[name]
        return response

    def insist(self, path: str, fields: Fields) -> HTTPResponse:
        """Post a form, and send it again with the cookie that a new visitor gets."""
        response = self.send(path, fields)
        if response.code == 307:
            response = self.send(response.headers["Location"], fields)
        return response

    def add(self, book: int, quantity: int, cost: int) -> None:
        """Put copies of a book into the basket."""
        form = [("do", "add"), *self.wanted(book, quantity, cost)]
        self.assertEqual(self.goes(self.insist("/basket", form)), "/basket")

    def page(self, path: str, status: int = 200) -> Reading:
        return self.reading(self.send(path), status)

    def reading(self, response: HTTPResponse, status: int = 200) -> Reading:
        self.assertEqual(response.code, status, response.body)
        self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertEqual(response.headers["Content-Security-Policy"], CONTENT_POLICY)
        return Reading(response.body.decode())

    def goes(self, response: HTTPResponse) -> str:
        """Where a form's answer sends the browser."""
        self.assertEqual(response.code, 303, response.body)
        return response.headers["Location"]

    def verdict(self, path: str) -> str:
        verdict: str = self.send(path).headers["X-Cache"]
        return verdict

    def stock(self, book: int) -> int:
        count: int = self.get(f"/info/{book}")["count"]
        return count

    def wanted(self, book: int, quantity: int, cost: int, key: str = "") -> Fields:
        fields = {"book": book, "quantity": quantity, "cost": cost, "key": key}
        return [(name, str(value)) for name, value in fields.items()]


class ShelvesTest(PagesTestCase):
    def test_home_has_topics_and_books_and_a_search_box(self) -> None:
        home = self.page("/")
        self.assertIn("/books?topic=Distributed+Systems", home.links)
        self.assertIn("/books/7", home.links)
        self.assertEqual(home.forms["/books"], [("q", "")])

    def test_results_by_words_and_by_topic(self) -> None:
        found = self.page("/books?q=cook")
        self.assertIn("Cooking for the Impatient Undergrad", found.text)
        self.assertIn("$0.20 7 in stock", found.text)
        self.assertEqual(found.forms["/books"], [("q", "cook")])
        found = self.page("/books?topic=Distributed+Systems")
        self.assertIn("/books/2", found.links)
        self.assertNotIn("/books/3", found.links)
        self.assertIn("Only 1 left", found.text)
        for path in ("/books", "/books?q=", "/books?topic=", "/books?q=%20"):
            self.assertIn("All books", self.page(path).text)
        self.assertIn("There is none", self.page("/books?q=xyz").text)

    def test_results_are_paged(self) -> None:
        new = [{"title": f"Many {n}", "topic": "Zz", "cost": 1, "count": 1} for n in range(50)]
        self.ask("/import", "POST", {"books": new}, node="catalog-1", token=TOKEN)
        numbers = [*range(8, 58)]
        for first, extents in (
            ("/books?q=many", ["24 of 50 books", "24 more of 50 books", "2 more of 50 books"]),
            ("/books?topic=Zz", ["24 of 50 books", "24 more of 50 books", "2 more of 50 books"]),
        ):
            pages = [self.page(first)]
            while "next" in pages[-1].to:
                pages.append(self.page(pages[-1].to["next"]))
            for page, extent in zip(pages, extents, strict=True):
                self.assertIn(extent, page.text)
            self.assertEqual([n for page in pages for n in self.shown(page)], numbers)
            page = pages[-1]
            for before in (numbers[24:48], numbers[:24]):
                page = self.page(page.to["prev"])
                self.assertEqual(self.shown(page), before)
            self.assertNotIn("prev", page.to)
            self.assertEqual(self.shown(self.page(f"{first}&offset=24")), numbers[24:48])
            behind = self.page(f"{first}&after=99")
            self.assertIn("no more books", behind.text)
            self.assertIn(first, behind.links)
        for path in ("/books?q=many&after=x", "/books?topic=T&before=1-2", "/books?offset=10001"):
            self.page(path, 400)

    def shown(self, page: Reading) -> list[int]:
        prefix = "/books/"
        return [int(a.removeprefix(prefix)) for a in page.links if a.startswith(prefix)]

    def test_what_can_not_be_looked_for_is_said_in_a_sentence(self) -> None:
        for q, words in (
            ("x" * 201, "It is 201 characters long, and a search has 200 at most."),
            ("a " * 17, "It has 17 words, and a search has 16 at most."),
            ("\u200b", "There is no word in it."),
        ):
            page = self.page(f"/books?{urlencode({'q': q})}", 400)
            self.assertIn(words, page.text)
            self.assertEqual(page.forms["/books"], [("q", q)])
            self.assertNotIn("q:", page.text)

    def test_an_isbn_is_shown_and_found(self) -> None:
        self.update(4, isbn="0-306-40615-2")
        self.assertIn("ISBN 9780306406157", self.page("/books/4").text)
        self.assertNotIn("ISBN", self.page("/books/5").text)
        for typed in ("0306406152", "978-0-306-40615-7"):
            self.assertEqual(self.shown(self.page(f"/books?q={typed}")), [4])

    def test_a_book(self) -> None:
        self.update(4, author="Julia & Child", cost=123456)
        page = self.page("/books/4")
        for words in ("Cooking for the Impatient", "Julia & Child", "$1,234.56", "7 in stock"):
            self.assertIn(words, page.text)
        self.assertIn("/books?q=Julia+Child", page.links)
        self.assertEqual(page.forms["/buy"], self.form_of(4, 123456))

    def test_an_author_with_many_names_or_none(self) -> None:
        for author, link in (
            ("A " * 20 + "B", f"/books?q={'+'.join('A' * 16)}"),
            ("!!! 東京", "/books?q=%E6%9D%B1%E4%BA%AC"),
        ):
            self.update(4, author=author)
            self.assertIn(link, self.page("/books/4").links)
            self.page(link)
        self.update(4, author="!!!")
        page = self.page("/books/4")
        self.assertIn("by !!!", page.text)
        self.assertNotIn("/books?q=", "".join(page.links))

    def test_a_search_that_finds_nothing_leads_on(self) -> None:
        page = self.page("/books?q=impatient+graduates")
        self.assertIn("/books?q=impatient", page.links)
        self.assertIn("/books?q=graduates", page.links)
        self.assertNotIn("/books?topic=", "".join(page.links))
        self.assertIn("There is none. You could", self.page("/books?topic=x").text)

    def test_topics_that_fit_the_words(self) -> None:
        self.assertIn("/books?topic=Distributed+Systems", self.page("/books?q=systems+dist").links)
        self.assertIn("/books?topic=Undergraduate+School", self.page("/books?q=school+cook").links)
        self.assertNotIn("topic=", "".join(self.page("/books?q=cook").links))
        self.update(1, topic="電子計算機, Ökonomie")
        for typed in ("計算", "okonomie"):
            links = self.page(f"/books?q={quote(typed)}").links
            self.assertIn(f"/books?{urlencode({'topic': '電子計算機, Ökonomie'})}", links)
        self.update(1, topic="Distributed Systems")
        self.assertEqual(self.verdict("/books?q=new"), "miss")
        self.assertEqual(self.verdict("/books?q=new"), "hit")
        new = [{"title": "A", "topic": "New Things", "cost": 1, "count": 1}]
        self.ask("/import", "POST", {"books": new}, node="catalog-1", token=TOKEN)
        self.assertIn("/books?topic=New+Things", self.page("/books?q=new").links)

    def form_of(self, book: int, cost: int) -> Fields:
        return [("book", str(book)), ("cost", str(cost)), ("key", ""), ("quantity", "1")]

    def test_a_book_that_is_sold_out_or_unknown(self) -> None:
        self.update(4, count=0)
        page = self.page("/books/4")
        self.assertIn("Out of stock", page.text)
        self.assertNotIn("/buy", page.forms)
        self.assertIn("/books?topic=Undergraduate+School", page.links)
        self.assertIn("There is no such page", self.page("/books/99", 404).text)
        self.assertIn("is not a number", self.page("/books/01", 400).text)
        self.assertIn("There is no such page", self.page(f"/receipt/{'a' * 32}", 404).text)

    def test_a_path_that_nothing_has_is_a_page_for_browsers_only(self) -> None:
        response = self.send("/nowhere", Accept="text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        self.assertIn("There is no such page", self.reading(response, 404).text)
        for accept in ("application/json", "*/*"):
            self.assert_error(self.send("/nowhere", Accept=accept), 404, "not_found")

    def test_titles_are_text(self) -> None:
        title = "<script>alert('x')</script> & \"more\" {{ 1 + 1 }}"
        self.update(4, title=title, author="<b>", topic="<i>\"'")
        for path in ("/", "/books?q=script", "/books/4"):
            body = self.send(path).body.decode()
            self.assertNotIn("<script>", body)
            self.assertNotIn("<b>", body)
            self.assertNotIn("<i>", body)
            self.assertIn("{{ 1 + 1 }}", Reading(body).text)
        self.assertNotIn("<x>", self.send("/books?q=%3Cx%3E").body.decode())

    def test_they_are_cached_and_dropped_as_what_they_show(self) -> None:
        paths = ["/", "/books/4", "/books/5", "/books?q=cook", "/books?topic=Distributed+Systems"]
        for path in paths:
            self.assertEqual([self.verdict(path) for _ in range(2)], ["miss", "hit"], path)
        self.buy(4)
        self.assertEqual([self.verdict(path) for path in paths],
                         ["miss", "miss", "hit", "miss", "hit"])  # fmt: skip
        self.assertIn("6 in stock", self.page("/books/4").text)
        self.update(1, topic="A new topic")
        for path in ("/", "/books?q=cook"):
            self.assertEqual(self.verdict(path), "miss")
        self.assertIn("/books?topic=A+new+topic", self.page("/").links)
        hit = self.send("/books/5")
        self.assertEqual(hit.headers["X-Cache"], "hit")
        self.reading(hit)
        again = self.send("/books/5", If_None_Match=hit.headers["Etag"])
        self.assertEqual((again.code, again.body), (304, b""))
        self.assertEqual(self.ask("/info/5").headers["X-Cache"], "miss")

    def test_what_is_for_everybody_has_nothing_of_a_visitor(self) -> None:
        self.cookies["basket"] = Basket(lines={4: (2, 20)}).text()
        before = [self.send(path).body for path in ("/", "/books/4", "/books?q=cook")]
        self.cookies.clear()
        self.assertEqual(
            before, [self.send(path).body for path in ("/", "/books/4", "/books?q=cook")]
        )


class BuyingTest(PagesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.page("/confirm?book=4&quantity=1&cost=20&key=first")  # which has a cookie for all

    def test_the_key_is_of_the_visitors_own_cookie(self) -> None:
        """A link's author can't know by which key its order may be asked for."""
        link = "/confirm?book=4&quantity=1&cost=20&key=evilkey"
        form = self.page(link).forms["/buy"]
        receipt = self.goes(self.send("/buy", form))
        self.assertEqual(self.goes(self.send("/buy", form)), receipt)
        self.assertEqual(self.stock(4), 6)
        self.assertFalse(self.buy(4, Idempotency_Key="evilkey")["replayed"])
        self.cookies.clear()
        self.page(link)
        self.assertNotEqual(self.goes(self.send("/buy", form)), receipt)  # of somebody else
        keys = {row[1] for row in self.shop.rows("catalog-1", "sales")}
        self.assertEqual(len(keys), 3)
        self.assertIn("evilkey", keys)  # bought under it by the link's author

    def test_without_a_cookie_nothing_is_bought_and_the_next_try_has_it(self) -> None:
        wanted = self.wanted(4, 1, 20, "k")
        for value in ("", "short", "x" * 32):
            self.cookies = {"visitor": value} if value else {}
            response = self.send("/buy", wanted)
            self.assertEqual((response.code, self.stock(4)), (307, 7))
            self.assertIn("httponly", response.headers["Set-Cookie"].lower())
        self.cookies.clear()  # where the browser keeps none
        page = self.reading(self.send(response.headers["Location"], wanted), 400)
        self.assertIn("allow cookies", page.text)
        self.assertEqual(self.stock(4), 7)
        receipt = self.goes(self.send("/buy", page.forms["/buy"]))
        self.cookies.clear()
        where = self.send("/buy", wanted).headers["Location"]
        self.assertNotEqual(self.goes(self.send(where, wanted)), receipt)
        self.assertRegex(receipt, "^/receipt/")

    def test_the_log_shows_no_key(self) -> None:
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            for path in ("/confirm?book=4&quantity=1&cost=20&key=evilkey", "/books/4?key=evilkey",
                         "/books/4?key=evilkey", "/info/4?KEY=evilkey", "/nothing?a=b&key=evilkey",
                         "/books/4?%6bEy=evilkey", "/books/4?%6bEy=evilkey",
                         "/books/4?x=1&Key=evilkey", "/books/4?x=1&Key=evilkey"):  # fmt: skip
                self.send(path)
            self.shop.write_logs()
        self.assertGreaterEqual("\n".join(logs.output).count("\n"), 7)
        self.assertNotIn("evilkey", "".join(logs.output))
        self.assertIn("/confirm?book=4&quantity=1&cost=20&key=… 200", "".join(logs.output))

    def test_without_a_script_a_purchase_is_asked_about_once_and_made_once(self) -> None:
        asks = self.goes(self.send("/buy", self.wanted(4, 2, 20)))
        page = self.page(asks)
        self.assertIn("Buy for $0.40", page.text)
        self.assertEqual(self.stock(4), 7)
        form = page.forms["/buy"]
        self.assertEqual(form, self.page(asks).forms["/buy"])  # a reload keeps the key
        receipts = {self.goes(self.send("/buy", form)) for _ in range(3)}
        self.assertEqual(self.stock(4), 5)
        [receipt] = receipts
        for _ in range(2):
            text = self.page(receipt).text
            self.assertIn("Thank you", text)
            self.assertIn("Cooking for the Impatient Undergrad 2 $0.20 $0.40 In all $0.40", text)
            self.assertRegex(text, r"\d+ \w+ \d{4}, \d\d:\d\d UTC")
        self.assertEqual(receipt.rpartition("/")[2], self.shop.rows("order-1", "orders")[0][0])

    def test_with_a_key_it_is_bought_at_once(self) -> None:
        where = self.goes(self.send("/buy", self.wanted(4, 1, 20, "k")))
        self.assertRegex(where, "^/receipt/[0-9a-f]{32}$")

    def test_a_changed_price_is_asked_about(self) -> None:
        self.update(4, cost=25)
        asks = self.goes(self.send("/buy", self.wanted(4, 2, 20, "k")))
        page = self.page(asks)
        self.assertIn("it was $0.20, and is $0.25 now", page.text)
        self.assertEqual(self.stock(4), 7)
        form = dict(page.forms["/buy"])
        self.assertEqual((form["cost"], form["key"]), ("25", "k"))
        receipt = self.goes(self.send("/buy", page.forms["/buy"]))
        self.assertIn("In all $0.50", self.page(receipt).text)

    def test_out_of_stock_says_what_is_left(self) -> None:
        page = self.page(self.goes(self.send("/buy", self.wanted(3, 3, 50, "k"))))
        self.assertIn("You asked for 3 copies. Only 2 are left", page.text)
        self.assertEqual(dict(page.forms["/buy"])["quantity"], "2")
        self.send("/buy", page.forms["/buy"])
        page = self.page(self.goes(self.send("/buy", self.wanted(3, 1, 50, "l"))))
        self.assertIn("Out of stock", page.text)
        self.assertNotIn("/buy", page.forms)
        self.assertIn("/books?topic=Undergraduate+School", page.links)

    def test_the_same_key_for_another_purchase(self) -> None:
        self.send("/buy", self.wanted(4, 1, 20, "k"))
        page = self.reading(self.send("/buy", self.wanted(4, 2, 20, "k")), 422)
        self.assertIn("This order was made before", page.text)
        self.assertEqual(self.stock(4), 6)

    def test_malformed_forms(self) -> None:
        good = dict(self.wanted(4, 1, 20, "k"))
        for change, words in (
            ({"quantity": "0"}, "quantity: must be from 1"),
            ({"quantity": "1.5"}, "quantity: '1.5' is not a number"),
            ({"book": "x"}, "book: 'x' is not a number"),
            ({"cost": "-1"}, "cost: '-1' is not a number"),
            ({"key": "a b"}, "Idempotency-Key: must be"),
            ({"quantity": "\x00"}, "is not a number"),
        ):
            page = self.reading(self.send("/buy", [*{**good, **change}.items()]), 400)
            self.assertIn(words, page.text.replace("&#x27;", "'"))
        missing = [(name, value) for name, value in good.items() if name != "cost"]
        self.assertIn("cost: is missing", self.reading(self.send("/buy", missing), 400).text)
        self.reading(self.send("/buy", [*good.items(), ("book", "5")]), 400)
        self.reading(self.send("/buy", [("book", "99"), *[*good.items()][1:]]), 404)
        for path in ("/confirm", "/confirm?book=4&quantity=1&cost=20", "/confirm?book=4&key=k"):
            self.page(path, 400)
        self.page("/buy", 405)
        response = self.ask("/buy", "POST", {"book": 4})
        self.assertEqual(response.code, 415)
        self.assertEqual(self.stock(4), 7)

    def test_another_site_may_send_nothing(self) -> None:
        for headers in (
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://["},
        ):
            for path in ("/buy", "/basket", "/basket/buy", f"/receipt/{'0' * 32}/undo"):
                response = self.send(path, self.wanted(4, 1, 20, "k"), **headers)
                self.assertIn("another site", self.reading(response, 403).text)
            response = self.ask("/purchase/4", "PUT", **headers)
            self.assert_error(response, 403, "forbidden")
        own = self.get_url("").rstrip("/")
        for headers in ({"Sec_Fetch_Site": "same-origin"}, {"Origin": own}):
            self.goes(self.send("/buy", self.wanted(4, 1, 20, "k"), **headers))
        self.assertEqual(self.stock(4), 6)


class NobodyThereTest(PagesTestCase):
    settings: ClassVar = {"pool": {"write_deadline_s": 0.3, "write_attempt_s": 0.3,
                                   "read_deadline_s": 0.3, "read_attempt_s": 0.3}}  # fmt: skip

    def test_a_page_that_says_so_and_what_to_do(self) -> None:
        self.page("/confirm?book=4&quantity=2&cost=20&key=k")
        for name in ("order-1", "order-2"):
            self.io_loop.run_sync(lambda name=name: self.shop.stop_node(name))
        wanted = self.wanted(4, 2, 20, "k")
        response = self.send("/buy", wanted)
        page = self.reading(response, 503)
        self.assertIn("Nothing was bought", page.text)
        self.assertEqual(response.headers["Retry-After"], "1")
        self.assertEqual(page.forms["/buy"], wanted)  # what "Try again" sends, with the same key
        for name in ("catalog-1", "catalog-2"):
            self.io_loop.run_sync(lambda name=name: self.shop.stop_node(name))
        page = self.page("/books/5", 503)
        self.assertIn("/books/5", page.links)


class AssetsTest(PagesTestCase):
    def test_each_may_be_kept_for_ever_under_its_own_name(self) -> None:
        for asset in assets().values():
            response = self.send(asset.url)
            self.assertEqual((response.code, response.body), (200, asset.content))
            self.assertEqual(response.headers["Content-Type"], asset.kind)
            self.assertIn("immutable", response.headers["Cache-Control"])
            bare = self.send(urlsplit(asset.url).path)
            self.assertEqual(bare.headers["Cache-Control"], "no-cache")
        self.assertEqual(self.send("/static/none.css").code, 404)
        self.assertEqual(self.send("/static/..%2Fpage.py").code, 404)

    def test_nothing_on_a_page_is_inline_or_from_elsewhere(self) -> None:
        self.assertNotIn("unsafe", CONTENT_POLICY)
        for path in PAGES.parent.glob("*/templates/*"):
            text = path.read_text("utf-8")
            self.assertNotRegex(text, r"<style|<script(?! src=)|\sstyle=|\son\w+=|javascript:")
            self.assertNotRegex(text, r"https?://")
        for path in PAGES.parent.glob("*/static/*"):
            text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
            self.assertNotRegex(text, r"https?://|eval\(|innerHTML")


class LooksTest(PagesTestCase):
    def test_addresses(self) -> None:
        link = rendering.link("/books", q="a&b ü", topic=None, offset=0)
        self.assertEqual(parse_qs(urlsplit(link).query), {"q": ["a&b ü"], "offset": ["0"]})
        self.assertEqual(rendering.link("/books", q=None), "/books")
        self.assertTrue(re.fullmatch(r"/books\?q=a%26b\+%C3%BC&offset=0", link), quote(link))
