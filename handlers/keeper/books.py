"""Finding books: by words, an ISBN or a number, or all of them, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bazar.errors import BadRequest
from handlers.api import search_item
from handlers.keeper import forms
from handlers.keeper.base import KeeperHandler
from handlers.keeper.forms import BOOKS_PATH
from handlers.storefront.rendering import link
from handlers.validation import BOOK_ID, WORDS, trouble

ON_PAGE = 50


class HomePage(KeeperHandler):
    @forms.HOME
    def get(self) -> None:
        self.go(BOOKS_PATH)


class BooksPage(KeeperHandler):
    @forms.FIND_BOOKS
    async def get(self) -> None:
        q = (self.given["q"] or "").strip()
        reason = trouble(q) if q else None
        found: dict[str, Any] = {
            "books": [],
            "before": None,
            "after": None,
            "count": 0,
            "more": False,
        }
        if reason is None:
            found = await self.read(self._search(q))
        first = all(not self.given[name] for name in ("offset", "after", "before"))
        numbered = await self._numbered(q) if first else []
        among = {book["id"] for book in numbered}
        self.set_status(200 if reason is None or numbered else 400)
        self.paint(
            "books.html",
            title=f"Books with “{q}”" if q else "Books",
            q=q,
            reason=None if numbered else reason,
            books=[*numbered, *(book for book in found["books"] if book["id"] not in among)],
            first=first,
            count=found["count"],
            is_all=not found["more"],
            **{
                name: link(BOOKS_PATH, q=q or None, **{name: found[name]}) if found[name] else None
                for name in ("before", "after")
            },
        )

    def _search(self, q: str) -> dict[str, Any]:
        part = {**self.given, "limit": ON_PAGE, "skip": self.given["offset"]}
        return search_item(WORDS(q, "q"), None, part) if q else search_item(None, "", part)

    async def _numbered(self, q: str) -> list[Mapping[str, Any]]:
        """Return the book of this number, if it is one, and there is such a book."""
        try:
            number = BOOK_ID.typed(q, "q")
        except BadRequest:
            return []
        found = await self.read({"op": "books", "books": [number]})
        return list(found["books"])
