"""What this shop takes from outside: ids, keys, texts, books and purchases.

Limits are those of the HTTP contract: an id is 1-18 digits without a leading zero, money and stock
are integers from 0 to 10¹², a text is 1-500 visible characters in NFC.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from bazar.errors import BadRequest
from handlers import characters
from handlers.kinds import (
    MAX_ID,
    Boolean,
    Integer,
    Kind,
    ListOf,
    Nullable,
    Object,
    Pattern,
    Schema,
    Schemas,
)
from storage.catalog import MAX_AMOUNT
from storage.isbn import isbn13
from storage.letters import SORTED, searched

MAX_QUANTITY = 1000
MAX_LINES = 50
MAX_TEXT = 500
MAX_QUERY = 200
MAX_WORDS = 16
MAX_PAGE = 100
MAX_OFFSET = 10_000  # what is skipped costs as much as what is shown
MAX_TAGS = 20
MAX_LISTED = 500

_TAGS = re.compile(r'\*|[ \t,]*(?:(?:W/)?"[!#-~\x80-\xff]*"[ \t]*(?:,[ \t,]*|$))+')
_TAG = re.compile(r'\*|(?:W/)?"[^"]*"')


class EntityTags(Kind):
    """What If-Match or If-None-Match lists (RFC 9110 section 13.1), or `["*"]`."""

    def __call__(self, value: str, place: str) -> list[str]:
        tags = _TAG.findall(value) if _TAGS.fullmatch(value) else []
        if not 1 <= len(tags) <= MAX_TAGS:
            raise BadRequest(f'{place}: must be * or a list of 1 to {MAX_TAGS} tags such as "x"')
        return tags

    def schema(self, shared: Schemas) -> Schema:
        tag = '(?:W/)?"[!#-~]*"'
        return {"type": "string", "pattern": rf"^(?:\*|{tag}(?:, {tag}){{0,{MAX_TAGS - 1}}})$"}


class Text(Kind):
    """A text in NFC (Unicode normalization form C) whose characters are all visible."""

    def __init__(self, longest: int) -> None:
        self._longest = longest

    def __call__(self, value: Any, place: str) -> str:
        normal = _normal(value, place, self._longest)
        wrong = characters.wrong(normal)
        if wrong is not None:
            raise BadRequest(f"{place}: holds {wrong}")
        if not characters.is_seen(normal):
            raise BadRequest(f"{place}: has nothing that can be seen")
        return normal

    def schema(self, shared: Schemas) -> Schema:
        bounds = {"minLength": 1, "maxLength": self._longest}
        return {"type": "string", "format": "visible-text", **bounds}


class Isbn(Kind):
    """An ISBN of 10 or 13 digits, in its form of 13, so that it has one spelling."""

    def __call__(self, value: Any, place: str) -> str:
        digits = isbn13(TEXT(value, place))
        if digits is None:
            raise BadRequest(
                f"{place}: {value[:40]!r} is no ISBN: 10 or 13 digits, the last digit is a check"
                " digit"
            )
        return digits

    def schema(self, shared: Schemas) -> Schema:
        return {"type": "string", "format": "isbn", "examples": ["978-0-306-40615-7"]}


class Words(Kind):
    """Words to find, with one space between them. Invisible characters are allowed here: they come
    along with pasted text."""

    def __call__(self, value: Any, place: str) -> str:
        normal = _normal(value, place, MAX_QUERY)
        found = searched(normal)
        if (wrong := characters.control(normal.strip())) is not None:
            raise BadRequest(f"{place}: holds {wrong}")
        if not found:
            raise BadRequest(f"{place}: has no word to look for")
        if len(found) > MAX_WORDS:
            raise BadRequest(f"{place}: has {len(found)} words, more than {MAX_WORDS}")
        return " ".join(found)

    def schema(self, shared: Schemas) -> Schema:
        bounds = {"minLength": 1, "maxLength": MAX_QUERY}
        return {"type": "string", "format": "search-words", **bounds}


def _normal(value: Any, place: str, longest: int) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"{place}: must be a text")
    normal = unicodedata.normalize("NFC", value)
    if not 1 <= len(normal) <= longest or not normal.strip():
        raise BadRequest(f"{place}: must have 1 to {longest} characters")
    return normal


def trouble(typed: str, of: str = "the title or the author") -> str | None:
    """Return a sentence that says why the typed text can't be searched for; None if it can."""
    length = len(unicodedata.normalize("NFC", typed))
    found = searched(typed)
    if length > MAX_QUERY:
        return (
            f"It is {length} characters long, and a search has {MAX_QUERY} at most. A few words of"
            f" {of} are enough."
        )
    if len(found) > MAX_WORDS:
        return (
            f"It has {len(found)} words, and a search has {MAX_WORDS} at most. A few words of"
            f" {of} are enough."
        )
    if not found:
        return f"There is no word in it. Look for one of {of}."
    return None


