"""Books, topics and sales: operations in, row images out.

A book's row is `(id, title, author, catalog_id, cost, count)`; money is integer cents. Operations
are JSON objects, validated where they come in (`handlers/inputs.py`):

    {"op": "sell",   "key", "lines": [{"book", "quantity", "cost"?}]}
    {"op": "update", "key", "book", "fields": {title | author | topic | cost | count}}
    {"op": "create", "key", "books": [{"title", "author", "topic", "cost", "count"}]}

Each carries a key (S1): the same key with the same operation gets the first answer again, marked
`replayed`; with another it is refused. Sales remember theirs for ever, other writes for a day.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bazar.errors import BazarError, KeyReused, NotFound, OutOfStock, PriceChanged
from bazar.replication.messages import Change
from bazar.replication.store import Answer, Operation, Outcome
from storage import words
from storage.database import Database

KEYS_KEPT_MS = 24 * 3600 * 1000
SEARCHES = "searches"  # the key that every cached search carries
TOPICS = "topics"

STARTING_STOCK = (
    ("How to get a good grade in DOS in 40 minutes a day", "Distributed Systems", 4000, 19),
    ("RPCs for Noobs", "Distributed Systems", 506, 1),
    ("Xen and the Art of Surviving Undergraduate School", "Undergraduate School", 50, 2),
    ("Cooking for the Impatient Undergrad", "Undergraduate School", 20, 7),
    ("How to finish Project 3 on time", "Undergraduate School", 1200, 10),
    ("Why theory classes are so hard", "Undergraduate School", 1500, 10),
    ("Spring in the Pioneer Valley", "Undergraduate School", 2500, 10),
)

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

BOOK = "b.id, b.title, t.name AS topic, b.cost, b.count, b.catalog_id, b.author"
BOOKS_BY_ID = (
    f"SELECT {BOOK} FROM books b JOIN topics t ON t.id = b.catalog_id "
    "WHERE b.id IN (SELECT value FROM json_each(?))"
)


def info_key(book: int) -> str:
    """The cache key of one book."""
    return f"info_{book}"


def fold(text: str) -> str:
    """For matching regardless of case, beyond ASCII too (Unicode case folding)."""
    return unicodedata.normalize("NFC", text).casefold()


@dataclass(slots=True)
class Working:
    """What one batch has read and, in order, changed: each operation sees those before it."""

    books: dict[int, dict[str, Any]]
    topics: dict[str, int]
    twins: dict[tuple[str, str | None, int], int]  # (title, author, topic) -> book
    done: dict[str, tuple[str, Answer]]  # key -> its request and answer
    next_book: int
    next_topic: int
    next_number: int
    now_ms: int
    put: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)

    def topic(self, name: str) -> int:
        """The id of a topic, made if there is none of this name."""
        if name not in self.topics:
            self.topics[name] = self.next_topic
            row = {"id": self.next_topic, "name": name, "folded": fold(name)}
            self.next_topic += 1
            self.put.setdefault("topics", []).append(row)
        return self.topics[name]

    def write_book(self, book: dict[str, Any]) -> None:
        before = self.books.get(book["id"])
        if before is not None and self.twins.get(_identity(before)) == book["id"]:
            del self.twins[_identity(before)]  # it may be another book now
        self.books[book["id"]] = book
        self.twins[_identity(book)] = book["id"]
        row = {name: value for name, value in book.items() if name != "topic"}
        self.put.setdefault("books", []).append(row)
        self.keys.add(info_key(book["id"]))

    def book(self, number: int) -> dict[str, Any]:
        if number not in self.books:
            raise NotFound(f"no book has the id {number}")
        return self.books[number]


def _identity(book: Mapping[str, Any]) -> tuple[str, str | None, int]:
    """What makes two rows the same book."""
    return book["title"], book["author"], book["catalog_id"]


class Catalog:
    """The `Model` of the catalog's group."""

    tables: Mapping[str, str] = {
        "topics": "id",
        "books": "id",
        "sales": "order_id",
        "answers": "key",
    }
    migrations: Sequence[str] = (SCHEMA, *words.MIGRATIONS)

    def __init__(
        self,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        new_order_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._now_ms = now_ms
        self._new_order_id = new_order_id

    def seed(self) -> Sequence[Operation]:
        names = ("title", "topic", "cost", "count")
        books = [{"author": None, **dict(zip(names, row, strict=True))} for row in STARTING_STOCK]
        return [{"op": "create", "key": "starting-stock", "books": books}]

    # --- deciding --------------------------------------------------------------------------------

    def execute(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], first: int
    ) -> list[Outcome]:
        work, expired = self._load(connection, operations, first)
        outcomes = []
        for operation in operations:
            work.put, work.keys = {}, set()
            try:
                answer = self._decide(work, operation)
            except BazarError as refusal:
                outcomes.append(Outcome(refusal))
                continue
            change = None
            if work.put:
                effects: dict[str, Any] = {"put": work.put}
                if expired:
                    effects["delete"], expired = {"answers": expired}, []
                change = Change(tuple(sorted(work.keys)), effects)
                work.next_number += 1
            outcomes.append(Outcome(answer, change))
        return outcomes

    def _load(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], first: int
    ) -> tuple[Working, list[str]]:
        """Read in a few statements whatever the batch may need."""

        def select(sql: str, *values: Any) -> list[sqlite3.Row]:
            return connection.execute(sql, values).fetchall()

        books: set[int] = set()
        topics: set[str] = set()
        titles: set[str] = set()
        for operation in operations:
            books.update(line["book"] for line in operation.get("lines", ()))
            if operation["op"] == "update":
                books.add(operation["book"])
                if "topic" in operation["fields"]:
                    topics.add(operation["fields"]["topic"])
            for book in operation.get("books", ()):
                topics.add(book["topic"])
                titles.add(book["title"])
        in_list = "(SELECT value FROM json_each(?))"
        keys = json.dumps([operation["key"] for operation in operations])
        now_ms = self._now_ms()
        # One key, one request: a sale's key is no update's either.
        seen = select(
            "SELECT key, request, NULL AS answer, order_id, sold_at, seq, lines FROM sales"
            f" WHERE key IN {in_list} UNION ALL"
            f" SELECT key, request, answer, 0, 0, 0, 0 FROM answers WHERE key IN {in_list}",
            keys,
            keys,
        )
        done = {
            row["key"]: (
                row["request"],
                sale_answer(row) if row["answer"] is None else json.loads(row["answer"]),
            )
            for row in seen
        }
        rows = select(BOOKS_BY_ID, json.dumps(sorted(books)))
        work = Working(
            books={row["id"]: dict(row) for row in rows},
            topics={},
            twins={},
            done=done,
            next_book=0,
            next_topic=0,
            next_number=first,
            now_ms=now_ms,
        )
        expired: list[str] = []
        if topics or titles:
            [highest] = select(
                "SELECT (SELECT COALESCE(MAX(id), 0) FROM books) AS book, "
                "(SELECT COALESCE(MAX(id), 0) FROM topics) AS topic"
            )
            work.next_book, work.next_topic = highest["book"] + 1, highest["topic"] + 1
            named = select(
                f"SELECT * FROM topics WHERE name IN {in_list}", json.dumps(sorted(topics))
            )
            work.topics = {row["name"]: row["id"] for row in named}
            alike = select(
                f"SELECT * FROM books WHERE title IN {in_list} ORDER BY id DESC",
                json.dumps(sorted(titles)),
            )
            work.twins = {(r["title"], r["author"], r["catalog_id"]): r["id"] for r in alike}
        if any(operation["op"] != "sell" for operation in operations):
            # Each write takes two old keys along, so that the table never outgrows a day.
            old = select(
                "SELECT key FROM answers WHERE at < ? ORDER BY at LIMIT ?",
                now_ms - KEYS_KEPT_MS,
                2 * len(operations),
            )
            expired = [row["key"] for row in old]
        return work, expired

    def _decide(self, work: Working, operation: Operation) -> Answer:
        key = operation["key"]
        request = json.dumps(
            {name: value for name, value in operation.items() if name != "key"},
            sort_keys=True,
            ensure_ascii=False,
        )
        if key in work.done:
            first, answer = work.done[key]
            if first != request:
                raise KeyReused(f"the key {key!r} was used for another request")
            return {**answer, "replayed": True}
        decide = {"sell": self._sell, "update": self._update, "create": self._create}
        answer = decide[operation["op"]](work, operation, request)
        work.done[key] = (request, answer)
        if operation["op"] != "sell":
            row = {"key": key, "request": request, "answer": json.dumps(answer), "at": work.now_ms}
            work.put["answers"] = [row]
        return answer

    def _sell(self, work: Working, operation: Operation, request: str) -> Answer:
        """S1: all lines or none. A line's `cost` is what the buyer saw it cost. Raises NotFound,
        OutOfStock or PriceChanged, and leaves no trace then (S4)."""
        sold: dict[int, dict[str, Any]] = {}
        lines = []
        short: dict[int, str] = {}
        changed: dict[int, str] = {}
        for line in operation["lines"]:
            book = sold.get(line["book"]) or work.book(line["book"])
            left = book["count"] - line["quantity"]
            if left < 0:
                wanted = f"{line['quantity']} wanted, {book['count']} in stock"
                short[book["id"]] = f"book {book['id']}: {wanted}"
            seen = line.get("cost", book["cost"])
            if seen != book["cost"]:
                changed[book["id"]] = f"book {book['id']}: costs {book['cost']} now, not {seen}"
            sold[book["id"]] = {**book, "count": left}
            lines.append(
                {
                    "book": book["id"],
                    "title": book["title"],
                    "quantity": line["quantity"],
                    "unit_cost": book["cost"],
                    "new_count": left,
                }
            )
        for kind, refused in ((OutOfStock, short), (PriceChanged, changed)):
            if refused:
                books = [_offer(work.book(number)) for number in refused]
                raise kind("; ".join(refused.values()), {"books": books})
        for row in sold.values():
            work.write_book(row)
        sale = {
            "order_id": self._new_order_id(),
            "key": operation["key"],
            "request": request,
            "sold_at": work.now_ms,
            "seq": work.next_number,
            "lines": json.dumps(lines, ensure_ascii=False),
        }
        work.put["sales"] = [sale]
        return sale_answer(sale)

    def _update(self, work: Working, operation: Operation, request: str) -> Answer:
        fields = dict(operation["fields"])
        before = work.book(operation["book"])
        if "topic" in fields:
            fields["catalog_id"] = work.topic(fields["topic"])
        after = {**before, **fields}
        if any(after[name] != before[name] for name in ("title", "author", "catalog_id")):
            work.keys |= {SEARCHES, TOPICS}  # C5: it may enter or leave any search
        work.write_book(after)
        return {"book": show_book(after)}

    def _create(self, work: Working, operation: Operation, request: str) -> Answer:
        """A book is the same if title, author and topic are: that one stays as it is."""
        results = []
        for book in operation["books"]:
            topic = work.topic(book["topic"])
            same = work.twins.get((book["title"], book["author"], topic))
            results.append({"id": same or work.next_book, "created": same is None})
            if same is None:
                work.write_book({"id": work.next_book, **book, "catalog_id": topic})
                work.next_book += 1
                work.keys |= {SEARCHES, TOPICS}
        return {"books": results}


