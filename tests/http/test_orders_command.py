"""`python -m bazar orders`, as its keeper types it, of a shop in this process."""

from __future__ import annotations

import argparse
import csv
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

from bazar import cli
from bazar.cli import orders
from bazar.errors import BadRequest, Unavailable
from storage import order_pages
from tests.http.shop import TOKEN, ShopTestCase

FORMULA = '=HYPERLINK("http://evil";"Märchen"), 2'


class OrdersCommandTest(ShopTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.dict("os.environ", {"BAZAR_TOKEN": TOKEN}))
        self.update(7, title=FORMULA)
        lines = {"lines": [{"book": 4, "quantity": 3}, {"book": 7}]}
        basket = json.loads(self.ask("/purchase", "POST", lines).body)
        others = [self.buy(5, body={"quantity": 2}) for _ in range(4)]
        self.ids = [one["order_id"] for one in (basket, *others)]
        cancelled = {"lines": [{"book": 4, "quantity": 2}]}
        path = f"/orders/{self.ids[0]}/cancel"
        self.assertEqual(self.ask(path, "POST", cancelled, token=TOKEN).code, 200)
        self.settle()

    def told(self, *words: str, encoding: str = "utf-8") -> tuple[str, str]:
        """What the command prints, and what it says beside."""
        parser = argparse.ArgumentParser()
        orders.add_flags(parser)
        flags = parser.parse_args(words)
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")

        async def run() -> int:
            with cli.Shop(self.shop.config) as shop:
                return await orders.run(shop, flags)

        with redirect_stdout(out), redirect_stderr(io.StringIO()) as err:
            self.assertEqual(self.io_loop.run_sync(run), 0)
        out.seek(0)
        return out.read(), err.getvalue()

    def test_a_table_newest_first_and_what_it_comes_to(self) -> None:
        for most in (500, 2, 1):
            with mock.patch.object(orders, "MAX_LISTED", most):
                text, _ = self.told()
            head, *rows, totals = text.splitlines()
            self.assertEqual(head.split("  ")[0], "sold at (UTC)")
            self.assertEqual([row.split()[2] for row in rows], self.ids[::-1])
            self.assertEqual(rows[-1].split()[3:6], ["4", "25.60", "0.40"])
            self.assertTrue(
                rows[-1].endswith(f"3 × Cooking for the Impatient Undergrad, 1 × {FORMULA}")
            )
            self.assertEqual(rows[0].split()[3:6], ["2", "24.00", "-"])
            self.assertEqual(
                totals, "orders: 5; copies: 12; cost: 121.60; cancelled copies: 2; refund: 0.40"
            )

    def test_rows_for_a_spreadsheet_which_runs_nothing_of_them(self) -> None:
        text, totals = self.told("--csv")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual([row["order_id"] for row in rows], [*self.ids[:0:-1], *self.ids[:1] * 2])
        *_, cooking, formula = rows
        self.assertEqual(
            (cooking["book"], cooking["quantity"], cooking["cancelled"]), ("4", "3", "2")
        )
        self.assertEqual((formula["title"], formula["unit_cost"]), (f"'{FORMULA}", "25.00"))
        self.assertEqual(text.count("\r\n"), 7)
        self.assertNotIn("\n", text.replace("\r\n", ""))
        self.assertIn("orders: 5; copies: 12", totals)

    def test_of_a_time_and_by_words(self) -> None:
        sold_at = self.get(f"/orders/{self.ids[2]}")["sold_at"]
        for words, found in (
            (("--since", "2000-01-01", "--until", "2000-01-02"), []),
            (("--until", "2999-01-01", "--words", "impatient", "cook"), [0]),
            (("--words", "märchen"), [0]),
            (("--words", self.ids[3][:8]), [3]),
            (("--words", "7"), [0]),
            (("--cancelled",), [0]),
            (("--no-cancelled", "--words", "cook"), []),
        ):
            for row, at in zip(self.told(*words)[0].splitlines()[1:-1], found, strict=True):
                self.assertIn(self.ids[at], row)
        before, behind = self.told("--until", sold_at)[0], self.told("--since", sold_at)[0]
        self.assertIn(self.ids[2], behind)
        self.assertNotIn(self.ids[2], before)

    def test_it_looks_to_the_end(self) -> None:
        with mock.patch.multiple(order_pages, MOST_LOOKED_AT=1, SLICE=1):
            text, _ = self.told("--words", "cook")
        self.assertIn(self.ids[0], text)
        self.assertIn("orders: 1;", text)

    def test_letters_that_the_terminal_lacks(self) -> None:
        text, _ = self.told("--words", "cook", encoding="ascii")
        self.assertIn("M\\xe4rchen", text)

    def test_what_is_refused(self) -> None:
        for words, said in (
            (("--since", "yesterday"), "--since: 'yesterday' is no date as 2026-11-29"),
            (("--until", "2026-02-30"), "--until: '2026-02-30' is no moment"),
            (("--words", " "), "--words: must have 1 to 200 characters"),
            (("--since", "2027-01-01", "--until", "2026-01-01"), "since: is later than until"),
        ):
            with self.assertRaisesRegex(BadRequest, said):
                self.told(*words)

    def test_where_one_node_is_gone_and_where_all_are(self) -> None:
        self.io_loop.run_sync(lambda: self.shop.stop_node("order-1"))
        self.assertIn("orders: 5;", self.told()[0])
        self.io_loop.run_sync(lambda: self.shop.stop_node("order-2"))
        with self.assertRaisesRegex(
            Unavailable, "no order node answers on port .*: start the shop"
        ):
            self.told()
