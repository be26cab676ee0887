"""The lines of a sale, as an order node sends them to a catalog node."""

from __future__ import annotations

import unittest
from typing import Any

from bazar.errors import BadRequest
from handlers.catalog.writes import SoldLines
from handlers.kinds import MAX_ID
from handlers.validation import MAX_LINES, MAX_QUANTITY
from storage.catalog import MAX_AMOUNT

LINE = {"book": 4, "quantity": 2, "cost": 20}


class SoldLinesTest(unittest.TestCase):
    def read(self, value: Any) -> Any:
        return SoldLines()(value, "lines")

    def test_every_sale_comes_by_what_is_as_it_must_be_is_not_made_anew(self) -> None:
        for lines in (
            [LINE],
            [{"book": 4, "quantity": 2}],
            [{"book": 0, "quantity": 1, "cost": 0}],
            [{"book": MAX_ID, "quantity": MAX_QUANTITY, "cost": MAX_AMOUNT}],
            [{"book": book, "quantity": 1} for book in range(MAX_LINES)],
        ):
            self.assertIs(self.read(lines), lines, lines)

    def test_what_an_older_node_leaves_out_is_as_declared(self) -> None:
        self.assertEqual(self.read([{"book": 4}]), [{"book": 4, "quantity": 1}])

    def test_all_else_is_refused_by_its_place(self) -> None:
        for wrong, place in (
            (None, "lines: must be a list"),
            ({"book": 4}, "lines: must be a list"),
            ((LINE,), "lines: must be a list"),
            ([], "lines: must be a list of 1 to"),
            ([{"book": book, "quantity": 1} for book in range(MAX_LINES + 1)], "lines: must be"),
            ([LINE, {**LINE, "cost": 21}], r"lines\[1\]: book 4 is in lines\[0\] already"),
            ([5], r"lines\[0\]: must be a JSON object"),
            ([LINE, [4, 2]], r"lines\[1\]: must be a JSON object"),
            ([{**LINE, "title": "x"}], r"lines\[0\]: 'title' is unknown"),
            ([{"quantity": 2}], r"lines\[0\]: book is missing"),
            ([{**LINE, "book": "4"}], r"lines\[0\]\.book"),
            ([{**LINE, "book": True}], r"lines\[0\]\.book"),
            ([{**LINE, "book": -1}], r"lines\[0\]\.book"),
            ([{**LINE, "book": MAX_ID + 1}], r"lines\[0\]\.book"),
            ([{**LINE, "quantity": "2"}], r"lines\[0\]\.quantity"),
            ([{**LINE, "quantity": 2.0}], r"lines\[0\]\.quantity"),
            ([{**LINE, "quantity": 0}], r"lines\[0\]\.quantity"),
            ([{**LINE, "quantity": MAX_QUANTITY + 1}], r"lines\[0\]\.quantity"),
            ([{**LINE, "cost": None}], r"lines\[0\]\.cost"),
            ([{**LINE, "cost": 20.0}], r"lines\[0\]\.cost"),
            ([{**LINE, "cost": -1}], r"lines\[0\]\.cost"),
            ([{**LINE, "cost": MAX_AMOUNT + 1}], r"lines\[0\]\.cost"),
        ):
            with self.assertRaisesRegex(BadRequest, f"^{place}"):
                self.read(wrong)
