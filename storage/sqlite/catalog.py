"""The catalog's rows in SQLite: what a batch reads of them, and what callers read."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any

from bazar.replication.store import Operation, Outcome
from storage import history
from storage.books import change_answer, show_book
from storage.catalog import MAX_TOPICS, Catalog
from storage.checksum import CHECKSUM
from storage.history import EPOCH_SHIFT, Epoch, Position, epochs
from storage.searches import Found, Search
from storage.sqlite import search_index
from storage.sqlite.books import AMONG, BOOKS_BY_ID
from storage.sqlite.database import Database
from storage.sqlite.history import EPOCHS_SINCE, HISTORY_SCHEMA
from storage.sqlite.search import find
from storage.working_set import WantedRows, WorkingSet

SCHEMA = """
CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, folded TEXT NOT NULL);
CREATE TABLE books (
    id INTEGER PRIMARY KEY, title TEXT NOT NULL, author TEXT, catalog_id INTEGER NOT NULL,
    cost INTEGER NOT NULL CHECK (cost >= 0), count INTEGER NOT NULL CHECK (count >= 0));
CREATE INDEX books_by_topic ON books (catalog_id, id);
CREATE INDEX books_by_title ON books (title);
CREATE TABLE sales (
    order_id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, request TEXT NOT NULL,
    sold_at INTEGER NOT NULL, seq INTEGER NOT NULL UNIQUE, lines TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT NOT NULL, at INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (at)
"""
CANCELLATIONS_SCHEMA = """
CREATE TABLE cancellations (
    order_id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, cancelled_at INTEGER NOT NULL,
    cancelled TEXT NOT NULL) WITHOUT ROWID
"""
# Those in whose place a later one of the same sale stands (S6).
EARLIER_SCHEMA = """
CREATE TABLE earlier_cancellations (
    seq INTEGER PRIMARY KEY, order_id TEXT NOT NULL, cancelled_at INTEGER NOT NULL,
    cancelled TEXT NOT NULL)
"""
# What is on sale is found by indexes that begin with that, however many books are not. With one
# more column the checksum over the rows is another one.
RETIRED_SCHEMA = f"""
ALTER TABLE books ADD COLUMN retired INTEGER CHECK (retired = 1);
DELETE FROM meta WHERE name = '{CHECKSUM}';
DROP INDEX books_by_topic;
DROP INDEX IF EXISTS books_by_cost;
CREATE INDEX books_by_topic ON books (catalog_id, retired, id);
CREATE INDEX books_by_number ON books (retired, id);
CREATE INDEX books_by_cost ON books (retired, cost, id);
"""

HIGHEST = (
    "SELECT (SELECT COALESCE(MAX(id), 0) FROM books) AS book,"
    " (SELECT COALESCE(MAX(id), 0) FROM topics) AS topic"
)
FIRST_SALE = "SELECT order_id FROM sales ORDER BY seq LIMIT 1"
# In one statement, of one moment: the epochs (0), the end of the log (1), the sales (2) and the
# cancellations (3).
CHANGES = (
    f"SELECT 0 AS kind, epoch AS seq, id AS order_id, behind AS at, NULL AS lines FROM"
    f" ({EPOCHS_SINCE})"
    " UNION ALL SELECT 1, value, NULL, NULL, NULL FROM meta WHERE name = 'committed_seq'"
    " UNION ALL SELECT * FROM ("
    "SELECT 2 AS kind, seq, order_id, sold_at, lines FROM sales WHERE seq > ?"
    " UNION ALL SELECT 3, seq, order_id, cancelled_at, cancelled FROM cancellations WHERE seq > ?"
    " UNION ALL SELECT 3, seq, order_id, cancelled_at, cancelled FROM earlier_cancellations"
    " WHERE seq > ? ORDER BY seq LIMIT ?)"
)
CHANGE_COLUMNS = {
    2: ("seq", "order_id", "sold_at", "lines"),
    3: ("seq", "order_id", "cancelled_at", "cancelled"),
}
SALES = f"SELECT * FROM sales WHERE key {AMONG}"
SALES_BY_ID = f"SELECT * FROM sales WHERE order_id {AMONG}"
CANCELLED = f"SELECT * FROM cancellations WHERE order_id {AMONG}"


class CatalogRows:
    """The `Model` of the catalog's group."""

    # How many a file has had is its version: a new one goes to the end, whatever it is about. What
    # an empty one made is made anew by a later one.
    migrations: Sequence[str] = (
        *(SCHEMA, *search_index.MIGRATIONS, HISTORY_SCHEMA),
        *(CANCELLATIONS_SCHEMA, "", f"{RETIRED_SCHEMA}{search_index.LAST}", EARLIER_SCHEMA),
    )

    def __init__(
        self,
        catalog: Catalog,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.tables = catalog.tables
        self._catalog = catalog
        self._now_ms = now_ms

    def seed(self) -> Sequence[Operation]:
        return self._catalog.seed()

    def teach(self, connection: sqlite3.Connection) -> None:
        search_index.teach(connection)

    def derive(self, connection: sqlite3.Connection) -> bool:
        return search_index.learn(connection)

    def compact(self, connection: sqlite3.Connection) -> None:
        search_index.compact(connection)

    def execute(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], first: int
    ) -> list[Outcome]:
        work = load(connection, self._catalog.wanted(operations), first, self._now_ms())
        return self._catalog.decide(work, operations)


def load(connection: sqlite3.Connection, wanted: WantedRows, first: int, now_ms: int) -> WorkingSet:
    """Read the rows that are wanted, in a few statements however large the batch is; sales alone
    need the fewest."""

    def select(sql: str, *values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(sql, values)]

    def among(sql: str, values: Collection[Any]) -> list[dict[str, Any]]:
        return select(sql, json.dumps(sorted(values))) if values else []

    # Whoever makes a book names its topic.
    [highest] = select(HIGHEST) if wanted.topics else [{"book": 0, "topic": 0}]
    old = "SELECT key FROM answers WHERE at < ? ORDER BY at LIMIT ?"
    expired = select(old, Catalog.kept_since(now_ms), wanted.forgets) if wanted.forgets else []
    sales = among(SALES, wanted.keys) + among(SALES_BY_ID, wanted.orders)
    return WorkingSet.of(
        books=among(BOOKS_BY_ID, wanted.books),
        topics=among(f"SELECT * FROM topics WHERE name {AMONG}", wanted.topics),
        alike=among(f"SELECT * FROM books WHERE title {AMONG}", wanted.titles),
        sales=sales,
        cancellations=among(CANCELLED, {sale["order_id"] for sale in sales}),
        answers=among(f"SELECT * FROM answers WHERE key {AMONG}", wanted.keys),
        expired=[row["key"] for row in expired],
        highest_book=highest["book"],
        highest_topic=highest["topic"],
        history=epochs(select(EPOCHS_SINCE, wanted.since) if wanted.since is not None else ()),
        first=first,
        now_ms=now_ms,
        first_sale=[row["order_id"] for row in select(FIRST_SALE)] if wanted.first_sale else (),
    )


class SQLiteCatalogReader:
    """A `CatalogReader`. Every method is one statement, or one transaction: one moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def info(self, books: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Return the books of these ids that exist, by id."""
        rows = await self._database.read(BOOKS_BY_ID, (json.dumps(sorted(set(books))),))
        return {row["id"]: show_book(dict(row)) for row in rows}

    async def search(self, search: Search) -> Found:
        """Return a page of what is searched for."""
        return await self._database.look_slowly(lambda reader: find(reader, search))

    async def topics(self) -> list[dict[str, Any]]:
        """Return the topics that have books on sale, ordered by name: `catalog_id` and `topic`."""
        rows = await self._database.read(
            "SELECT id AS catalog_id, name AS topic FROM topics t WHERE EXISTS (SELECT 1 FROM books"
            " WHERE catalog_id = t.id AND retired IS NULL) ORDER BY name LIMIT ?",
            (MAX_TOPICS,),
        )
        return [dict(row) for row in rows]

    async def changes(self, after: Position, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return the sales and cancellations after a position, in the order of their commits, and
        the id of the last one's epoch. Raises ForeignHistory."""
        behind = (after.number, after.number, after.number)
        rows = await self._database.read(CHANGES, (after.epoch, *behind, limit))
        known = sorted(Epoch(*row[1:4]) for row in rows if row["kind"] == 0)
        [end] = (row["seq"] for row in rows if row["kind"] == 1)
        history.check(known, after, end)
        found = [
            change_answer(dict(zip(CHANGE_COLUMNS[row["kind"]], row[1:], strict=True)))
            for row in rows
            if row["kind"] in CHANGE_COLUMNS
        ]
        found.sort(key=itemgetter("seq"))
        return found, history.id_of(known, found[-1]["seq"]) if found else None

    async def newest(self, before: int, limit: int) -> list[dict[str, Any]]:
        """Return sales before a number, newest first: `order_id`, `seq`, and the epoch's `id`."""
        rows = await self._database.read(
            "SELECT order_id, seq, h.id FROM sales LEFT JOIN history h ON h.epoch = seq >> ?"
            " WHERE seq < ? ORDER BY seq DESC LIMIT ?",
            (EPOCH_SHIFT, before, limit),
        )
        return [dict(row) for row in rows]
