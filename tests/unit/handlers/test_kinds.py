"""A kind reads what its schema describes, and nothing else."""

from __future__ import annotations

import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from bazar.errors import BadRequest
from handlers.kinds import Choice, Integer, Kind, ListOf, Nullable, Object, Pattern, Schemas
from handlers.validation import BASKET, BOOK_CHANGES, NEW_BOOK, PURCHASE

SMALL = Integer(-2, 5)
WORD = Pattern("[a-c]{1,3}", "{value!r} is no word")
THING = Object(
    "Thing",
    {"size": SMALL, "word": WORD, "words": ListOf(WORD, 1, 2), "kind": Choice("x", "y")},
    defaults={"size": 1},
    optional=["words", "kind"],
)
KINDS = (SMALL, WORD, Nullable(SMALL), ListOf(SMALL), ListOf(SMALL, 1, 2), Choice("a", "b"), THING)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-4, 7) | st.text("abcxyz", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["size", "word", "words", "kind", "odd"]), inner)
    ),
    max_leaves=8,
)


def fits(kind: Kind, value: Any) -> bool:
    """Whether the value is as the kind's schema says."""
    shared: Schemas = {}
    schema = kind.schema(shared)
    return bool(OAS31Validator({**schema, "components": {"schemas": shared}}).is_valid(value))


class KindsTest(unittest.TestCase):
    @given(st.sampled_from(KINDS), VALUES)
    def test_what_is_read_is_what_is_described(self, kind: Kind, value: Any) -> None:
        try:
            kind(value, "here")
        except BadRequest as error:
            self.assertFalse(fits(kind, value), error)
            self.assertIn("here", str(error))
        else:
            self.assertTrue(fits(kind, value))

    @given(st.sampled_from([SMALL, WORD]), st.text("-0123abc", max_size=4))
    def test_a_text_is_read_like_the_value(self, kind: Kind, text: str) -> None:
        try:
            value = kind.typed(text, "here")
        except BadRequest:
            return
        self.assertEqual(str(value), text)
        self.assertTrue(fits(kind, value))

    def test_refusals_say_where(self) -> None:
        for value, words in (
            ([], "body: must be a JSON object"),
            ({"odd": 1}, "body: 'odd' is unknown; known are size, word, words, kind"),
            ({"size": 1}, "body: word is missing; word: 'None' is no word"),
            ({"word": "a", "size": 9}, "size: must be from -2 to 5"),
            ({"word": "a", "size": True}, "size: must be an integer"),
            ({"word": "a", "words": []}, "words: must be a list of 1 to 2"),
            ({"word": "a", "words": ["a", "d"]}, "words[1]: 'd' is no word"),
            ({"word": "a", "kind": "z"}, "kind: must be one of x, y"),
        ):
            with self.assertRaises(BadRequest) as raised:
                THING(value, "body")
            self.assertEqual(str(raised.exception), words)
        with self.assertRaisesRegex(BadRequest, r"^row.size: must be"):
            THING({"word": "a", "size": 9}, "row")

    def test_what_is_left_out_is_as_declared(self) -> None:
        self.assertEqual(THING({"word": "a"}, "body"), {"size": 1, "word": "a"})

    def test_examples_are_read(self) -> None:
        for kind in (NEW_BOOK, BOOK_CHANGES, PURCHASE, BASKET):
            kind(kind.example, "body")
            self.assertTrue(fits(kind, kind.example))
