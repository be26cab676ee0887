"""What a keeper types, and the cookie of a session."""

from __future__ import annotations

import doctest
import unittest
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bazar.cluster_file import load
from bazar.errors import BadRequest
from bazar.node.server import Context
from handlers import ROLES
from handlers.keeper import fields
from handlers.keeper.edit import Edit
from handlers.keeper.fields import AUTHOR, PRICE, TITLE, Price, Typed
from handlers.keeper.session import IDLE_S, Sessions
from storage.catalog import MAX_AMOUNT

HERE = Path(__file__).resolve().parents[3]
NO_PRICES = ("", "x", "1.2.3", "1,2,3", "1e3", "1 2", "$", "NaN", "1,23,4.00", "1.234.50")
BOOK = {"id": 4, "title": "T", "topic": "S", "cost": 20, "count": 7, "catalog_id": 1}


class PriceTest(unittest.TestCase):
    def test_as_people_write_them(self) -> None:
        self.assertEqual(doctest.testmod(fields).failed, 0)
        for text, cents in (
            *(("0", 0), ("0.00", 0), ("0.05", 5), ("0,5", 50), ("007", 700), ("$ 3", 300)),
            *(("1,234.50", 123450), ("1.234,50", 123450), ("1 234,50", 123450)),
            *(("€ 12,50", 1250), ("12.50 EUR", 1250), ("12.50 $", 1250), (".50", 50), ("١٢", 1200)),
            *(("1,234,567.89", 123456789), ("9999999999.99", MAX_AMOUNT - 1)),
        ):
            self.assertEqual(PRICE.typed(text, "Price"), cents, text)

    def test_what_is_none_or_could_be_two(self) -> None:
        for text, reason in (
            *((text, "is not a number: a price is such as 12.50") for text in NO_PRICES),
            ("-1", "is negative: a price is such as 12.50"),
            ("12.5051", "has parts of a cent"),
            ("1,234", "can be read in two ways: type 1234.00 if it has no cents"),
            ("١٬٢٣٤", "can be read in two ways: type 1234.00 if it has no cents"),
            ("€ 1.234", "can be read in two ways: type 1234.00 if it has no cents"),
            ("9" * 11, "Price: is more than 10,000,000,000.00"),
            ("9" * 19, "has more than 18 digits"),
        ):
            with self.assertRaisesRegex(BadRequest, f"Price: .*{reason}|^{reason}$"):
                PRICE.typed(text, "Price")

    @given(st.integers(0, MAX_AMOUNT - 1))
    def test_what_a_form_shows_is_read_back(self, cents: int) -> None:
        self.assertEqual(PRICE.typed(Price.text(cents), "Price"), cents)


class TypedTest(unittest.TestCase):
    def test_each_field_is_read_by_itself(self) -> None:
        typed = Typed.read([TITLE, AUTHOR], {"title": " ", "author": " Ada "})
        self.assertEqual(typed.values, {"author": "Ada"})
        self.assertEqual(typed.reasons, {"title": "Nothing is typed here."})
        self.assertEqual(typed.texts, {"title": " ", "author": " Ada "})

    def test_an_edit_that_is_there_already_is_no_clash(self) -> None:
        edit = self.edit(title="Mine", author="Ada")
        self.assertEqual(edit.changes, {"title": "Mine", "author": "Ada"})
        self.assertFalse(edit.is_in({**BOOK, "title": "Mine"}))
        self.assertTrue(edit.is_in({**BOOK, "title": "Mine", "author": "Ada", "count": 1}))
        self.assertEqual(edit.clashes({**BOOK, "count": 1}), [])
        [clash] = edit.clashes({**BOOK, "cost": 30})
        self.assertEqual(
            (clash.label, clash.was, clash.now, clash.typed), ("Price", "0.20", "0.30", None)
        )

    def edit(self, **typed: str) -> Edit:
        first = Edit.of(BOOK)
        form = {**first.was, **typed, **{f"was-{name}": text for name, text in first.was.items()}}
        return Edit.read({**form, "etag": first.etag}.__getitem__)


class SessionTest(unittest.TestCase):
    now = 1_800_000_000.0

    def sessions(self, *tokens: str) -> Sessions:
        config = load(HERE / "cluster.json", ROLES)
        first, *others = tokens
        context = Context(
            *(config, config.group("frontend")[0], first, print),
            other_tokens=tuple(others),
            wall=lambda: self.now,
        )
        return Sessions(context)

    def test_a_token_that_is_taken_has_sessions_and_one_that_is_dropped_none(self) -> None:
        """Used through a whole change of the token, a session ends with its own."""
        cookie = self.sessions("old").begin()
        for tokens in (("old", "new"), ("new", "old")):
            self.now += IDLE_S - 60
            again = self.sessions(*tokens).goes_on(cookie)
            assert again is not None
            self.assertNotEqual(again, cookie)  # its end is put off
            cookie = again
        self.assertIsNone(self.sessions("new").goes_on(cookie))
        self.assertIsNone(self.sessions("new", "newer").goes_on(cookie))

    def test_a_cookie_is_renewed_now_and_then_and_not_with_each_page(self) -> None:
        sessions = self.sessions("token")
        cookie = sessions.begin()
        self.now += 30
        self.assertEqual(sessions.goes_on(cookie), cookie)
        self.now += 30
        renewed = sessions.goes_on(cookie)
        self.assertNotIn(renewed, (None, cookie))
        self.assertEqual((renewed or "").split(".")[1], cookie.split(".")[1])
