"""How a list of books is named on its page, and the addresses of the lists beside it: in another
order, or of more or fewer books."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from handlers.storefront.rendering import link
from storage.paging import RANKED

BY_WORDS = ("fit", "title", "price", "-price", "newest")
OTHERS = (None, "title", "price", "-price", "newest")
CHOICES = {
    None: "First added",
    "fit": "Best match",
    "title": "Title",
    "price": "Lowest price",
    "-price": "Highest price",
    "newest": "Newest",
}
SENTENCES = {
    None: "those added first come first",
    "fit": "the best matches first",
    "title": "by title, A to Z",
    "price": "the cheapest first",
    "-price": "the most expensive first",
    "newest": "the newest first",
}


class Listing:
    """The list that a search, as it is read, asks for."""

    def __init__(self, search: Mapping[str, Any]) -> None:
        self.q: str = search.get("q", "")
        self.topic: str = search.get("topic", "")
        self.in_stock: bool = search.get("in_stock", False)
        self.sort: str | None = search.get("sort") or ("fit" if self.q else None)

    @property
    def heading(self) -> str:
        if self.q:
            return f"Books with “{self.q}”" + (f" in {self.topic}" if self.topic else "")
        return f"Books about {self.topic}" if self.topic else "All books"

    def order(self, *, is_all: bool) -> str:
        """Return the order in words; `is_all` says that all books have been counted."""
        if self.sort == "fit" and not is_all:
            return f"the best {RANKED:,} first, then the others as they were added"
        return SENTENCES[self.sort]

    def orders(self) -> Iterator[tuple[str, str | None]]:
        """Yield the name of each order, and the address of the list in it; None for this one."""
        for sort in BY_WORDS if self.q else OTHERS:
            address = None if sort == self.sort else self.link(sort=sort)
            yield CHOICES[sort], address

    def link(self, **changes: Any) -> str:
        """Return the address of the list with these changes, from its beginning or from a place."""
        wanted = {"q": self.q, "topic": self.topic, "sort": self.sort, "in_stock": self.in_stock}
        wanted |= changes
        if wanted["sort"] == ("fit" if wanted["q"] else None):
            wanted["sort"] = None
        wanted["in_stock"] = "true" if wanted["in_stock"] else None
        return link("/books", **{name: value or None for name, value in wanted.items()})
