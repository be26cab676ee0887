"""The catalog's rows in PostgreSQL: what a batch reads of them, and what callers read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bazar.replication.messages import Entry
from bazar.replication.store import Operation, Outcome
from storage import history, paging
from storage.books import RETIRED, change_answer, fold, info_key
from storage.catalog import MAX_TOPICS, Catalog
from storage.history import EPOCH_SHIFT, Position
from storage.paging import By
from storage.postgresql import search, search_index
from storage.postgresql.books import (
    BOOK,
    BOOKS_BY_ID,
    CANCELLATIONS,
    COLUMNS,
    EARLIER_CANCELLATIONS,
    RETIRING,
    SCHEMA,
    TABLES,
    book_of,
    shown,
)
from storage.postgresql.history import epochs, epochs_since
from storage.postgresql.learning import learn
from storage.postgresql.session import Row, Session, Statement
from storage.postgresql.snapshots import Snapshots
from storage.postgresql.state_tables import StateTables
from storage.searches import Count, Found, Search
from storage.tags import TOPICS
from storage.working_set import WantedRows, WorkingSet

_KEYED = {"sales": "key, request, order_id, seq, sold_at, lines", "answers": "key, request, answer"}
_CANCELLED = "order_id, seq, cancelled_at, cancelled"

# What a batch may need, by the part of `WantedRows` that names it.
HIGHEST = (
    f"SELECT (SELECT COALESCE(max(id), 0) FROM {SCHEMA}.books),"
    f" (SELECT COALESCE(max(id), 0) FROM {SCHEMA}.topics)"
)
_NOT_ASKED = ((0, 0),)  # where nothing is made
EXPIRED = f"SELECT key FROM {SCHEMA}.answers WHERE at < $1 ORDER BY at, key LIMIT $2"
TOPICS_BY_NAME = f"SELECT id, name FROM {SCHEMA}.topics WHERE name = ANY($1::text[])"
_ALIKE = "id, title, author, catalog_id, isbn, retired"
ALIKE = f"SELECT {_ALIKE} FROM {SCHEMA}.books WHERE title = ANY($1::text[])"
SALES_BY_KEY, ANSWERS_BY_KEY = (
    f"SELECT {columns} FROM {SCHEMA}.{table} WHERE key = ANY($1::text[])"
    for table, columns in _KEYED.items()
)
SALES_BY_ID = f"SELECT {_KEYED['sales']} FROM {SCHEMA}.sales WHERE order_id = ANY($1::text[])"
CANCELLED_BY_ID = (
    f"SELECT {_CANCELLED} FROM {SCHEMA}.cancellations WHERE order_id = ANY($1::text[])"
)
CANCELLED_BY_KEY = (
    f"SELECT {_CANCELLED} FROM {SCHEMA}.cancellations WHERE order_id = ANY(ARRAY(SELECT order_id"
    f" FROM {SCHEMA}.sales WHERE key = ANY($1::text[])))"
)
EPOCHS_SINCE = epochs_since(SCHEMA)
FIRST_SALE = Statement(f"SELECT order_id FROM {SCHEMA}.sales ORDER BY seq LIMIT 1")

# What callers read.
BOOKS_SHOWN = f"{BOOKS_BY_ID} ORDER BY b.id"
ALL_TOPICS = Statement(
    f"SELECT id, name FROM {SCHEMA}.topics t WHERE EXISTS"
    f" (SELECT 1 FROM {SCHEMA}.books WHERE catalog_id = t.id AND retired IS NULL)"
    " ORDER BY name LIMIT $1",
    (MAX_TOPICS,),
)
END = Statement(f"SELECT number FROM {SCHEMA}.mark")
CHANGES = (
    f"(SELECT seq, order_id, sold_at, lines, false FROM {SCHEMA}.sales"
    " WHERE seq > $1 ORDER BY seq LIMIT $2) UNION ALL"
    f" (SELECT seq, order_id, cancelled_at, cancelled, true FROM {SCHEMA}.cancellations"
    " WHERE seq > $1 ORDER BY seq LIMIT $2) UNION ALL"
    f" (SELECT seq, order_id, cancelled_at, cancelled, true FROM {SCHEMA}.earlier_cancellations"
    " WHERE seq > $1 ORDER BY seq LIMIT $2) ORDER BY seq LIMIT $2"
)
CHANGE_COLUMNS = {
    False: ("seq", "order_id", "sold_at", "lines"),
    True: ("seq", "order_id", "cancelled_at", "cancelled"),
}
NEWEST = (
    f"SELECT s.order_id, s.seq, h.id FROM {SCHEMA}.sales s"
    f" LEFT JOIN {SCHEMA}.history h ON h.epoch = s.seq >> {EPOCH_SHIFT}"
    " WHERE s.seq < $1 ORDER BY s.seq DESC LIMIT $2"
)


class Lists(NamedTuple):
    """What reads books by number, of those on sale or of those that are retired, in one direction:
    up to $2 behind $1, after the first $3; and what counts them, up to $1. What they are ordered by
    has an index that begins with it, and no other index has that order. Of each matching topic only
    as many books are read as the page could show. So it costs the same in a large shop."""

    page: str
    page_of_topics: str  # whose names contain $4
    size: str
    size_of_topics: str  # whose names contain $2

    @classmethod
    def of(cls, *, forwards: bool, retired: bool) -> Lists:
        """Make the statements."""
        beyond, way = (">", "ASC") if forwards else ("<", "DESC")
        are = f"retired = {RETIRED}" if retired else "retired IS NULL"
        # As a comparison of both: where `retired` is known, any index by number has this order.
        behind = (
            f"(retired, id) {beyond} ({RETIRED}, $1)" if retired else f"{are} AND id {beyond} $1"
        )
        cut = "LIMIT $2::bigint OFFSET $3::bigint"

        def of_topic(what: str, tests: str, most: str) -> str:
            return (
                f"{SCHEMA}.topics t CROSS JOIN LATERAL (SELECT {what} FROM {SCHEMA}.books"
                f" WHERE catalog_id = t.id AND {tests}"
                f" ORDER BY catalog_id {way}, retired {way}, id {way} LIMIT {most}) b"
            )

        listed = (
            f"SELECT * FROM {SCHEMA}.books WHERE {behind} ORDER BY retired {way}, id {way} {cut}"
        )
        return cls(
            f"SELECT {BOOK} FROM ({listed}) b JOIN {SCHEMA}.topics t ON t.id = b.catalog_id"
            f" ORDER BY b.id {way}",
            f"SELECT {BOOK} FROM {of_topic('*', behind, '$2::bigint + $3::bigint')}"
            f" WHERE strpos(t.folded, $4) > 0 ORDER BY b.id {way} {cut}",
            f"SELECT count(*) FROM (SELECT 1 FROM {SCHEMA}.books WHERE {are}"
            " ORDER BY retired, id LIMIT $1::bigint) b",
            f"SELECT count(*) FROM (SELECT 1 FROM {of_topic('1', are, '$1::bigint')}"
            " WHERE strpos(t.folded, $2) > 0 LIMIT $1::bigint) b",
        )


LISTS = {
    (forwards, retired): Lists.of(forwards=forwards, retired=retired)
    for forwards in (True, False)
    for retired in (False, True)
}


class CatalogRows:
    """The `Model` of the catalog's group."""

    schema = SCHEMA
    migrations: Sequence[Sequence[str]] = (
        (*TABLES, *search_index.TABLES),
        *(CANCELLATIONS, (), (*RETIRING, *search_index.LAST), EARLIER_CANCELLATIONS),
    )

    def __init__(
        self,
        catalog: Catalog,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.tables = catalog.tables
        self._catalog = catalog
        self._now_ms = now_ms
        self._state = StateTables(SCHEMA, self.tables, COLUMNS)

    def seed(self) -> Sequence[Operation]:
        return self._catalog.seed()

    def loads(self, operations: Sequence[Operation]) -> tuple[Statement, ...]:
        return tuple(_wanted(self._catalog.wanted(operations), self._now_ms()).values())

    def execute(
        self, operations: Sequence[Operation], results: Sequence[Sequence[Row]], first: int
    ) -> list[Outcome]:
        now_ms = self._now_ms()
        read = _wanted(self._catalog.wanted(operations), now_ms)
        rows = dict(zip(read, results, strict=True))
        work = _working_set(rows, first, now_ms)
        return self._catalog.decide(work, operations)

    async def derive(self, session: Session, epoch_id: str) -> bool:
        return await learn(session, epoch_id)

    def writes(self, entries: Iterable[Entry]) -> list[Statement]:
        entries = list(entries)
        images = self._state.last_images(entries)
        return self._state.writes(images) + search_index.writes(entries, images)


def _wanted(wanted: WantedRows, now_ms: int) -> Mapping[str, Statement]:
    """Return the statements that read what is wanted, by name: a few however large the batch is;
    for sales alone the fewest."""
    read: dict[str, Statement] = {}
    for name, sql, values in (
        ("books", BOOKS_BY_ID, wanted.books),
        ("topics", TOPICS_BY_NAME, wanted.topics),
        ("alike", ALIKE, wanted.titles),
        ("sales", SALES_BY_KEY, wanted.keys),
        ("cancelled", CANCELLED_BY_KEY, wanted.keys),
        ("sales by id", SALES_BY_ID, wanted.orders),
        ("cancelled by id", CANCELLED_BY_ID, wanted.orders),
        ("answers", ANSWERS_BY_KEY, wanted.keys),
    ):
        if values:
            read[name] = Statement(sql, (list(values),))
    if wanted.topics:  # a new book has one, too
        read["highest"] = Statement(HIGHEST)
    if wanted.forgets:
        read["expired"] = Statement(EXPIRED, (Catalog.kept_since(now_ms), wanted.forgets))
    if wanted.since is not None:
        read["history"] = Statement(EPOCHS_SINCE, (wanted.since,))
    if wanted.first_sale:
        read["first sale"] = FIRST_SALE
    return read


def _working_set(rows: Mapping[str, Sequence[Row]], first: int, now_ms: int) -> WorkingSet:
    """Return the working set of what the statements of `_wanted` have read."""

    def named(name: str, columns: str) -> list[dict[str, Any]]:
        names = columns.split(", ")
        return [dict(zip(names, row, strict=True)) for row in rows.get(name, ())]

    [(highest_book, highest_topic)] = rows.get("highest", _NOT_ASKED)
    return WorkingSet.of(
        books=map(book_of, rows.get("books", ())),
        topics=named("topics", "id, name"),
        alike=named("alike", _ALIKE),
        sales=[row for name in ("sales", "sales by id") for row in named(name, _KEYED["sales"])],
        cancellations=[
            row for name in ("cancelled", "cancelled by id") for row in named(name, _CANCELLED)
        ],
        answers=named("answers", _KEYED["answers"]),
        expired=[key for (key,) in rows.get("expired", ())],
        highest_book=highest_book,
        highest_topic=highest_topic,
        history=epochs(rows.get("history", ())),
        first=first,
        now_ms=now_ms,
        first_sale=[order_id for (order_id,) in rows.get("first sale", ())],
    )


def by_number(wanted: Search) -> tuple[Statement, Statement]:
    """Return what reads a page of books by number, whatever their stock, and what counts all."""
    lists = LISTS[wanted.forwards, wanted.retired]
    _, edge = search.edge_of(wanted)
    page, most = (edge, wanted.limit + 1, wanted.skip), paging.COUNTED + 1
    topic = fold(wanted.topic or "")
    if topic:
        return (
            Statement(lists.page_of_topics, (*page, topic)),
            Statement(lists.size_of_topics, (most, topic)),
        )
    return Statement(lists.page, page), Statement(lists.size, (most,))


class PostgreSQLCatalogReader:
    """A `CatalogReader`. Every method reads once: one moment."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    async def info(self, books: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Return the books of these ids that exist, by id."""
        wanted = set(books)
        tags = frozenset(map(info_key, wanted))
        [rows] = await self._snapshots.read(tags, Statement(BOOKS_SHOWN, (list(wanted),)))
        return {book["id"]: book for book in map(shown, rows)}

    async def search(self, wanted: Search) -> Found:
        """Return a page of what is searched for."""
        if wanted.q is None and wanted.order.by is By.NUMBER and not wanted.in_stock:
            rows, [(books,)] = await self._snapshots.read(None, *by_number(wanted))
            places = [(paging.by_number(book["id"]), book) for book in map(shown, rows)]
            return Found.within(wanted, places, Count.upto(books))
        [rows] = await self._snapshots.read(None, search.statement(wanted))
        return search.found(wanted, rows)

    async def topics(self) -> list[dict[str, Any]]:
        """Return the topics that have books on sale, ordered by name: `catalog_id` and `topic`."""
        [rows] = await self._snapshots.read(frozenset({TOPICS}), ALL_TOPICS)
        return [{"catalog_id": number, "topic": name} for number, name in rows]

    async def changes(self, after: Position, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return the sales and cancellations after a position, in the order of their commits, and
        the id of the last one's epoch. Raises ForeignHistory."""
        since = Statement(EPOCHS_SINCE, (after.epoch,))
        behind = Statement(CHANGES, (after.number, limit))
        begun, [(end,)], changed = await self._snapshots.read(None, since, END, behind)
        known = epochs(begun)
        history.check(known, after, end)
        found = [
            change_answer(dict(zip(CHANGE_COLUMNS[is_cancelled], row, strict=True)))
            for *row, is_cancelled in changed
        ]
        return found, history.id_of(known, found[-1]["seq"]) if found else None

    async def newest(self, before: int, limit: int) -> list[dict[str, Any]]:
        """Return sales before a number, newest first: `order_id`, `seq`, and the epoch's `id`."""
        [rows] = await self._snapshots.read(None, Statement(NEWEST, (before, limit)))
        return [dict(zip(("order_id", "seq", "id"), row, strict=True)) for row in rows]
