"""Strict reading of input from outside. Every refusal names what is wrong and where.

Limits are those of the HTTP contract: an id is 1-18 digits without a leading zero, money and stock
are integers from 0 to 10¹², a text is 1-500 visible characters in NFC.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from bazar.errors import BadRequest
from handlers import characters
from storage.catalog import MAX_AMOUNT
from storage.isbn import isbn13
from storage.letters import searched
from storage.paging import place_of

MAX_QUANTITY = 1000
MAX_LINES = 50
MAX_ID = 10**18 - 1
MAX_TEXT = 500
MAX_QUERY = 200
MAX_WORDS = 16
MAX_PAGE = 100
MAX_OFFSET = 10_000  # what is skipped costs as much as what is shown
MAX_TAGS = 20

_ID = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_KEY = re.compile(r"[!-~]{1,200}", re.ASCII)
_TAGS = re.compile(r'\*|[ \t,]*(?:(?:W/)?"[!#-~\x80-\xff]*"[ \t]*(?:,[ \t,]*|$))+')
_TAG = re.compile(r'\*|(?:W/)?"[^"]*"')
_ORDER_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def book_id(text: str, place: str = "id") -> int:
    """Return the id in a path. It has one spelling, so that a book has one cache key."""
    if not _ID.fullmatch(text):
        raise BadRequest(
            f"{place}: {text[:40]!r} is not a number of 1 to 18 digits without a leading zero"
        )
    return int(text)


def order_id(text: str) -> str:
    if not _ORDER_ID.fullmatch(text):
        raise BadRequest(f"order id: {text[:40]!r} is not 32 hexadecimal digits")
    return text


def idempotency_key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise BadRequest("Idempotency-Key: must be 1 to 200 visible ASCII characters")
    return text


def entity_tags(text: str, place: str) -> list[str]:
    """Return what If-Match or If-None-Match lists (RFC 9110 section 13.1), or `["*"]`."""
    tags = _TAG.findall(text) if _TAGS.fullmatch(text) else []
    if not 1 <= len(tags) <= MAX_TAGS:
        raise BadRequest(f'{place}: must be * or a list of 1 to {MAX_TAGS} tags such as "x"')
    return tags


def json_object(body: bytes) -> dict[str, Any]:
    """Return the body as a JSON object (RFC 8259), `{}` for none. Refuses what parsers read
    differently: duplicate names, NaN, infinities, lone surrogates."""
    if not body:
        return {}
    try:
        decoded = body.decode("utf-8")
        plain = json.loads(
            decoded,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        if "\\" in decoded:  # UTF-8 itself has none
            json.dumps(plain, ensure_ascii=False).encode("utf-8")  # fails for lone surrogates
    except UnicodeEncodeError:
        raise BadRequest("body: holds a lone surrogate") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"body: is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise BadRequest("body: is nested too deeply") from None
    except ValueError as error:
        raise BadRequest(f"body: is not JSON: {error}") from None
    if not isinstance(plain, dict):
        raise BadRequest("body: must be a JSON object")
    return plain


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{twice[:40]!r} is given twice")
    return plain


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large")
    return number


def integer(value: Any, place: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(f"{place}: must be an integer")
    if not low <= value <= high:
        raise BadRequest(f"{place}: must be from {low} to {high}")
    return value


def text(value: Any, place: str, longest: int = MAX_TEXT) -> str:
    """Return a text in NFC (Unicode normalization form C) whose characters are all visible."""
    normal = _normal(value, place, longest)
    wrong = characters.wrong(normal)
    if wrong is not None:
        raise BadRequest(f"{place}: holds {wrong}")
    if not characters.is_seen(normal):
        raise BadRequest(f"{place}: has nothing that can be seen")
    return normal


def _normal(value: Any, place: str, longest: int) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"{place}: must be a text")
    normal = unicodedata.normalize("NFC", value)
    if not 1 <= len(normal) <= longest or not normal.strip():
        raise BadRequest(f"{place}: must have 1 to {longest} characters")
    return normal


def trouble(typed: str) -> str | None:
    """Return a sentence that says why the typed text can't be searched for; None if it can."""
    length = len(unicodedata.normalize("NFC", typed))
    found = searched(typed)
    if length > MAX_QUERY:
        return (
            f"It is {length} characters long, and a search has {MAX_QUERY} at most. A few words of"
            " the title or the author are enough."
        )
    if len(found) > MAX_WORDS:
        return (
            f"It has {len(found)} words, and a search has {MAX_WORDS} at most. A few words of the"
            " title or the author are enough."
        )
    if not found:
        return "There is no word in it. Look for one of the title or the author."
    return None


