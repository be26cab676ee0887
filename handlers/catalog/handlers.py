"""The catalog's verbs: books to read from any replica, and to change."""

from __future__ import annotations

from typing import Any

from bazar.errors import BazarError
from bazar.node.server import INTERNAL, PUBLIC, Route
from handlers import verbs
from handlers.api import (
    answer_made,
    create_operation,
    retired_query,
    search_query,
    show_books,
    update_operation,
)
from handlers.base import Handler
from handlers.catalog.known_book import KnownBook
from handlers.catalog.service import CatalogService
from handlers.validation import NEW_BOOK


class CatalogHandler(Handler):
    service: CatalogService
    shows_replica = True

    async def show_page(self, search: dict[str, Any]) -> None:
        show_books(self, search, await self.service.read(search))


class InfoHandler(CatalogHandler):
    @verbs.SHOW_BOOK
    async def get(self, book: int) -> None:
        found = await self.service.read({"op": "info", "book": book})
        known = KnownBook(self.service, book, self.kind)
        self.service.known.remember(self.target, known)
        self.answer(found["book"])


class SearchHandler(CatalogHandler):
    @verbs.SEARCH
    async def get(self) -> None:
        await self.show_page(search_query(self.given))


class RetiredHandler(CatalogHandler):
    @verbs.LIST_RETIRED
    async def get(self) -> None:
        await self.show_page(retired_query(self.given))


class UpdateHandler(CatalogHandler):
    """Its answer has no tag: that names what was read, and not what was sent (RFC 9110 section
    9.3.4)."""

    @verbs.UPDATE_BOOK
    async def put(self, book: int) -> None:
        written = await self.service.write(update_operation(self, book))
        self.answer(written["book"])


class CreateHandler(CatalogHandler):
    @verbs.CREATE_BOOK
    async def post(self) -> None:
        written = await self.service.write(create_operation(self))
        await answer_made(self, written, self.service.read)


class ImportHandler(CatalogHandler):
    """Each book has its own answer, in the order of the books: a bad one keeps out no other."""

    @verbs.IMPORT_BOOKS
    async def post(self) -> None:
        rows = self.json_body()["books"]
        results: list[dict[str, Any]] = []
        books = []
        for place, row in enumerate(rows):
            try:
                books.append(NEW_BOOK(row, f"books[{place}]"))
                results.append({})
            except BazarError as error:
                results.append({"error": str(error)})
        if books:
            operation = {"op": "create", "key": self.key, "books": books}
            made = iter((await self.service.write(operation))["books"])
            results = [result or next(made) for result in results]
        self.answer({"results": results})


class SamplesHandler(CatalogHandler):
    """The books with which every shop begins that is not begun empty."""

    @verbs.REMOVE_SAMPLES
    async def delete(self) -> None:
        written = await self.service.write({"op": "remove_samples", "key": self.key})
        self.answer({name: written[name] for name in ("removed", "kept")})


ROUTES = (
    Route("/info/([^/]+)", InfoHandler, PUBLIC),
    Route("/search", SearchHandler, PUBLIC),
    Route("/retired", RetiredHandler, INTERNAL),
    Route("/update/([^/]+)", UpdateHandler, INTERNAL),
    Route("/create", CreateHandler, INTERNAL),
    Route("/import", ImportHandler, INTERNAL),
    Route("/samples", SamplesHandler, INTERNAL),
)
