"""What the keeper does with books: finding, adding, changing, restocking, and nothing twice."""

from __future__ import annotations

from typing import ClassVar
from unittest import mock

from bazar.errors import Unavailable
from handlers.keeper import book
from tests.http import shop
from tests.http.keeper import KeeperTestCase
from tests.http.test_pages import Reading

NEW = {
    "title": "The Mythical Man-Month",
    "author": "Frederick P. Brooks, Jr.",
    "isbn": "0-201-83595-9",
    "topic": "Software",
    "cost": "39.99",
    "count": "10",
}


class KeeperBooksTestCase(KeeperTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.sign_in()

    def changing(self, number: int = 4, /, **typed: str) -> tuple[str, dict[str, str]]:
        return self.fill(self.keyed(f"/keeper/books/{number}"), "change", **typed)

    def restocking(self, count: str, number: int = 4) -> tuple[str, dict[str, str]]:
        return self.fill(self.keyed(f"/keeper/books/{number}"), "change", count_add=count)

    def adding(self, **typed: str) -> tuple[str, dict[str, str]]:
        return self.fill(self.keyed("/keeper/add"), **{**NEW, **typed})

    def typed(self, page: Reading, do: str | None = None) -> dict[str, str]:
        return self.form(page, do)[1]


class FindingTest(KeeperBooksTestCase):
    def found(self, query: str) -> list[int]:
        prefix = "/keeper/books/"
        rows = [a.removeprefix(prefix) for a in self.page(f"/keeper/books{query}").links]
        return [int(number) for number in rows if number.isdigit()]

    def test_by_words_by_number_and_by_isbn(self) -> None:
        self.update(2, isbn="0-306-40615-2")
        self.update(7, title="7 springs")  # found by its number and by its word, and shown once
        for q, numbers in (
            ("", [1, 2, 3, 4, 5, 6, 7]),
            ("?q=cook", [4]),
            ("?q=+cook+impatient+", [4]),
            ("?q=3", [3, 5]),  # the book of this number, and "Project 3"
            ("?q=7", [7]),
            ("?q=99", []),
            ("?q=978-0-306-40615-7", [2]),
            ("?q=0306406152", [2]),
        ):
            self.assertEqual(self.found(q), numbers, q)
        page = self.page("/keeper/books?q=cook")
        self.assertIn("4 Cooking for the Impatient Undergrad", page.text)
        self.assertIn("Undergraduate School $0.20 7", page.text)
        self.assertIn(("q", "cook"), page.forms["/keeper/books"])

    def test_nothing_found_and_nothing_to_look_for(self) -> None:
        page = self.page("/keeper/books?q=xyz")
        self.assertIn("There is none", page.text)
        self.assertIn("/keeper/add", page.links)
        for q in ("a+" * 17, "%E2%80%8B", "x" * 201):
            page = self.page(f"/keeper/books?q={q}", 400)
            self.assertRegex(page.text, "a search has|no word in it")
        self.page("/keeper/books?q=a&q=b", 400)

    def test_page_by_page(self) -> None:
        new = [{"title": f"Many {n}", "topic": "Zz", "cost": 1, "count": 1} for n in range(120)]
        self.ask("/import", "POST", {"books": new}, node="catalog-1", token=shop.TOKEN)
        for first, numbers in (
            ("/keeper/books", range(1, 128)),
            ("/keeper/books?q=many", range(8, 128)),
        ):
            pages = [self.page(first)]
            while "next" in pages[-1].to:
                pages.append(self.page(pages[-1].to["next"]))
            self.assertEqual(len(pages), 3)
            shown = [a for page in pages for a in page.links if a[-1:].isdigit()]
            shown = [a for a in shown if a.startswith("/keeper/books/")]
            self.assertEqual(shown, [f"/keeper/books/{number}" for number in numbers])
            back = self.page(self.page(pages[-1].to["prev"]).to["prev"])
            self.assertEqual(back.links, pages[0].links)

    def test_they_are_as_they_are_now_and_escaped(self) -> None:
        self.page("/keeper/books?q=cook")
        self.update(4, title="<script>Cook</script>", author="<b>", topic="<i>")
        body = self.send("/keeper/books?q=cook").body.decode()
        for tag in ("<script>C", "<b>", "<i>"):
            self.assertNotIn(tag, body)
        self.assertIn("<script>Cook</script> <b> <i>", Reading(body).text)


class AddingTest(KeeperBooksTestCase):
    def test_a_book_is_added_as_it_was_typed(self) -> None:
        said = self.told(self.press(self.adding(topic=" Software ")))
        self.assertIn("The book is in the shop now", said)
        self.assertIn("Number 8, 10 in stock at $39.99", said)
        expected = {**NEW, "isbn": "9780201835953", "cost": 3999, "count": 10}
        self.assertEqual(self.book(8), {**expected, "id": 8, "catalog_id": 3})
        self.goes(self.press(self.adding(title="Plain", author="", isbn="", cost="5", count="0")))
        self.assertEqual(self.book(9).keys() & {"author", "isbn"}, set())

    def test_pressed_twice_reloaded_or_gone_back_to_it_is_added_once(self) -> None:
        address = self.keyed("/keeper/add")
        filled = self.fill(address, **NEW)
        self.goes(self.press(filled))
        for again in (filled, self.fill(address, **NEW)):
            said = self.told(self.press(again))
            self.assertIn("was not done a second time", said)
            self.assertIn("Number 8, 10 in stock", said)
        self.assertEqual(self.get("/search?q=mythical"), [self.book(8)])

    def test_gone_back_for_another_book(self) -> None:
        """What is typed over a form that was sent is another book, once the keeper says so."""
        address = self.keyed("/keeper/add")
        self.goes(self.press(self.fill(address, **NEW)))
        page = self.reading(self.press(self.fill(address, **{**NEW, "title": "Peopleware"})), 422)
        self.assertIn("This form was sent before", page.text)
        self.assertEqual(self.get("/search?q=peopleware"), [])
        action, fields = self.form(page)
        self.assertEqual(fields, {**NEW, "title": "Peopleware"})
        self.assertIn("The book is in the shop now", self.told(self.press((action, fields))))

    def test_what_cannot_be_comes_back_with_the_reason_beside_it(self) -> None:
        wrong = {
            "title": "",
            "author": "a\u202eb",
            "isbn": "0-201-83595-8",
            "topic": "x\x00",
            "cost": "12.505",
            "count": "-1",
        }
        response = self.press(self.adding(**wrong))
        page = self.reading(response, 400)
        body = response.body.decode()
        self.assertEqual(self.typed(page), wrong)
        self.assertIn("<title>Error: Add a book", body)
        in_summary_and_beside = 2
        for name, reason in (
            ("title", "Nothing is typed here."),
            ("author", "Holds U+202E"),
            ("isbn", "'0-201-83595-8' is no ISBN"),
            ("topic", "Holds the control character U+0000."),
            ("cost", "'12.505' can be read in two ways: type 12505.00 if it has no cents."),
            ("count", "Must be from 0 to"),
        ):
            with self.subTest(name):
                self.assertIn(f"#{name}", page.links)  # in the summary
                self.assertIn(f'id="{name}-wrong"', body)
                self.assertRegex(body, rf'id="{name}"[^>]*aria-describedby="[^"]*{name}-wrong"')
                self.assertRegex(body, rf'id="{name}"[^>]*aria-invalid="true"')
                self.assertEqual(page.text.count(reason), in_summary_and_beside)
        self.assertEqual(self.get("/search?topic=software"), [])
        action, fields = self.form(page)
        self.goes(self.press((action, {**fields, **NEW})))  # put right, by the same form

    def test_a_book_that_is_there_already_is_named(self) -> None:
        self.goes(self.press(self.adding()))
        page = self.reading(self.press(self.adding(cost="1", count="3")), 409)
        self.assertIn("has this book already", page.text)
        self.assertIn("/keeper/books/8", page.links)
        self.assertEqual(self.typed(page), {**NEW, "cost": "1", "count": "3"})
        self.assertEqual(self.book(8)["count"], 10)
        action, fields = self.form(page)  # it is another one now, and nothing was done before
        self.goes(self.press((action, {**fields, "title": "The Second System"})))
        self.assertEqual(self.book(9)["title"], "The Second System")

    def test_topics_are_proposed_where_they_are_few(self) -> None:
        def proposed() -> int:
            return self.send(self.keyed("/keeper/add")).body.count(b"<option")

        self.assertEqual(proposed(), 2)
        new = [{"title": "T", "topic": f"Topic {n}", "cost": 1, "count": 1} for n in range(199)]
        self.ask("/import", "POST", {"books": new}, node="catalog-1", token=shop.TOKEN)
        self.assertEqual(proposed(), 0)


class ChangingTest(KeeperBooksTestCase):
    def test_each_field_is_changed_and_the_others_stay(self) -> None:
        for typed, field, value in (
            ({"title": " Cooking, revised "}, "title", "Cooking, revised"),
            ({"author": "Ada"}, "author", "Ada"),
            ({"isbn": "0-201-83595-9"}, "isbn", "9780201835953"),
            ({"topic": "Kitchen"}, "topic", "Kitchen"),
            ({"cost": "$1,234.50"}, "cost", 123450),
            ({"cost": "0,2"}, "cost", 20),
            ({"cost": "€ 12,50"}, "cost", 1250),
            ({"cost": "13.50 EUR"}, "cost", 1350),
        ):
            before = self.book(4)
            said = self.told(self.press(self.changing(**typed)))
            self.assertIn("The change is saved", said)
            topic = {"catalog_id": self.book(4)["catalog_id"]} if field == "topic" else {}
            self.assertEqual(self.book(4), {**before, field: value, **topic})
        self.goes(self.press(self.changing(author="", isbn="")))
        self.assertEqual(self.book(4).keys() & {"author", "isbn"}, set())

    def test_nothing_different_is_written_as_nothing(self) -> None:
        before = len(self.shop.rows("catalog-1", "log"))
        self.assertIn(
            "Nothing was different",
            self.told(self.press(self.changing(title=" Cooking for the Impatient Undergrad"))),
        )
        self.assertEqual(len(self.shop.rows("catalog-1", "log")), before)

    def test_what_nobody_can_type_any_more_stays_as_it_is(self) -> None:
        """Only what was touched is read: an old title that would be refused now does no harm."""
        self.update(4, cost=10**12)
        self.goes(self.press(self.changing(title="New")))
        self.assertEqual(self.book(4)["cost"], 10**12)

    def test_two_keepers_do_not_write_over_each_other(self) -> None:
        mine = self.changing(title="Mine", cost="3.00")
        theirs = self.changing(title="Theirs", author="Somebody")
        self.goes(self.press(theirs))
        page = self.reading(self.press(mine), 412)
        self.assertIn("Somebody else has changed this book meanwhile", page.text)
        self.assertIn("Title Cooking for the Impatient Undergrad Theirs Mine", page.text)
        self.assertIn("Author – Somebody not touched", page.text)
        self.assertNotIn("Price 0.20", page.text)  # nobody else has changed it
        self.assertEqual((self.book(4)["title"], self.book(4)["cost"]), ("Theirs", 20))
        action, fields = self.form(page, "change")
        typed = {name: fields[name] for name in ("title", "author", "cost", "topic")}
        self.assertEqual(
            typed,
            {
                "title": "Mine",
                "author": "Somebody",
                "cost": "3.00",
                "topic": "Undergraduate School",
            },
        )
        self.assertIn("The change is saved", self.told(self.press((action, fields))))
        now = self.book(4)
        self.assertEqual((now["title"], now["author"], now["cost"]), ("Mine", "Somebody", 300))

    def test_another_field_is_somebody_elses_change_too(self) -> None:
        mine = self.changing(cost="3.00")
        self.goes(self.press(self.changing(title="Theirs")))
        page = self.reading(self.press(mine), 412)
        self.assertIn("Title Cooking for the Impatient Undergrad Theirs not touched", page.text)
        self.goes(self.press(self.form(page, "change")))
        self.assertEqual((self.book(4)["title"], self.book(4)["cost"]), ("Theirs", 300))

    def test_a_sale_in_between_is_nobodys_change(self) -> None:
        filled = self.changing(title="Sold meanwhile")
        self.buy(4)
        self.goes(self.press(self.restocking("5")))
        self.assertIn("The change is saved", self.told(self.press(filled)))
        self.assertEqual((self.book(4)["title"], self.book(4)["count"]), ("Sold meanwhile", 11))

    def test_a_book_that_is_sold_all_the_time_is_asked_about_in_the_end(self) -> None:
        filled = self.changing(title="Sold meanwhile")
        self.buy(4)
        with mock.patch.object(book, "MOST_SALES_BETWEEN", 1):
            page = self.reading(self.press(filled), 412)
        self.assertIn("It is being sold all the time", page.text)
        action, fields = self.form(page, "change")
        self.assertEqual(fields["title"], "Sold meanwhile")
        self.assertIn("The change is saved", self.told(self.press((action, fields))))

    def test_sent_twice_it_is_done_once(self) -> None:
        for sold in (False, True):
            filled = self.changing(title=f"Once {sold}")
            if sold:
                self.buy(4)
            self.assertIn("The change is saved", self.told(self.press(filled)))
            before = len(self.shop.rows("catalog-1", "log"))
            self.assertIn("not done a second time", self.told(self.press(filled)))
            self.assertEqual(len(self.shop.rows("catalog-1", "log")), before)
        self.goes(self.press(self.changing(title="Later")))
        page = self.reading(self.press(filled), 412)  # not as if it were new
        self.assertIn("Later", page.text)
        self.assertEqual(self.book(4)["title"], "Later")

    def test_gone_back_and_typed_over(self) -> None:
        address = self.keyed("/keeper/books/4")
        first = self.fill(address, "change", cost="3.00")
        self.goes(self.press(first))
        page = self.reading(self.press((first[0], {**first[1], "cost": "4.00"})), 412)
        self.assertIn("Price 0.20 3.00 4.00", page.text)
        self.goes(self.press(self.form(page, "change")))
        self.assertEqual(self.book(4)["cost"], 400)

    def test_what_cannot_be_comes_back_and_still_knows_what_it_has_shown(self) -> None:
        filled = self.changing(title="Mine", cost="cheap")
        self.goes(self.press(self.changing(title="Theirs")))
        page = self.reading(self.press(filled), 400)
        self.assertIn("'cheap' is not a number: a price is such as 12.50", page.text)
        action, fields = self.form(page, "change")
        self.assertEqual(fields, filled[1])
        page = self.reading(self.press((action, {**fields, "cost": "3.00"})), 412)
        self.assertIn("Theirs Mine", page.text)

    def test_what_no_form_of_ours_has(self) -> None:
        action, fields = self.changing(title="T")
        for change in ({"do": "x"}, {"etag": "x"}, {"etag": '"x"'}):
            self.reading(self.press((action, {**fields, **change})), 400)
        for name in ("do", "etag", "title", "was-title"):
            page = self.reading(
                self.press((action, {k: v for k, v in fields.items() if k != name})), 400
            )
            self.assertIn(f"{name}: is missing", page.text)
        for address in ("/keeper/books/4", "/keeper/books/4?key=x", "/keeper/books/4?key="):
            self.reading(self.press((address, fields)), 400)
        self.assertIn("no such page", self.page("/keeper/books/99?key=" + "0" * 32, 404).text)
        self.reading(self.press((action.replace("/4", "/99"), fields)), 404)
        self.page("/keeper/books/04", 400)
        self.assertEqual(self.book(4)["title"], "Cooking for the Impatient Undergrad")

    def test_titles_are_text(self) -> None:
        self.goes(self.press(self.changing(title="\"><script>1</script>'", topic='<i>"')))
        address = self.keyed("/keeper/books/4")
        self.assertNotIn("<script>1", self.send(address).body.decode())
        self.assertEqual(self.fill(address, "change")[1]["title"], "\"><script>1</script>'")


class RestockingTest(KeeperBooksTestCase):
    def test_copies_come_and_go(self) -> None:
        for typed, count in (("5", 12), ("+3", 15), (" -2 ", 13), ("\N{MINUS SIGN}13", 0)):
            said = self.told(self.press(self.restocking(typed)))
            self.assertIn("The stock is changed", said)
            self.assertIn(f"{count} in stock", said)
            self.assertEqual(self.stock(4), count)

    def test_it_is_relative_to_what_there_is_by_then(self) -> None:
        forms = [self.restocking("5"), self.restocking("10")]
        self.buy(4)
        for filled in forms:
            self.goes(self.press(filled))
        self.assertEqual(self.stock(4), 21)

    def test_pressed_twice_reloaded_or_gone_back_to_it_is_done_once(self) -> None:
        address = self.keyed("/keeper/books/4")
        filled = self.fill(address, "change", count_add="5")
        self.goes(self.press(filled))
        for again in (filled, self.fill(address, "change", count_add="5")):
            self.assertIn("not done a second time", self.told(self.press(again)))
        self.assertEqual(self.stock(4), 12)
        page = self.reading(self.press(self.fill(address, "change", count_add="6")), 422)
        self.assertIn("This form was sent before", page.text)
        self.assertEqual(self.stock(4), 12)
        self.goes(self.press(self.form(page, "change")))
        self.assertEqual(self.stock(4), 18)

    def test_copies_and_a_change_in_one_form_are_both_done_and_once(self) -> None:
        address = self.keyed("/keeper/books/4")
        filled = self.fill(address, "change", count_add="4", title="Both")
        said = self.told(self.press(filled))
        self.assertIn("The change is saved, and the stock is changed", said)
        self.assertIn("not done a second time", self.told(self.press(filled)))
        self.assertEqual((self.stock(4), self.book(4)["title"]), (11, "Both"))
        self.goes(self.press(self.fill(address, "change", cost="3.00")))  # gone back
        self.assertEqual((self.stock(4), self.book(4)["cost"]), (11, 300))

    def test_where_one_of_both_cannot_be_neither_is_done_or_lost(self) -> None:
        for typed, status in (
            ({"count_add": "x", "title": "Mine"}, 400),
            ({"count_add": "4", "cost": "cheap"}, 400),
            ({"count_add": "-8", "title": "Mine"}, 409),
        ):
            before = self.book(4)
            page = self.reading(self.press(self.changing(**typed)), status)
            self.assertEqual(self.book(4), before)
            self.assertLessEqual(typed.items(), self.typed(page, "change").items())

    def test_where_another_keeper_stands_in_the_way_the_copies_are_said_to_be_there(self) -> None:
        mine = self.changing(count_add="4", title="Mine")
        self.goes(self.press(self.changing(title="Theirs")))
        for _ in range(2):
            page = self.reading(self.press(mine), 412)
            self.assertIn("The copies that you added are in stock. Nothing else", page.text)
        form = self.form(page, "change")
        self.assertEqual((form[1]["count_add"], form[1]["title"]), ("", "Mine"))
        self.goes(self.press(form))
        self.assertEqual((self.stock(4), self.book(4)["title"]), (11, "Mine"))

    def test_what_fails_half_way_is_sent_once_more(self) -> None:
        filled = self.changing(count_add="4", title="Mine")
        with mock.patch.object(book.BookPage, "_change", side_effect=Unavailable("away")):
            page = self.reading(self.press(filled), 504)
        self.assertNotIn("Nothing was changed", page.text)
        self.assertEqual(dict(page.forms[filled[0]]), filled[1])
        self.goes(self.press(filled))
        self.assertEqual((self.stock(4), self.book(4)["title"]), (11, "Mine"))

    def test_what_cannot_be_comes_back_with_the_reason(self) -> None:
        for typed, status, reason in (
            ("-8", 409, "Only 7 are there."),
            (str(10**12), 409, "More than the shop can count."),
            (str(10**13), 400, "Must be from -1000000000000 to 1000000000000."),
            ("0", 400, "0 changes nothing."),
            ("-0", 400, "0 changes nothing."),
            ("1.5", 400, "'1.5' is not a whole number such as 5"),
            ("--1", 400, "is not a whole number"),
            ("٣", 400, "is not a whole number"),
        ):
            page = self.reading(self.press(self.restocking(typed)), status)
            self.assertIn(reason.lower(), page.text.lower())
            self.assertEqual(self.typed(page, "change")["count_add"], typed)
            self.assertIn("#count_add", page.links)
        self.assertEqual(self.stock(4), 7)


class NobodyThereTest(KeeperBooksTestCase):
    settings: ClassVar = {"pool": {"write_deadline_s": 0.3, "write_attempt_s": 0.3,
                                   "read_deadline_s": 0.3, "read_attempt_s": 0.3}}  # fmt: skip

    def test_a_page_that_says_so_and_keeps_what_was_typed(self) -> None:
        filled = self.restocking("5")
        for name in ("catalog-1", "catalog-2"):
            self.io_loop.run_sync(lambda name=name: self.shop.stop_node(name))
        page = self.reading(self.press(filled), 503)
        self.assertIn("Nothing was changed", page.text)
        self.assertEqual(dict(page.forms[filled[0]]), filled[1])
        page = self.page("/keeper/books", 503)
        self.assertIn("/keeper/books", page.links)
