"""The look of the keeper's pages, where they lead, and their texts of errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bazar.errors import BazarError
from handlers.keeper.forms import BOOKS_PATH, ORDERS_PATH
from handlers.storefront import rendering

NAVIGATION = ((BOOKS_PATH, "Books"), ("/keeper/add", "Add a book"), (ORDERS_PATH, "Orders"))
"""What each page leads to: an address, and its name."""

_loader = rendering.loader(Path(__file__).parent)


def paint(template: str, **values: Any) -> bytes:
    """Return a page. `title` is what its tab shows, and `here` its path."""
    known = {"navigation": NAVIGATION, "here": "", "q": ""}
    painted: bytes = _loader.load(template).generate(**{**known, **values})
    return painted


def apology(error: BazarError) -> tuple[str, str]:
    """Return a heading, and what the error means for the keeper."""
    known = _APOLOGIES.get(error.status)
    if known is not None:
        return known
    if error.status < 500:
        return "That did not work", f"Something in the address or in the form is wrong - {error}."
    return (
        "Something broke",
        "It is a fault of the shop's, and in its log. Whether anything was changed is not known:"
        " send it again, and it will be done once.",
    )


_APOLOGIES = {
    404: ("There is no such page", "The book, order or page that you asked for is not here."),
    503: (
        "The shop needs a moment",
        "The part that answers this is being replaced, which takes a few seconds. Nothing was"
        " changed. Please try again in a moment.",
    ),
    504: (
        "We are not sure yet",
        "It was sent, but the answer got lost on its way. Send it again: it is still the same, and"
        " will be done once, however often you send it.",
    ),
}