BOOK_ID = Integer(0, MAX_ID)
ORDER_ID = Pattern("[0-9a-f]{32}", "{value!r} is not 32 hexadecimal digits")
IDEMPOTENCY_KEY = Pattern("[!-~]{1,200}", "must be 1 to 200 visible ASCII characters")
ENTITY_TAGS = EntityTags()
TEXT = Text(MAX_TEXT)
WORDS = Words()
AMOUNT = Integer(0, MAX_AMOUNT)
QUANTITY = Integer(1, MAX_QUANTITY)
BOOLEAN = Boolean()
LISTED = Integer(1, MAX_LISTED)
ORDER_PLACE = Pattern("[0-9]{1,19}-[0-9]{1,19}", "{value!r} names no place in a list of orders")
PLACE = Pattern(
    rf"(?:[^\x00-\x1f]{{0,{SORTED}}}-)?[0-9]{{1,18}}", "{value!r} names no place in a list of books"
)

FIELD_RULES: dict[str, Kind] = {
    "title": TEXT,
    "author": Nullable(TEXT),
    "isbn": Nullable(Isbn()),
    "topic": TEXT,
    "cost": AMOUNT,
    "count": AMOUNT,
    "retired": BOOLEAN,
}
_CHANGEABLE = {**FIELD_RULES, "count_add": Integer(-MAX_AMOUNT, MAX_AMOUNT)}


_NEWER: dict[str, Any] = {"isbn": None, "retired": False}  # what a book is without these fields


def _without_newer(book: dict[str, Any], place: str) -> dict[str, Any]:
    """A request from before there were these fields stays the same request (S1)."""
    return {
        name: value for name, value in book.items() if name not in _NEWER or value != _NEWER[name]
    }


def _some_changes(fields: dict[str, Any], place: str) -> dict[str, Any]:
    if not fields:
        raise BadRequest(f"{place}: must name at least one of {', '.join(_CHANGEABLE)}")
    if "count" in fields and "count_add" in fields:
        raise BadRequest("count, count_add: one of them, not both")
    return fields


def _each_book_once(lines: list[dict[str, Any]], place: str) -> list[dict[str, Any]]:
    places: dict[int, int] = {}
    for at, line in enumerate(lines):
        book = line["book"]
        if places.setdefault(book, at) != at:
            raise BadRequest(f"{place}[{at}]: book {book} is in {place}[{places[book]}] already")
    return lines


NEW_BOOK = Object(
    "NewBook",
    FIELD_RULES,
    defaults={"author": None, **_NEWER},
    rule=_without_newer,
    example={
        "title": "The Mythical Man-Month",
        "author": "Frederick P. Brooks, Jr.",
        "isbn": "0-201-83595-9",
        "topic": "Software",
        "cost": 3999,
        "count": 10,
    },
)
BOOK_CHANGES = Object(
    "BookChanges",
    _CHANGEABLE,
    optional=tuple(_CHANGEABLE),
    rule=_some_changes,
    also={
        "minProperties": 1,
        "not": {"required": ["count", "count_add"]},
        "description": "`retired` takes the book from sale and out of all searches, or brings it"
        " back; `count_add` is added to the stock.",
    },
    example={"cost": 2500, "count_add": 5},
)
_COPIES = {"quantity": QUANTITY, "cost": AMOUNT}
PURCHASE = Object(
    "Purchase",
    _COPIES,
    defaults={"quantity": 1},
    optional=("cost",),
    example={"quantity": 1, "cost": 20},
)
BASKET = Object(
    "Basket",
    {
        "lines": ListOf(
            Object(
                "BasketLine",
                {"book": BOOK_ID, **_COPIES},
                defaults={"quantity": 1},
                optional=("cost",),
            ),
            1,
            MAX_LINES,
            rule=_each_book_once,
        )
    },
    example={"lines": [{"book": 4, "quantity": 2, "cost": 20}, {"book": 7}]},
)
CANCELLED_LINES = ListOf(
    Object("CancelledLine", {"book": BOOK_ID, "quantity": QUANTITY}),
    1,
    MAX_LINES,
    rule=_each_book_once,
)
CANCELLATION = Object(
    "Cancellation",
    {"lines": CANCELLED_LINES},
    optional=("lines",),
    also={
        "description": "`quantity` is how many of a line are cancelled then, in all. Without"
        " `lines`, all that was bought is."
    },
    example={"lines": [{"book": 4, "quantity": 1}]},
)
