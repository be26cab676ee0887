"""Tables for the keeper's spreadsheet: whole, or refused, and nothing in them runs."""

from __future__ import annotations

import csv
import io
import json
from unittest import mock

from handlers.keeper import table
from storage import exports
from tests.http import shop
from tests.http.test_keeper_orders import KeeperOrdersTestCase

FILES = ("/keeper/books.csv", "/keeper/orders.csv")


class TableTestCase(KeeperOrdersTestCase):
    def rows(self, path: str) -> list[dict[str, str]]:
        response = self.send(path)
        self.assertEqual(response.code, 200, response.body)
        self.assertEqual(response.headers["Content-Type"], "text/csv; charset=utf-8")
        name = path.removeprefix("/keeper/").partition("?")[0]
        self.assertEqual(response.headers["Content-Disposition"], f'attachment; filename="{name}"')
        self.assertTrue(response.body.startswith(b"\xef\xbb\xbf"))  # as Excel wants it
        return [*csv.DictReader(io.StringIO(response.body.decode("utf-8-sig")))]

    def refused(self, path: str) -> str:
        return self.reading(self.send(path), 400).text


class OrdersTest(TableTestCase):
    def test_each_line_is_a_row_and_none_is_left_out(self) -> None:
        made = [self.buy_lines((4, 1)), self.buy_lines((7, 2), (5, 1))]
        self.cancel(made[1], 7, 1)
        with mock.patch.object(table, "ON_PAGE", 1):
            rows = self.rows("/keeper/orders.csv")
        self.assertEqual([row["order_id"] for row in rows], [made[1], made[1], made[0]])
        self.assertEqual([row["cancelled"] for row in rows], ["1", "0", "0"])
        self.assertEqual([row["unit_cost"] for row in rows], ["25.00", "12.00", "0.20"])
        self.assertEqual(self.rows("/keeper/orders.csv?q=nothing"), [])
        [row] = self.rows("/keeper/orders.csv?q=cooking")
        self.assertEqual(row["order_id"], made[0])

    def test_it_has_no_place_to_begin_at(self) -> None:
        """It would lack what stands before, and look whole."""
        self.buy_lines((4, 1))
        self.assertEqual(len(self.rows("/keeper/orders.csv?before=0-0")), 1)

    def test_more_than_one_table_holds_is_refused_and_not_cut_off(self) -> None:
        for _ in range(3):
            self.buy_lines((7, 1))
        bounds = {"MOST_RECORDS": 2, "MOST_BYTES": 100, "MOST_PAGES": 2}
        for name, most in bounds.items():
            with mock.patch.object(table, "ON_PAGE", 1), mock.patch.object(table, name, most):
                text = self.refused("/keeper/orders.csv")
            self.assertIn("orders.csv: that is more than one table holds, or looks through", text)
            self.assertIn("`python -m bazar orders --csv`", text)
        for name, most in {"MOST_RECORDS": 3, "MOST_PAGES": 3}.items():
            with mock.patch.object(table, "ON_PAGE", 1), mock.patch.object(table, name, most):
                self.assertEqual(len(self.rows("/keeper/orders.csv")), 3)

    def test_the_command_that_has_no_bound_asks_for_the_same(self) -> None:
        self.update(7, title="The Hitchhiker's Guide")
        self.buy_lines((7, 1))
        with mock.patch.object(table, "MOST_RECORDS", 0):
            text = self.refused(
                "/keeper/orders.csv?since=2020-01-01&until=2099-02-28&q=guide+hitchhiker's"
            )
        # Until the day after: there the end is not inclusive.
        days, words = "--since 2020-01-01 --until 2099-03-01", """guide 'hitchhiker'"'"'s'"""
        self.assertIn(f"`python -m bazar orders --csv {days} --words {words}`", text)

        with mock.patch.object(table, "MOST_RECORDS", 0):
            for query, flags in (
                ("cancelled=none", " --no-cancelled"),
                ("cancelled=none&until=9999-12-31", " --no-cancelled"),  # there is no next day
            ):
                text = self.refused(f"/keeper/orders.csv?{query}")
                self.assertIn(f"`python -m bazar orders --csv{flags}`", text)
        self.assertEqual(len(self.rows("/keeper/orders.csv?until=9999-12-31")), 1)

    def test_what_is_wrong_with_the_question(self) -> None:
        for query in ("since=x", "since=2026-11-29&until=2026-11-28", "q=%E2%80%8B", "cancelled=x"):
            self.refused(f"/keeper/orders.csv?{query}")
        response = self.ask("/keeper/orders.csv?since=x", token=shop.TOKEN)
        self.assertIn("is no day such as", json.loads(response.body)["error"])


class BooksTest(TableTestCase):
    def numbers(self, query: str = "") -> list[int]:
        return [int(row["id"]) for row in self.rows(f"/keeper/books.csv{query}")]

    def test_it_has_what_the_page_has(self) -> None:
        self.update(2, isbn="0-306-40615-2", author="Ada")
        with mock.patch.object(table, "ON_PAGE", 2):
            for query, numbers in (
                ("", [1, 2, 3, 4, 5, 6, 7]),
                ("?q=cook", [4]),
                ("?q=3", [3, 5]),
                ("?q=7", [7]),
                ("?q=99", []),
                ("?q=0306406152", [2]),
                ("?after=4&offset=2", [1, 2, 3, 4, 5, 6, 7]),
            ):
                self.assertEqual(self.numbers(query), numbers, query)
        row = self.rows("/keeper/books.csv")[1]
        self.assertEqual(tuple(row), exports.BOOK)
        self.assertEqual(
            (row["title"], row["author"], row["isbn"], row["cost"], row["count"]),
            ("RPCs for Noobs", "Ada", "9780306406157", "5.06", "1"),
        )
        [link] = [a for a in self.page("/keeper/books?q=cook").links if ".csv" in a]
        self.assertEqual(link, "/keeper/books.csv?q=cook")

    def test_more_than_one_table_holds_is_refused_and_not_cut_off(self) -> None:
        with mock.patch.object(table, "MOST_RECORDS", 6):
            text = self.refused("/keeper/books.csv")
            self.assertEqual(self.numbers("?q=cook"), [4])
        self.assertIn("books.csv: that is more than one table holds", text)
        self.assertIn("`python -m bazar export books --format csv`", text)
        for q in ("a+" * 17, "%E2%80%8B", "x" * 201):
            self.assertRegex(self.refused(f"/keeper/books.csv?q={q}"), "a search has|no word in it")


class SpreadsheetTest(TableTestCase):
    def test_what_it_would_run_is_a_text(self) -> None:
        for title in ("=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1"):
            self.update(4, title=title, author="=2")
            self.buy_lines((4, 1))
            [line, *_] = self.rows("/keeper/orders.csv")
            book = self.rows("/keeper/books.csv")[3]
            self.assertEqual((line["title"], book["title"]), (f"'{title}", f"'{title}"))
            self.assertEqual(book["author"], "'=2")

    def test_they_are_for_the_keeper_alone_and_in_no_cache(self) -> None:
        for path in FILES:
            self.assertEqual(self.send(path).headers["Cache-Control"], "no-store")
            self.assertEqual(self.send(path, Sec_Fetch_Site="cross-site").code, 200)
        self.cookies.clear()
        for path in FILES:
            self.assertEqual(self.send(path).code, 401, path)
