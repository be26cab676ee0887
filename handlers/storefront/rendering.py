"""What pages are made of: templates, money, dates, and the texts of errors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tornado.template import Loader

from bazar.errors import BazarError
from handlers.assets import assets
from handlers.validation import MAX_QUERY, MAX_WORDS

HUES = 12  # colours of covers in shop.css
FEW = 3


def money(cents: int) -> str:
    """Return the cents as dollars.

    >>> money(123456)
    '$1,234.56'
    """
    return f"${cents // 100:,}.{cents % 100:02}"


def when(moment: str) -> str:
    """Return the moment as people write it.

    >>> when("2026-11-02T19:25:55.831Z")
    '2 November 2026, 19:25 UTC'
    """
    at = datetime.fromisoformat(moment).astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def available(book: Mapping[str, Any]) -> int:
    """Return how many copies may be bought: none of a book that is retired (S8)."""
    return 0 if book.get("retired") else book["count"]


def stock(book: Mapping[str, Any]) -> str:
    """Return whether a book may be bought, in words."""
    if book.get("retired"):
        return "No longer sold"
    count = book["count"]
    if count == 0:
        return "Out of stock"
    return f"Only {count} left" if count <= FEW else f"{count:,} in stock"


def extent(is_first: bool, shown: int, count: int, is_all: bool, more: bool) -> str:
    """Return how many books a page of a list shows, and of how many: of `count`, or of more.

    >>> extent(True, 24, 1000, False, True), extent(False, 24, 317, True, True)
    ('24 of more than 1,000 books', '24 more of 317 books')
    >>> extent(True, 1, 1, True, False), extent(True, 7, 7, True, False)
    ('One book', '7 books')
    """
    if is_first and not more:
        return "One book" if shown == 1 else f"{shown} books"
    further = "" if is_first else " more"
    return f"{shown}{further} of {'' if is_all else 'more than '}{count:,} books"


def link(path: str, **query: Any) -> str:
    """Return a path with those fields of `query` that are not None."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def by_author(author: str) -> str | None:
    """Return a link to the books of an author; None if the name has no word to search for."""
    names = [name for name in author[:MAX_QUERY].split() if any(map(str.isalnum, name))]
    return link("/books", q=" ".join(names[:MAX_WORDS])) if names else None


def hue(book: Mapping[str, Any]) -> str:
    return f"hue-{book['catalog_id'] % HUES}"


def loader(room: Path) -> Loader:
    """Return what loads a room's templates: all have the same words for what they show."""
    shared = (money, when, available, stock, link, hue, by_author, extent)
    namespace = {
        **{function.__name__: function for function in shared},
        "asset": lambda name: assets()[name].url,
    }
    return Loader(str(room / "templates"), whitespace="single", namespace=namespace)


_loader = loader(Path(__file__).parent)


def paint(template: str, **values: Any) -> bytes:
    """Return a page. `title` is what its tab shows."""
    painted: bytes = _loader.load(template).generate(**{"q": "", "retry": None, **values})
    return painted


Apology = tuple[str, str]
"""A heading, and what an error means for the visitor; in that `{error}` stands for its own words,
and `{until}` for the moment in its details."""
WRONG = "That did not work", "Something in the address or in the form is wrong - {error}."


def apology(error: BazarError, known: Mapping[str, Apology]) -> Apology:
    """Return what to say of the error."""
    otherwise = WRONG if error.status < 500 else known["internal"]
    heading, text = known.get(error.code, otherwise)
    until = error.details.get("until")
    return heading, text.format(error=error, until=until and when(until))


APOLOGIES: Mapping[str, Apology] = {
    "internal": (
        "Something broke",
        "It is our fault, and it is in our log. Nothing was bought.",
    ),
    "too_many_requests": (
        "One moment, please",
        "More was asked for from where you are than the shop answers at a time. Nothing was done:"
        " please try again in a moment.",
    ),
    "not_found": (
        "There is no such page",
        "The book, order or page that you asked for is not here.",
    ),
    "retired": (
        "It is no longer sold",
        "The shop has taken a book of it out of its range. Nothing was bought, and nothing is"
        " charged.",
    ),
    "out_of_stock": (
        "Not enough of it is left",
        "Another customer was faster. Nothing was bought, and nothing is charged.",
    ),
    "unavailable": (
        "The shop needs a moment",
        "The part that answers this is being replaced, which takes a few seconds. Nothing was"
        " bought, and nothing is charged. Please try again in a moment.",
    ),
    "foreign_history": (
        "The shop does not sell just now",
        "Its operator has to repair something first. Nothing was bought, and nothing is charged.",
    ),
    "leaving": (
        "The shop needs a moment",
        "This part of the shop is being restarted. Nothing was bought. Please try again.",
    ),
    "unknown": (
        "We are not sure yet",
        "Your order was sent, but the answer got lost on its way. Ask again: it is still the same"
        " order, and will be made once, however often you ask.",
    ),
    "key_reused": (
        "This order was made before",
        "An earlier try went through, with other copies or prices than now. That order stands;"
        " nothing more was bought.",
    ),
    "no_cookie": (
        "May the shop set a cookie?",
        "It tells your orders from those of others, and nobody else can ask for them. Your browser"
        " sent none. Nothing was bought: allow cookies for the shop, and try again.",
    ),
    "forbidden": (
        "That came from another site",
        "A page of another site tried to do something in your name. The shop did not do it.",
    ),
}
UNDOING: Mapping[str, Apology] = {
    **APOLOGIES,
    "internal": (
        "Something broke",
        "It is our fault, and it is in our log. Look at your order before you try again.",
    ),
    "unavailable": (
        "The shop needs a moment",
        "The part that answers this is being replaced, which takes a few seconds. Nothing has"
        " changed so far: your order stands. Please try again in a moment.",
    ),
    "foreign_history": (
        "The shop can’t undo anything just now",
        "Its operator has to repair something first. Nothing has changed: your order stands.",
    ),
    "leaving": (
        "The shop needs a moment",
        "This part of the shop is being restarted. Nothing has changed so far. Please try again.",
    ),
    "unknown": (
        "We are not sure yet",
        "What you asked for was sent, but the answer got lost on its way. Ask again: it is done"
        " once, however often you ask.",
    ),
    "too_late": (
        "It is too late to undo this",
        "You could until {until}. The order stands as it is, and nothing has changed.",
    ),
    "not_buyer": (
        "Only its buyer can undo an order",
        "This browser does not know that it has bought it. Perhaps another one has, or the shop’s"
        " cookies were deleted. Nothing has changed.",
    ),
    "no_cookie": (
        "Only its buyer can undo an order",
        "Your browser has sent no cookie that shows who you are. Nothing has changed.",
    ),
}
"""The same where an order is undone: what is said elsewhere speaks of buying."""
