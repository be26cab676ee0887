"""Prices and numbers of copies as lists write them, and the one rule that decides of a column."""

from __future__ import annotations

import contextlib
import unittest

from hypothesis import given
from hypothesis import strategies as st

from bazar.amounts import NotAnAmount, Reading, price
from bazar.cli.importing.amounts import Evidence, decide, whole_number
from bazar.errors import BadRequest

SELF = Reading(None)


def column(
    *cells: str, name: str = "Price", cents: bool = False, told: str | None = None
) -> Reading:
    evidence = Evidence()
    for line, cell in enumerate(cells, 2):
        evidence.add(line, cell)
    return decide(evidence, name, cents, told)


class CellsTest(unittest.TestCase):
    def test_what_people_write(self) -> None:
        for cell, cents in (
            *(("12.99", 1299), ("12,99", 1299), ("12.9", 1290), ("12", 1200), ("0", 0)),
            *(("1.234,56", 123456), ("1,234.56", 123456), ("1 234,56", 123456)),
            *(("1'234.50", 123450), ("1’234.50", 123450), ("12\u202f345,6", 1234560)),
            *(("1.234.567", 123456700), ("12,34,567.50", 123456750), ("1234567.8", 123456780)),
            *(("$12.99", 1299), ("12.99 EUR", 1299), ("€ 12,99", 1299), ("12,99€", 1299)),
            *(("US$ 12.99", 1299), ("R$ 45,90", 4590), ("Rs.450", 45000), ("CHF 12.50", 1250)),
            *(("12,-", 1200), ("12,– €", 1200), ("129:-", 12900), ("CHF 12.—", 1200)),
            *(("٥٫٥٠", 550), ("١٬٢٣٤٫٥ ﷼", 123450), ("१२.५०", 1250)),
            *(("1200円", 120000), ("１２００", 120000), ("zł 12,99", 1299), ("450 руб.", 45000)),
            *((".99", 99), ("$.99", 99), ("0.999000", None), ("12.990", None), ("12.9900", 1299)),
        ):
            with self.subTest(cell):
                if cents is None:
                    self.assertRaises(NotAnAmount, price, cell, SELF)
                else:
                    self.assertEqual(price(cell, SELF), cents)

    def test_what_is_no_price(self) -> None:
        for cell, why in (
            *(
                ("free", "is not a number"),
                ("12 pages", "is not a number"),
                ("12 ol", "is not a number"),  # a part of the names of currencies
                ("", "is not a number"),
            ),
            *(("12.99 - 15.99", "is not a number"), ("12,99/13", "is not a number")),
            *(("(12.99)", "is negative"), ("1.2.3", "is not a number")),
            *(("12,3456.78", "is not a number"), ("1,23,45", "is not a number")),
            *(("-3", "is negative"), ("$-3.50", "is negative"), ("\u22123", "is negative")),
            *(
                ("3.50-", "is negative"),
                ("1.999,999", "has parts of a cent"),
                ("9" * 30, "has more than 18 digits"),
            ),
            *(("1.234", "can be read in two ways"), ("12,990", "can be read in two ways")),
        ):
            with self.subTest(cell), self.assertRaisesRegex(NotAnAmount, why):
                price(cell, SELF)

    def test_copies(self) -> None:
        for cell, number in (
            *(("3", 3), ("3.0", 3), ("3,00", 3), ("1,234", 1234), ("1.234", 1234), ("0", 0)),
            *(("1 000", 1000), ("1.234.000", 1234000), ("10+", 10), ("> 10", 10), ("'3", 3)),
            *(
                ("5 copies", 5),
                ("5 Stück", 5),
                ("5 шт.", 5),
                ("12冊", 12),
                ("x2", 2),
                ("1,234+", 1234),
            ),
        ):
            self.assertEqual(whole_number(cell, SELF), number, cell)
        self.assertEqual(whole_number("3.000", Reading(".")), 3)
        self.assertEqual(whole_number("3.000", Reading(",")), 3000)
        for cell in ("3.000", "2.5", "-1", "(1)", "many", "5 boxes", "$3", "1e3", "3-5"):
            self.assertRaises(NotAnAmount, whole_number, cell, SELF)

    @given(
        st.integers(0, 10**9),
        st.sampled_from([".", ","]),
        st.sampled_from(["", "other", " ", "\u00a0", "'"]),
        st.sampled_from(["{}", "$ {}", "{} EUR", "€{}", "kr {}", "{} zł"]),
    )
    def test_whatever_the_style(self, cents: int, decimal: str, group: str, style: str) -> None:
        group = {"other": "," if decimal == "." else "."}.get(group, group)
        whole = f"{cents // 100:,}".replace(",", "#").replace("#", group)
        cell = style.format(f"{whole}{decimal}{cents % 100:02}")
        self.assertEqual(price(cell, SELF), cents)
        self.assertEqual(price(cell, Reading(decimal, strict=True)), cents)

    @given(st.text(max_size=12))
    def test_nothing_else_is_raised(self, cell: str) -> None:
        for reading in (SELF, Reading("."), Reading(",", strict=True), Reading(None, cents=True)):
            for read in (price, whole_number):
                with contextlib.suppress(NotAnAmount):
                    self.assertGreaterEqual(read(cell, reading), 0)


