"""What comes in is read strictly; hypothesis tries what nobody thought of."""

from __future__ import annotations

import json
import unicodedata
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bazar.errors import BadRequest
from handlers import validation
from handlers.json_body import json_object
from handlers.kinds import Integer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
OBJECTS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=5)


class IdsTest(unittest.TestCase):
    @given(st.integers(0, 10**18 - 1))
    def test_every_id_has_one_spelling(self, number: int) -> None:
        self.assertEqual(validation.BOOK_ID.typed(str(number), "id"), number)
        for other in (f"0{number}", f"+{number}", f" {number}", f"{number}\n", f"{number}.0"):
            with self.assertRaises(BadRequest):
                validation.BOOK_ID.typed(other, "id")

    @given(st.text())
    def test_whatever_is_taken_is_its_own_spelling(self, text: str) -> None:
        try:
            number = validation.BOOK_ID.typed(text, "id")
        except BadRequest as error:
            self.assertIn("id", str(error))
        else:
            self.assertEqual(str(number), text)

    def test_a_number_too_long_is_refused(self) -> None:
        for text in ("1" * 19, "9" * 5000, str(2**63)):
            with self.assertRaises(BadRequest):
                validation.BOOK_ID.typed(text, "id")

    @given(st.text())
    def test_keys_are_visible_ascii(self, text: str) -> None:
        visible = all("!" <= char <= "~" for char in text)
        if 1 <= len(text) <= 200 and visible:
            self.assertEqual(validation.IDEMPOTENCY_KEY(text, "Idempotency-Key"), text)
        else:
            with self.assertRaises(BadRequest):
                validation.IDEMPOTENCY_KEY(text, "Idempotency-Key")

    def test_order_ids(self) -> None:
        self.assertEqual(
            validation.ORDER_ID("0123456789abcdef" * 2, "order_id"), "0123456789abcdef" * 2
        )
        for bad in ("", "0" * 31, "0" * 33, "A" * 32, "g" * 32, "0" * 32 + "\n"):
            with self.assertRaises(BadRequest):
                validation.ORDER_ID(bad, "order_id")


class JsonTest(unittest.TestCase):
    @given(OBJECTS)
    def test_any_object_is_read_as_it_was_written(self, plain: dict[str, Any]) -> None:
        for body in (json.dumps(plain), json.dumps(plain, ensure_ascii=False)):
            self.assertEqual(json_object(body.encode()), plain)

    @given(st.binary())
    def test_bytes_are_an_object_or_a_bad_request(self, body: bytes) -> None:
        try:
            plain = json_object(body)
        except BadRequest as error:
            self.assertTrue(str(error).startswith("body: "))
        else:
            self.assertEqual(plain, json.loads(body) if body else {})

    @given(OBJECTS, st.text(st.characters(exclude_categories=["Cs"])), JSON, JSON)
    def test_a_name_given_twice(self, plain: dict[str, Any], name: str, a: Any, b: Any) -> None:
        pairs = [*plain.items(), (name, a), (name, b)]
        text = ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs)
        for body in ("{" + text + "}", '{"outer":[{' + text + "}]}"):
            with self.assertRaisesRegex(BadRequest, "given twice"):
                json_object(body.encode())

    def test_what_parsers_read_differently(self) -> None:
        for value in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"\\ud800"',
                      '["\\udfff"]', '{"\\ud800":1}', "[" * 10_000, "1" * 5000,
                      '"\x00"'):  # fmt: skip
            with self.assertRaises(BadRequest):
                json_object(('{"a":' + value + "}").encode())
        self.assertEqual(json_object(b'{"a":"\\ud83d\\ude00"}'), {"a": "\N{GRINNING FACE}"})

    def test_nesting_of_any_depth(self) -> None:
        for depth in (10, 100, 900, 990, 1000, 5_000, 10_000, 30_000):
            for start, end in (("[", "]"), ('{"a":', "}")):
                body = '{"a":' + start * depth + "1" + end * depth + "}"
                try:
                    json_object(body.encode())
                except BadRequest as error:
                    self.assertIn("nested too deeply", str(error))


class FieldsTest(unittest.TestCase):
    @given(JSON)
    def test_integers_are_integers(self, value: Any) -> None:
        fits = type(value) is int and 0 <= value <= 5
        if fits:
            self.assertEqual(Integer(0, 5)(value, "field"), value)
        else:
            with self.assertRaisesRegex(BadRequest, "field"):
                Integer(0, 5)(value, "field")

    @given(st.text())
    def test_a_text_that_is_taken_is_clean(self, value: str) -> None:
        try:
            text = validation.TEXT(value, "title")
        except BadRequest as error:
            self.assertIn("title", str(error))
        else:
            self.assertEqual(text, unicodedata.normalize("NFC", value))
            self.assertTrue(1 <= len(text) <= 500)
            text.encode()
            self.assertFalse({unicodedata.category(char) for char in text} & {"Cc", "Cs"})

    @given(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=100))
    def test_ordinary_texts_are_taken(self, value: str) -> None:
        self.assertEqual(validation.TEXT(value, "title"), unicodedata.normalize("NFC", value))

    @given(JSON)
    def test_anything_else_is_no_text(self, value: Any) -> None:
        if not isinstance(value, str):
            with self.assertRaises(BadRequest):
                validation.TEXT(value, "title")

    @given(OBJECTS)
    def test_bodies_are_a_book_or_a_bad_request(self, plain: dict[str, Any]) -> None:
        for read in (
            validation.BOOK_CHANGES,
            validation.NEW_BOOK,
            validation.PURCHASE,
            validation.BASKET,
        ):
            try:
                read(plain, "body")
            except BadRequest as error:
                self.assertTrue(str(error))

    def test_new_book_wants_all_but_the_author_and_the_isbn(self) -> None:
        book = {"title": "t", "topic": "c", "cost": 1, "count": 2}
        self.assertEqual(validation.NEW_BOOK(book, "body"), {**book, "author": None})
        isbn = validation.NEW_BOOK({**book, "isbn": "0306406152"}, "body")["isbn"]
        self.assertEqual(isbn, "9780306406157")
        self.assertEqual(
            validation.NEW_BOOK({**book, "isbn": None}, "body"), {**book, "author": None}
        )
        for name in book:
            with self.assertRaisesRegex(BadRequest, f"{name} is missing"):
                validation.NEW_BOOK(
                    {key: value for key, value in book.items() if key != name}, "body"
                )

    @given(st.text(max_size=210))
    def test_what_can_be_searched_for_has_no_trouble(self, typed: str) -> None:
        try:
            validation.WORDS(typed, "q")
        except BadRequest as error:
            controls = "control character" in str(error)
            self.assertTrue(validation.trouble(typed) or controls, typed)
        else:
            self.assertIsNone(validation.trouble(typed))

    def test_quantity(self) -> None:
        self.assertEqual(validation.PURCHASE({}, "body"), {"quantity": 1})
        self.assertEqual(validation.PURCHASE({"quantity": 1000}, "body"), {"quantity": 1000})
        self.assertEqual(validation.PURCHASE({"cost": 0}, "body"), {"quantity": 1, "cost": 0})
        for bad in (0, 1001, True, 1.0, "1", None):
            with self.assertRaises(BadRequest):
                validation.PURCHASE({"quantity": bad}, "body")
