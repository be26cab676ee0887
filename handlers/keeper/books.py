"""Finding books: by words, an ISBN or a number, or all of them, page by page, or as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bazar.errors import BadRequest
from handlers.api import search_item
from handlers.keeper import forms, table
from handlers.keeper.base import KeeperHandler
from handlers.keeper.forms import BOOKS_FILE, BOOKS_PATH, RETIRED
from handlers.storefront.rendering import link
from handlers.validation import BOOK_ID, WORDS, trouble
from storage import exports

ON_PAGE = 50
NONE: Mapping[str, Any] = {"books": [], "before": None, "after": None, "count": 0, "more": False}
ALL_OF_THEM = "look for fewer, or have all by `python -m bazar export books --format csv`"


class HomePage(KeeperHandler):
    @forms.HOME
    def get(self) -> None:
        self.go(BOOKS_PATH)


class BooksHandler(KeeperHandler):
    @property
    def q(self) -> str:
        return (self.given["q"] or "").strip()

    @property
    def trouble(self) -> str | None:
        """Return a sentence that says why there are no words to look for."""
        return trouble(self.q) if self.q else None

    async def found(
        self, limit: int, after: str | None, before: str | None = None
    ) -> Mapping[str, Any]:
        """Return a page of the books that the words find, or of all; on sale, or retired."""
        if self.trouble is not None:
            return NONE
        part = {"limit": limit, "skip": 0, "after": after, "before": before}
        part[RETIRED] = self.given[RETIRED]
        words = WORDS(self.q, "q") if self.q else None
        return await self.read(search_item(words, "" if words is None else None, part))

    async def numbered(self) -> list[Mapping[str, Any]]:
        """Return the book of this number, if it is one, and there is such a book: a retired one in
        any case."""
        try:
            number = BOOK_ID.typed(self.q, "q")
        except BadRequest:
            return []
        found = await self.read({"op": "books", "books": [number]})
        return [book for book in found["books"] if RETIRED in book or not self.given[RETIRED]]

    def address(self, path: str, **more: str | None) -> str:
        """Return the address of this list, from its beginning or from a place."""
        retired = "true" if self.given[RETIRED] else None
        return link(path, q=self.q or None, **{RETIRED: retired}, **more)


class BooksPage(BooksHandler):
    @forms.FIND_BOOKS
    async def get(self) -> None:
        q, after, before = self.q, self.given["after"], self.given["before"]
        found = await self.found(ON_PAGE, after, before)
        first = not after and not before
        numbered = await self.numbered() if first else []
        reason = None if numbered else self.trouble
        self.set_status(200 if reason is None else 400)
        what = "Retired books" if self.given[RETIRED] else "Books"
        self.paint(
            "books.html",
            title=f"{what} with “{q}”" if q else what,
            q=q,
            retired=self.given[RETIRED],
            others=link(BOOKS_PATH, q=q or None, retired="true"),
            reason=reason,
            books=[*numbered, *_others(found["books"], numbered)],
            first=first,
            count=found["count"],
            is_all=not found["more"],
            file=self.address(BOOKS_FILE),
            beginning=self.address(BOOKS_PATH),
            **{
                name: self.address(BOOKS_PATH, **{name: found[name]}) if found[name] else None
                for name in ("before", "after")
            },
        )


class BooksFile(BooksHandler):
    @forms.BOOKS_TABLE
    async def get(self) -> None:
        numbered = await self.numbered()
        if self.trouble is not None and not numbered:
            raise BadRequest(f"q: {self.trouble.removesuffix('.')}")

        async def page(place: str | None) -> table.Page:
            found = await self.found(table.ON_PAGE, place)
            first = numbered if place is None else []
            return [*first, *_others(found["books"], numbered)], found["after"]

        await table.send_table(self, "books.csv", exports.BOOK, page, ALL_OF_THEM)


def _others(
    books: list[Mapping[str, Any]], shown: list[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return those of the books that are not shown already."""
    among = {book["id"] for book in shown}
    return [book for book in books if book["id"] not in among]
