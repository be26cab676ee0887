"""ISBNs: which are, and which are the same."""

from __future__ import annotations

import unittest

from hypothesis import given
from hypothesis import strategies as st

from storage.isbn import isbn13

DIGITS = st.text("0123456789", min_size=9, max_size=9)


def isbn10(nine: str) -> str:
    """The rule in its other form: the check digit is a weighted sum of the nine."""
    check = sum(place * int(digit) for place, digit in enumerate(nine, start=1)) % 11
    return nine + "0123456789X"[check]


class IsbnTest(unittest.TestCase):
    def test_one_spelling_each(self) -> None:
        for text in (
            *("0306406152", "0-306-40615-2", "0 306 40615 2", "ISBN 0-306-40615-2"),
            *("9780306406157", "978-0-306-40615-7", "978‑0‑306‑40615‑7", "isbn-13: 9780306406157"),
            *("ISBN:9780306406157", "９７８０３０６４０６１５７", " 978 0306406157 "),
        ):
            self.assertEqual(isbn13(text), "9780306406157", text)
        self.assertEqual(isbn13("080442957x"), isbn13("0-8044-2957-X"))
        self.assertEqual(isbn13("9791034300174"), "9791034300174")  # it has no ISBN-10

    def test_what_is_none(self) -> None:
        for text in (
            *("", "0306406153", "9780306406158", "030640615", "97803064061577", "X306406152"),
            *("9770306406157", "0306406152 x", "03064O6152", "03064061X2", "٠٣٠٦٤٠٦١٥٢", "isbn"),
        ):
            self.assertIsNone(isbn13(text), text)

    @given(DIGITS)
    def test_both_lengths_find_each_other(self, nine: str) -> None:
        ten = isbn10(nine)
        thirteen = isbn13(ten)
        assert thirteen is not None
        self.assertEqual(thirteen[3:12], nine)
        self.assertEqual(isbn13(thirteen), thirteen)

    @given(DIGITS, st.integers(0, 9), st.sampled_from("0123456789"))
    def test_one_wrong_digit_is_noticed(self, nine: str, place: int, digit: str) -> None:
        for whole in (isbn10(nine), isbn13(isbn10(nine)) or ""):
            wrong = whole[: -1 - place] + digit + whole[len(whole) - place :]
            self.assertEqual(isbn13(wrong) is not None, wrong == whole)
