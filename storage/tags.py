"""What cached answers about books are known by, and which of them an entry drops (C5)."""

from __future__ import annotations

from storage.books import Row, info_key
from storage.terms import FIELDS

SEARCHES = "searches"  # every search
PRICES = "prices"  # searches in the order of prices
IN_STOCK = "in_stock"  # searches of what is in stock
TOPICS = "topics"  # the list of topics


def touched(before: Row | None, after: Row | None) -> set[str]:
    """Return the tags of an entry that makes a book of what was `before`: those of every cached
    answer that it may change. None is where there was no such book, or is none any more."""
    if before is None or after is None:
        tags = {info_key(book["id"]) for book in (before, after) if book is not None}
        return tags | {SEARCHES, TOPICS}  # it may enter or leave any search
    tags = {info_key(after["id"])}
    if any(after[name] != before[name] for name in FIELDS):
        return tags | {SEARCHES, TOPICS}
    if after["cost"] != before["cost"]:
        tags.add(PRICES)
    if (after["count"] > 0) != (before["count"] > 0):
        tags.add(IN_STOCK)
    return tags
