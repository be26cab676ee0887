"""The catalog as a service: one replica of the books, and of the sales."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from bazar.errors import BadRequest, NotFound
from bazar.node.server import Context, Route
from bazar.replication.engine import Engine
from bazar.replication.messages import Entry
from bazar.replication.store import Answer
from bazar.rpc.batcher import Batcher
from handlers.calls import Call
from handlers.catalog.writes import WRITES
from handlers.kinds import ListOf
from handlers.paths import NEWEST_PATH, SALES_PATH
from handlers.replicated import ReplicatedService
from handlers.validation import BOOK_ID
from storage.books import info_key
from storage.catalog import CatalogReader
from storage.engines import catalog_engine
from storage.history import Position
from storage.hot_books import HotBooks
from storage.orders import MAX_SALES
from storage.recent_sales import RecentSales
from storage.searches import Search
from storage.tags import TOPICS

MAX_WAIT_MS = 1000
LOOKUP_S = 10.0
HOT_BOOKS = 4096
_BOOKS = ListOf(BOOK_ID)


class CatalogService(ReplicatedService[CatalogReader]):
    """One catalog replica."""

    prefix = "(?:/catalog2?)?"
    writes = WRITES

    def __init__(
        self,
        context: Context,
        routes: Sequence[Route] = (),
        *,
        engine: Engine[CatalogReader] | None = None,
    ) -> None:
        if engine is None:
            engine = catalog_engine(
                *(context.config, context.node),
                has_led=context.has_led,
                empty=context.empty,
                now_ms=lambda: int(1000 * context.wall()),
            )
        super().__init__(context, engine, routes)
        self._lookups = Batcher(self._look_up)
        self._recent = RecentSales()
        self._hot = HotBooks(HOT_BOOKS)
        # An idle order service asks for sales all the time.
        self.calls[SALES_PATH] = Call(self.sales, logging.DEBUG)
        self.calls[NEWEST_PATH] = Call(self.newest_sales)

    def committed(self, entries: Sequence[Entry]) -> None:
        core = self.replica.core
        self._recent.committed(entries, core.epoch, core.epoch_id)
        self._hot.committed(entries)

    async def _look_up(self, books: list[int], timeout_s: float) -> list[Any]:
        found = await self.reader.info(books)
        return [found.get(book) or NotFound(f"no book has the id {book}") for book in books]

    async def read(self, item: dict[str, Any]) -> Answer:
        match item:
            case {"op": "info", "book": book}:
                return {"book": await self._book(BOOK_ID(book, "book"))}
            case {"op": "books", "books": books}:
                books = _BOOKS(books, "books")
                await self.replica.reads.barrier(frozenset(map(info_key, books)))
                return {"books": list((await self.reader.info(books)).values())}
            case {"op": "search" | "find"}:
                search = Search.of(item)
                await self.replica.reads.barrier(None)
                return (await self.reader.search(search)).plain()
            case {"op": "topics"}:
                await self.replica.reads.barrier(frozenset({TOPICS}))
                return {"topics": await self.reader.topics()}
        raise BadRequest(f"no such read: {str(item)[:100]}")

    async def _book(self, book: int) -> dict[str, Any]:
        tag = info_key(book)
        await self.replica.reads.barrier(frozenset({tag}))
        found = self._hot.get(tag, self.replica.core)
        if found is None:
            since = self.replica.core.committed
            found = await self._lookups.submit(book, LOOKUP_S)
            self._hot.put(tag, found, since, self.replica.core)
        return found

    def known_now(self, tag: str) -> dict[str, Any] | None:
        """Return a book that is in memory, and may be shown at once (L2, L4); else None."""
        if not self.replica.reads.is_open(frozenset({tag})):
            return None
        return self._hot.get(tag, self.replica.core)

    async def sales(self, item: dict[str, Any]) -> Answer:
        """Return the committed `changes` behind the position `after`, sales and cancellations, and
        the `id` of the last one's epoch; wait up to `wait_ms` for the first. Raises ForeignHistory
        (S2, S6)."""
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
            await self.replica.reads.caught_up(position.seq)
            changes, last_id = await self._changes_behind(position)
            if changes:
                break
            more = self.replica.reads.wait_applied(seen + 1, deadline - clock())
            if not await self.context.activity.unless_leaving(more):
                break
        return {"changes": changes, "id": last_id}

    async def _changes_behind(self, position: Position) -> tuple[list[Answer], str | None]:
        core = self.replica.core
        known = self._recent.behind(position, core.committed.seq, core.epoch_id, MAX_SALES)
        return known or await self.reader.changes(position, MAX_SALES)

    async def newest_sales(self, item: dict[str, Any]) -> Answer:
        """Return committed sales before the number `before`, newest first, each with its place."""
        match item:
            case {"before": int(before)} if 0 <= before < 1 << 63:
                await self.replica.reads.barrier(None)
                return {"sales": await self.reader.newest(before, MAX_SALES)}
        raise BadRequest(f"before: is not in {str(item)[:100]}")


def _position(plain: dict[str, Any]) -> Position:
    try:
        return Position.of(plain)
    except ValueError as error:
        raise BadRequest(f"after: {error}") from error
