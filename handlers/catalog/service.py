"""The catalog's paths: books to read from any replica, and to change."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from bazar.errors import BadRequest, BazarError, Conflict, NotFound, Unavailable, Unknown
from bazar.node.server import INTERNAL, PUBLIC, Context, Route
from bazar.replication.store import Answer, Engine
from bazar.rpc.client import Batcher
from handlers import validation
from handlers.base import Handler, next_page
from handlers.calls import Call
from handlers.replicated import NEWEST_PATH, SALES_PATH, ReplicatedService
from storage.catalog import TOPICS, Catalog, CatalogReader, info_key
from storage.engine import SQLiteEngine
from storage.history import Position
from storage.paging import Window
from storage.sqlite.catalog import CatalogRows, SQLiteCatalogReader

MAX_IMPORT_BOOKS = 1000
MAX_IMPORT_BYTES = 4 << 20
MAX_SALES = 500
MAX_WAIT_MS = 1000
LOOKUP_S = 10.0


class CatalogService(ReplicatedService[CatalogReader]):
    """One catalog replica."""

    prefix = "(?:/catalog2?)?"
    tables = Catalog.tables

    def __init__(self, context: Context, engine: Engine[CatalogReader] | None = None) -> None:
        if engine is None:
            model = CatalogRows(Catalog())
            engine = SQLiteEngine(
                context.config, context.node, model, SQLiteCatalogReader, derived="order"
            )
        super().__init__(context, engine)
        self._lookups = Batcher(self._look_up)
        # An idle order service asks for sales all the time.
        self.calls[SALES_PATH] = Call(self.sales, logging.DEBUG)
        self.calls[NEWEST_PATH] = Call(self.newest_sales)

    def routes(self) -> Sequence[Route]:
        return (
            Route("/info/([^/]+)", InfoHandler, PUBLIC),
            Route("/search", SearchHandler, PUBLIC),
            Route("/update/([^/]+)", UpdateHandler, INTERNAL),
            Route("/create", CreateHandler, INTERNAL),
            Route("/import", ImportHandler, INTERNAL),
            *super().routes(),
        )

    async def _look_up(self, books: list[int], timeout_s: float) -> list[Any]:
        found = await self.reader.info(books)
        return [found.get(book) or NotFound(f"no book has the id {book}") for book in books]

    async def read(self, item: dict[str, Any]) -> Answer:
        match item:
            case {"op": "info", "book": int(book)}:
                await self.replica.reading(frozenset({info_key(book)}))
                return {"book": await self._lookups.submit(book, LOOKUP_S)}
            case {"op": "books", "books": list(books)}:
                await self.replica.reading(frozenset(map(info_key, books)))
                return {"books": list((await self.reader.info(books)).values())}
            case {"op": "search", "topic": str(topic), **part}:
                window = Window.of(part)
                await self.replica.reading(None)
                return (await self.reader.search(topic, window)).plain()
            case {"op": "find", "q": str(q), **part}:
                window = Window.of(part)
                await self.replica.reading(None)
                return (await self.reader.find(q, window)).plain()
            case {"op": "topics"}:
                await self.replica.reading(frozenset({TOPICS}))
                return {"topics": await self.reader.topics()}
        raise BadRequest(f"no such read: {str(item)[:100]}")

    async def sales(self, item: dict[str, Any]) -> Answer:
        """Committed sales behind the position `after`, and the `id` of the last one's epoch; with
        `wait_ms` it waits that long for the first. Raises ForeignHistory (S2)."""
        match item:
            case {"after": dict(after), "wait_ms": int(wait_ms)} if wait_ms <= MAX_WAIT_MS:
                position = _position(after)
            case _:
                raise BadRequest(f"after, wait_ms: are not in {str(item)[:100]}")
        clock = self.context.clock
        deadline = clock() + wait_ms / 1000
        while True:
            # Under a lease: a file that is still checked, or of another history, is not asked.
            seen = self.replica.core.committed.seq
            await self.replica.caught_up(position.seq)
            sales, last_id = await self.reader.sales(position, MAX_SALES)
            if sales:
                break
            more = self.replica.applied(seen + 1, deadline - clock())
            if not await self.context.activity.unless_leaving(more):
                break
        return {"sales": sales, "id": last_id}

    async def newest_sales(self, item: dict[str, Any]) -> Answer:
        """Committed sales before the number `before`, newest first, each with its place."""
        match item:
            case {"before": int(before)}:
                await self.replica.reading(None)
                return {"sales": await self.reader.newest(before, MAX_SALES)}
        raise BadRequest(f"before: is not in {str(item)[:100]}")


def _position(plain: dict[str, Any]) -> Position:
    try:
        return Position.of(plain)
    except ValueError as error:
        raise BadRequest(f"after: {error}") from error


class CatalogHandler(Handler):
    service: CatalogService
    shows_replica = True


class InfoHandler(CatalogHandler):
    async def get(self, book: str) -> None:
        found = await self.service.read({"op": "info", "book": validation.book_id(book)})
        self.answer(found["book"])


SEARCH_NAMES = frozenset({"topic", "q", "limit", "offset", "after"})


class SearchHandler(CatalogHandler):
    query_names = SEARCH_NAMES

    async def get(self) -> None:
        search = search_query(self)
        found = await self.service.read(search)
        if found["after"] is not None:
            self.set_header("Link", next_page(self.link_behind(search), found["after"]))
        self.answer(found["books"])


def search_query(handler: Handler) -> dict[str, Any]:
    """The search that a request asks for, as an item to read: by topic, or by words."""
    topic, q = handler.query("topic"), handler.query("q")
    if topic is not None and q is not None:
        raise BadRequest("topic, q: one of them, not both")
    limit = handler.query_number("limit", validation.MAX_PAGE, 1, validation.MAX_PAGE)
    part = {"limit": limit, **where_to_begin(handler)}
    if q is not None:
        return {"op": "find", "q": validation.words(q, "q"), **part}
    if topic is None:
        raise BadRequest("topic: is missing (or q, for words of title or author)")
    return {"op": "search", "topic": validation.text(topic, "topic", validation.MAX_QUERY), **part}


def where_to_begin(handler: Handler) -> dict[str, Any]:
    """What a request says of the part of a list that it wants, besides how much."""
    return {
        "skip": handler.query_number("offset", 0, 0, validation.MAX_OFFSET),
        "after": validation.place_in_list(handler.query("after"), "after"),
    }


def search_key(search: Mapping[str, Any]) -> str:
    """The cache key of a search's answer."""
    wanted = search["topic"] if search["op"] == "search" else search["q"]
    part = [search.get(name) for name in ("limit", "skip", "after", "before")]
    return f"{search['op']}_{'_'.join(map(str, part))}_{wanted}"


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
            raise Unknown(f"book {made['id']} is made, but not to be shown now: {error}") from error
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
