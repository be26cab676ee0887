"""The catalog's verbs: books to read from any replica, and to change."""

from __future__ import annotations

from typing import Any

from bazar.errors import BadRequest, BazarError, Conflict, Indeterminate, Unavailable
from bazar.http.response import next_page
from bazar.node.server import INTERNAL, PUBLIC, Route
from handlers import validation
from handlers.api import SEARCH_NAMES, search_query
from handlers.base import Handler
from handlers.catalog.service import CatalogService

MAX_IMPORT_BOOKS = 1000
MAX_IMPORT_BYTES = 4 << 20


class CatalogHandler(Handler):
    service: CatalogService
    shows_replica = True


class InfoHandler(CatalogHandler):
    async def get(self, book: str) -> None:
        found = await self.service.read({"op": "info", "book": validation.book_id(book)})
        self.answer(found["book"])


class SearchHandler(CatalogHandler):
    query_names = SEARCH_NAMES

    async def get(self) -> None:
        search = search_query(self)
        found = await self.service.read(search)
        if found["after"] is not None:
            self.set_header("Link", next_page(self.link_behind(search), found["after"]))
        self.answer(found["books"])


class UpdateHandler(CatalogHandler):
    """Its answer has no tag: that names what was read, and not what was sent (RFC 9110 section
    9.3.4)."""

    is_conditional = True

    async def put(self, book: str) -> None:
        operation = {
            "op": "update",
            "key": self.idempotency_key(),
            "book": validation.book_id(book),
            "fields": validation.book_changes(self.json_body()),
            **self.conditions(),
        }
        written = await self.service.write(operation)
        self.answer(written["book"])


class CreateHandler(CatalogHandler):
    async def post(self) -> None:
        book = validation.new_book(self.json_body())
        operation = {"op": "create", "key": self.idempotency_key(), "books": [book]}
        [made] = (await self.service.write(operation))["books"]
        if not made["created"]:
            raise Conflict(f"book {made['id']} has this title, author and topic already")
        try:
            found = await self.service.read({"op": "info", "book": made["id"]})
        except Unavailable as error:
            raise Indeterminate(
                f"book {made['id']} is made, but not to be shown now: {error}"
            ) from error
        self.set_header("Location", f"/info/{made['id']}")
        self.answer(found["book"], status=201)


class ImportHandler(CatalogHandler):
    """Many books at once: `{"books": [...]}` -> `{"results": [{"id", "created"} | {"error"}]}`."""

    max_body_bytes = MAX_IMPORT_BYTES

    async def post(self) -> None:
        body = self.json_body()
        validation.only(body, {"books"}, "body")
        rows = body.get("books")
        if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_IMPORT_BOOKS:
            raise BadRequest(f"books: must be a list of 1 to {MAX_IMPORT_BOOKS}")
        results: list[dict[str, Any]] = []
        books = []
        for place, row in enumerate(rows):
            try:
                books.append(validation.new_book(row, f"books[{place}]"))
                results.append({})
            except BazarError as error:
                results.append({"error": str(error)})
        if books:
            operation = {"op": "create", "key": self.idempotency_key(), "books": books}
            made = iter((await self.service.write(operation))["books"])
            results = [result or next(made) for result in results]
        self.answer({"results": results})


ROUTES = (
    Route("/info/([^/]+)", InfoHandler, PUBLIC),
    Route("/search", SearchHandler, PUBLIC),
    Route("/update/([^/]+)", UpdateHandler, INTERNAL),
    Route("/create", CreateHandler, INTERNAL),
    Route("/import", ImportHandler, INTERNAL),
)
