"""What can't be seen, or makes a title look like another, is refused by its name."""

from __future__ import annotations

import unicodedata
import unittest

from hypothesis import given
from hypothesis import strategies as st

from bazar.errors import BadRequest
from handlers import validation
from tests.http.shop import TOKEN, ShopTestCase

INVISIBLE = (
    "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e", "\u200b",
    "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202d", "\u202e", "\u2060", "\u2061",
    "\u2063", "\u2066", "\u2069", "\u206f", "\u2800", "\u3164", "\ufe00", "\ufe0f", "\ufeff",
    "\uffa0", "\ufff9", "\ufffc", "\U000e0001", "\U000e0041", "\U000e0100", "\U0001d173",
    "\ue000", "\uf8ff", "\U000f0000", "\U0010fffd", "\u0378", "\ufdd0", "\uffff", "\U000e0fff",
)  # fmt: skip
TITLES = (
    "plain",
    "Ça, où? — “No” (2nd ed.) & more…",
    "Война и мир",
    "Ελλάδα",
    "日本語　の本",
    "한국어",
    "עברית",
    "می\u200cخواهم",
    "کتاب\u200cها",
    "क्\u200dष",
    "क्\u200cष",
    "ශ්\u200dරී ලංකාව",
    "അവന്\u200d",
    "ক্\u200dষ",
    "I ❤\ufe0f books",
    "1\ufe0f\u20e3",
    "👩\u200d🚀",
    "👨🏽\u200d🚀",
    "🏳\ufe0f\u200d🌈",
    "葛\U000e0100城",
    "ᠮᠣᠩᠭᠣᠯ᠎ᠠ",
    "ᠰᠠᠶᠢᠨ\u180b",
    "عدد \u0600١٢",
    "e\u0301",
    "นี้",
    "\u00a0a\u2003b",
    "∀x",
    "C\u266f",
    "²",
)


class CharactersTest(unittest.TestCase):
    def refusal(self, text: str) -> str:
        with self.assertRaises(BadRequest) as caught:
            validation.TEXT(text, "title")
        return str(caught.exception)

    def test_each_that_is_not_seen_is_named(self) -> None:
        for char in INVISIBLE:
            for text in (f"a{char}b", f"{char}ab", f"ab{char}", f"a {char} b", f"日{char}{char}"):
                if char == "\U000e0100" and text.startswith("日"):
                    continue
                with self.subTest(text=ascii(text)):
                    message = self.refusal(text)
                    self.assertIn(f"title: holds U+{ord(char):04X}", message)
                    self.assertIn(unicodedata.name(char, "U+"), message)
            self.refusal(char)

    def test_what_turns_the_line_is_told_from_what_is_hidden(self) -> None:
        self.assertIn("turns the line around", self.refusal("a\u202etxt.exe"))
        self.assertIn("can't be seen", self.refusal("a\u200bb"))
        self.assertIn("not assigned", self.refusal("a\ue000b"))

    def test_words_of_all_scripts_stay_as_they_are(self) -> None:
        for title in TITLES:
            with self.subTest(title=title):
                self.assertEqual(
                    validation.TEXT(title, "title"), unicodedata.normalize("NFC", title)
                )

    def test_joiners_stay_inside_of_such_words_only(self) -> None:
        for text in (
            "\u200cمی",
            "می\u200c",
            "می\u200c خ",
            "a\u200dب",
            "a\u200cb",
            "می\u200c\u200cخ",
            "क\u200d\u200dष",
            "\u200d🚀",
            "🚀\u200d",
            "a\u200d🚀",
            "日\u200d本",
            "1\u200d2",
        ):
            with self.subTest(text=ascii(text)):
                self.assertIn("U+200", self.refusal(text))

    def test_marks_and_spaces_alone_are_no_title(self) -> None:
        for text in ("\u0301", " \u0301", "\u00a0", "\u3000\u2003", "\u20dd"):
            self.assertIn("title", self.refusal(text))

    @given(st.text(min_size=1, max_size=20))
    def test_what_is_taken_can_be_seen(self, text: str) -> None:
        try:
            taken = validation.TEXT(text, "title")
        except BadRequest:
            return
        kinds = {unicodedata.category(char) for char in taken}
        self.assertTrue(kinds.isdisjoint({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}))
        self.assertTrue({kind[0] for kind in kinds} & set("LNPS"))

    @given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "Mn", "Mc"]), max_size=20))
    def test_what_is_refused_is_refused_for_a_reason_that_names_it(self, text: str) -> None:
        try:
            validation.TEXT(f"a{text}", "title")
        except BadRequest as error:
            self.assertRegex(str(error), r"title: holds U\+[0-9A-F]{4,} \(.+\), which")


class TitlesTest(ShopTestCase):
    def test_at_every_way_in(self) -> None:
        book = {"title": "A\u202eB", "topic": "T", "cost": 1, "count": 1}
        for name, body in (
            ("title", book),
            ("topic", {**book, "title": "A", "topic": "\u3164"}),
            ("author", {**book, "title": "A", "author": "\u200b"}),
        ):
            response = self.ask("/create", "POST", body, node="catalog-1", token=TOKEN)
            self.assertIn(f"{name}: holds U+", self.assert_error(response, 400)["error"])
            change = {name: body[name]}
            response = self.ask("/update/4", "PUT", change, node="catalog-2", token=TOKEN)
            self.assertIn(f"{name}: holds U+", self.assert_error(response, 400)["error"])
        response = self.ask("/import", "POST", {"books": [book]}, node="catalog-1", token=TOKEN)
        self.assertIn(b"books[0].title: holds U+202E (RIGHT-TO-LEFT OVERRIDE)", response.body)
        self.assertEqual(self.update(4, title="می\u200cخواهم")["title"], "می\u200cخواهم")