def words(value: str, place: str) -> str:
    """Return the words to find, with one space between them. Invisible characters are allowed here:
    they come along with pasted text."""
    normal = _normal(value, place, MAX_QUERY)
    found = searched(normal)
    if (wrong := characters.control(normal.strip())) is not None:
        raise BadRequest(f"{place}: holds {wrong}")
    if not found:
        raise BadRequest(f"{place}: has no word to look for")
    if len(found) > MAX_WORDS:
        raise BadRequest(f"{place}: has {len(found)} words, more than {MAX_WORDS}")
    return " ".join(found)


def place_in_list(value: str | None, name: str) -> str | None:
    """Return the place of a book in a list, as a link to a page names it."""
    if value is None:
        return None
    try:
        place_of(value)
    except BadRequest as error:
        raise BadRequest(f"{name}: {error}") from None
    return value


def _author(value: Any, place: str) -> str | None:
    return None if value is None else text(value, place)


def _isbn(value: Any, place: str) -> str | None:
    """Return an ISBN of 10 or 13 digits in its form of 13, so that it has one spelling."""
    if value is None:
        return None
    digits = isbn13(text(value, place))
    if digits is None:
        raise BadRequest(
            f"{place}: {value[:40]!r} is no ISBN: 10 or 13 digits, the last digit is a check digit"
        )
    return digits


def _amount(value: Any, place: str) -> int:
    return integer(value, place, 0, MAX_AMOUNT)


FIELD_RULES: Mapping[str, Callable[[Any, str], Any]] = {
    "title": text,
    "author": _author,
    "isbn": _isbn,
    "topic": text,
    "cost": _amount,
    "count": _amount,
}


def _more(value: Any, place: str) -> int:
    return integer(value, place, -MAX_AMOUNT, MAX_AMOUNT)


BOOK_CHANGES: Mapping[str, Callable[[Any, str], Any]] = {**FIELD_RULES, "count_add": _more}


def only(plain: Mapping[str, Any], known: Mapping[str, Any] | set[str], place: str) -> None:
    for name in plain:
        if name not in known:
            raise BadRequest(f"{place}: {name[:40]!r} is unknown; known are {', '.join(known)}")


def book_changes(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an update: at least one."""
    only(plain, BOOK_CHANGES, "body")
    if not plain:
        raise BadRequest(f"body: must name at least one of {', '.join(BOOK_CHANGES)}")
    if "count" in plain and "count_add" in plain:
        raise BadRequest("count, count_add: one of them, not both")
    return {name: BOOK_CHANGES[name](value, name) for name, value in plain.items()}


def new_book(plain: Any, place: str = "body") -> dict[str, Any]:
    """Return a whole book; only `author` and `isbn` may be left out."""
    if not isinstance(plain, dict):
        raise BadRequest(f"{place}: must be a JSON object")
    only(plain, FIELD_RULES, place)
    given = {"author": None, "isbn": None, **plain}
    for name in FIELD_RULES:
        if name not in given:
            raise BadRequest(f"{place}: {name} is missing")
    prefix = "" if place == "body" else f"{place}."
    book = {name: read(given[name], prefix + name) for name, read in FIELD_RULES.items()}
    if book["isbn"] is None:
        del book["isbn"]  # a request from before ISBNs stays the same request (S1)
    return book


def copies(plain: Mapping[str, Any], prefix: str = "") -> dict[str, int]:
    """Return how many copies are wanted: `quantity`, and `cost` if the buyer says what one cost."""
    wanted = integer(plain.get("quantity", 1), f"{prefix}quantity", 1, MAX_QUANTITY)
    if "cost" not in plain:
        return {"quantity": wanted}
    return {"quantity": wanted, "cost": _amount(plain["cost"], f"{prefix}cost")}


def purchase(plain: Mapping[str, Any]) -> dict[str, int]:
    """Return the optional body of a purchase of one book."""
    only(plain, {"quantity", "cost"}, "body")
    return copies(plain)


def lines(plain: Mapping[str, Any]) -> list[dict[str, int]]:
    """Return the lines of a purchase of several books: each book is in one line."""
    only(plain, {"lines"}, "body")
    given = plain.get("lines")
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_LINES:
        raise BadRequest(f"lines: must be a list of 1 to {MAX_LINES}")
    read = []
    places: dict[int, int] = {}
    for place, line in enumerate(given):
        where = f"lines[{place}]"
        if not isinstance(line, dict):
            raise BadRequest(f"{where}: must be a JSON object")
        only(line, {"book": 0, "quantity": 0, "cost": 0}, where)
        book = integer(line.get("book"), f"{where}.book", 0, MAX_ID)
        if places.setdefault(book, place) != place:
            raise BadRequest(f"{where}: book {book} is in lines[{places[book]}] already")
        read.append({"book": book, **copies(line, f"{where}.")})
    return read


def number(value: str, place: str, low: int, high: int) -> int:
    """Return an integer from a query."""
    if not _ID.fullmatch(value):
        raise BadRequest(f"{place}: {value[:40]!r} is not a number")
    return integer(int(value), place, low, high)