class ColumnsTest(unittest.TestCase):
    def test_the_sign_that_a_column_shows_decides_of_those_that_do_not(self) -> None:
        reading = column("12,99", "1.234", "7")
        self.assertEqual(price("1.234", reading), 123400)
        self.assertEqual(price("7", reading), 700)
        reading = column("12.99", "1,234", "12.990")
        self.assertEqual((price("1,234", reading), price("12.990", reading)), (123400, 1299))

    def test_where_it_shows_both_each_is_read_by_itself(self) -> None:
        reading = column("12,99", "12.99", "1.234")
        self.assertEqual((price("12,99", reading), price("12.99", reading)), (1299, 1299))
        self.assertRaises(NotAnAmount, price, "1.234", reading)

    def test_whole_numbers(self) -> None:
        self.assertEqual(price("15", column("15", "1500")), 1500)
        ours = column("15", "1,500", name="COST")
        self.assertEqual((price("15", ours), price("1,500", ours)), (15, 1500))
        self.assertEqual(price("15", column("15", "1500", name="cost", told=".")), 1500)
        self.assertEqual(price("15", column("15", "1500", told="cents")), 15)
        self.assertEqual(price("15", column("15", name="price (cents)", cents=True)), 15)
        self.assertEqual(price("1,500", column("950", "1,500")), 150000)

    def test_our_own_column_in_units_or_in_cents_is_asked_if_it_shows_both(self) -> None:
        self.assertEqual(price("12.99", column("12.99", "8.50", name="cost")), 1299)
        with self.assertRaisesRegex(
            BadRequest, r"line 2: '1500'.*line 3: '12.99'.*--decimal cents"
        ):
            column("1500", "12.99", name="cost")

    def test_what_can_be_read_in_two_ways_is_asked(self) -> None:
        for cells in (("1,234", "2,500"), ("12.500", "8.950"), ("1,234", "1.234", "3")):
            with self.assertRaisesRegex(BadRequest, "line 2: .* two ways: say --decimal"):
                column(*cells)

    def test_what_is_told_is_strict(self) -> None:
        reading = column("12.99", told=",")
        with self.assertRaisesRegex(NotAnAmount, "with the decimal sign ','"):
            price("12.99", reading)
        self.assertEqual(price("1.234,50", reading), 123450)
        with self.assertRaisesRegex(NotAnAmount, "is in cents"):
            price("12.99", column("12.99", told="cents"))

    def test_currencies_are_counted(self) -> None:
        evidence = Evidence()
        for cell in ("$1.50", "€ 2", "$3", "4", "free"):
            evidence.add(2, cell)
        self.assertEqual(evidence.currencies, {"$": 2, "€": 1})