def _offer(book: Mapping[str, Any]) -> dict[str, Any]:
    """What a buyer must know of a book to decide anew."""
    return {name: book[name] for name in ("id", "cost", "count")}


def sale_answer(sale: Mapping[str, Any] | sqlite3.Row) -> Answer:
    """What the buyer's side needs of a row of `sales`."""
    return {
        "order_id": sale["order_id"],
        "seq": sale["seq"],
        "sold_at": sale["sold_at"],
        "lines": json.loads(sale["lines"]),
    }


class CatalogReader:
    """The catalog's committed state. Every method is one statement: one moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def info(self, books: Iterable[int]) -> dict[int, dict[str, Any]]:
        """The books of these ids that exist."""
        rows = await self._database.read(BOOKS_BY_ID, (json.dumps(sorted(set(books))),))
        return {row["id"]: show_book(row) for row in rows}

    async def search(self, topic: str, limit: int, offset: int) -> tuple[list[Any], bool]:
        """Books whose topic's name contains `topic`, by id, and whether there are more.

        Of each matching topic only as many books are looked at as the page could show, so that
        a page costs the same in a large shop.
        """
        rows = await self._database.read_slowly(
            f"SELECT {BOOK} FROM topics t JOIN books b ON b.id IN ("
            " SELECT id FROM books WHERE catalog_id = t.id ORDER BY id LIMIT :upto)"
            " WHERE instr(t.folded, :wanted) ORDER BY b.id LIMIT :limit OFFSET :offset",
            {
                "upto": offset + limit + 1,
                "wanted": fold(topic),
                "limit": limit + 1,
                "offset": offset,
            },
        )
        return [show_book(row) for row in rows[:limit]], len(rows) > limit

    async def find(self, q: str, limit: int, offset: int) -> tuple[list[Any], bool]:
        """Books that have, for each word of `q`, one in title or author that begins with it; by
        id, and whether there are more."""
        rows = await self._database.read_slowly(
            f"SELECT {BOOK} FROM books b JOIN topics t ON t.id = b.catalog_id WHERE b.id IN ("
            " SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid LIMIT ? OFFSET ?)"
            " ORDER BY b.id",
            (words.beginnings(q), limit + 1, offset),
        )
        return [show_book(row) for row in rows[:limit]], len(rows) > limit

    async def topics(self) -> list[dict[str, Any]]:
        rows = await self._database.read(
            "SELECT id AS catalog_id, name AS topic FROM topics t WHERE EXISTS "
            "(SELECT 1 FROM books WHERE catalog_id = t.id) ORDER BY name LIMIT 10000"
        )
        return [dict(row) for row in rows]

    async def sales(self, after_seq: int, limit: int) -> list[dict[str, Any]]:
        """Committed sales behind `after_seq`, in the order they were committed."""
        rows = await self._database.read(
            "SELECT * FROM sales WHERE seq > ? ORDER BY seq LIMIT ?", (after_seq, limit)
        )
        return [sale_answer(row) for row in rows]


def show_book(row: Mapping[str, Any] | sqlite3.Row) -> dict[str, Any]:
    """A book as callers see it; one without an author has no such field."""
    book = dict(row)
    if book["author"] is None:
        del book["author"]
    return book
