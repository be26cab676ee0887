"""Whatever a list is written with, it is read back the same."""

from __future__ import annotations

import csv
import io
import re
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bazar.cli.importing.markup import without_markup
from bazar.cli.importing.rows import NO_NAME
from bazar.errors import BadRequest
from handlers import validation
from tests.unit.cli.lists import books


def _word(text: str) -> str:
    return " ".join(text.split())


def _may_be(text: str) -> bool:
    """Whether a book may have it, and it stands for nothing else in a list."""
    if text in NO_NAME or without_markup(text) != text:
        return False
    try:
        validation.TEXT(text, "")
    except BadRequest:
        return False
    return True


def plain(text: str) -> str:
    """The same with letters of Latin-1 alone, of which no two are one in UTF-8, and no more stand
    side by side than they do in words."""
    return re.sub("([À-ÿ]{3})[À-ÿ]+", r"\1e", re.sub("[^ -~À-ÿ]", "é", text))


TEXTS = (
    st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=30)
    .map(_word)
    .filter(lambda text: any(map(str.isalpha, text)) and not text.startswith('="'))
    .filter(_may_be)
)
BOOKS = st.lists(
    st.tuples(TEXTS, TEXTS, TEXTS, st.integers(0, 10**7), st.integers(0, 10**6)), max_size=8
)


class RoundTripTest(unittest.TestCase):
    @given(
        BOOKS,
        st.sampled_from(",;\t|"),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
        st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
        st.sampled_from([".", ","]),
        st.sampled_from(["\n", "\r\n"]),
        st.booleans(),
    )
    def test_whatever_a_list_is_written_with(
        self,
        shelf: list[tuple[str, str, str, int, int]],
        delimiter: str,
        encoding: str,
        quoting: Any,
        decimal: str,
        end: str,
        two_lines: bool,
    ) -> None:
        if encoding == "cp1252":
            shelf = [(plain(a), plain(b), plain(c), cost, count) for a, b, c, cost, count in shelf]
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
        writer.writerow(["No", "Titel", "Verfasser", "Thema", "Preis", "Bestand", "Bemerkung"])
        note = "one\ntwo; three, four" if two_lines else "ä"
        for number, (title, author, topic, cents, count) in enumerate(shelf):
            money = f"{cents // 100}{decimal}{cents % 100:02}"
            writer.writerow([number, title, author, topic, money, count, note])
        expected = [
            (*(validation.TEXT(part, "") for part in book[:3]), *book[3:]) for book in shelf
        ]  # in NFC
        self.assertEqual(books(text.getvalue().encode(encoding)), expected)
