"""The look of the keeper's pages, where they lead, and their texts of errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handlers.keeper.forms import BOOKS_PATH, ORDERS_PATH
from handlers.storefront import rendering

NAVIGATION = ((BOOKS_PATH, "Books"), ("/keeper/add", "Add a book"), (ORDERS_PATH, "Orders"))
"""What each page leads to: an address, and its name."""

_loader = rendering.loader(Path(__file__).parent)


def paint(template: str, **values: Any) -> bytes:
    """Return a page. `title` is what its tab shows, and `here` its path."""
    painted: bytes = _loader.load(template).generate(**{"navigation": NAVIGATION, **values})
    return painted


_REPAIR = (
    "The shop has to be repaired first",
    "Nothing was changed, and to wait does not help: {error}.",
)
KEEPING: Mapping[str, rendering.Apology] = {
    "internal": (
        "Something broke",
        "It is a fault of the shop's, and in its log. Whether anything was changed is not known:"
        " send it again, and it will be done once.",
    ),
    "not_found": (
        "There is no such page",
        "The book, order or page that you asked for is not here.",
    ),
    "too_many_requests": rendering.APOLOGIES["too_many_requests"],
    "forbidden": ("That is not done here", "Nothing was changed: {error}."),
    "unavailable": (
        "The shop needs a moment",
        "The part that answers this is being replaced, which takes a few seconds. Nothing was"
        " changed. Please try again in a moment.",
    ),
    "leaving": (
        "The shop needs a moment",
        "This part of the shop is being restarted. Nothing was changed. Please try again.",
    ),
    **dict.fromkeys(("foreign_history", "other_token", "untrusted"), _REPAIR),
    "unknown": (
        "We are not sure yet",
        "It was sent, but the answer got lost on its way. Send it again: it is still the same, and"
        " will be done once, however often you send it.",
    ),
}
"""What errors mean for the keeper."""
