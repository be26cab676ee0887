"""What one batch of the catalog needs of the rows, and what it makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bazar.errors import NotFound
from bazar.replication.store import Answer
from storage.books import BOOK_FIELDS, Row, fold, info_key, sale_answer
from storage.history import Epoch, seq_of

Identity = tuple[str, str | None, int]  # title, author, topic


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a batch may need of the rows, named before anything is read."""

    books: frozenset[int]
    topics: frozenset[str]
    titles: frozenset[str]
    keys: frozenset[str]
    forgets: int  # so many expired answers go with it
    since: int | None = None  # the history from this epoch on


@dataclass(slots=True)
class WorkingSet:
    """What one batch has read and, in order, changed: each operation sees those before it."""

    books: dict[int, dict[str, Any]]
    topics: dict[str, int]
    by_identity: dict[Identity, dict[str | None, int]]  # the books of each, by ISBN
    done: dict[str, tuple[str, Answer]]  # key -> its request and answer
    expired: list[str]  # keys of answers that go with the first change
    next_book: int
    next_topic: int
    next_number: int
    now_ms: int
    history: list[Epoch]
    last_seq: int  # of the committed log
    put: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        *,
        books: Iterable[Row],
        topics: Iterable[Row],
        alike: Iterable[Row],
        sales: Iterable[Row],
        answers: Iterable[Row],
        expired: Iterable[str],
        highest_book: int,
        highest_topic: int,
        history: Iterable[Epoch],
        first: int,
        now_ms: int,
    ) -> WorkingSet:
        """Make it of the rows that `Wanted` names: `books` each with its topic's name, `alike` the
        books that have one of its titles, newest first, the highest ids there are (0: none), and
        the epochs. Changes are numbered from `first`."""
        done = {row["key"]: (row["request"], sale_answer(row)) for row in sales}
        # One key, one request: a sale's key is no update's either.
        done |= {row["key"]: (row["request"], json.loads(row["answer"])) for row in answers}
        by_identity: dict[Identity, dict[str | None, int]] = {}
        for row in alike:  # the oldest of them stands
            by_identity.setdefault(_identity(row), {})[row["isbn"]] = row["id"]
        return cls(
            # In one order, whatever they came in: answers are kept as text.
            books={row["id"]: {name: row[name] for name in BOOK_FIELDS} for row in books},
            topics={row["name"]: row["id"] for row in topics},
            by_identity=by_identity,
            done=done,
            expired=list(expired),
            next_book=highest_book + 1,
            next_topic=highest_topic + 1,
            next_number=first,
            now_ms=now_ms,
            history=list(history),
            last_seq=seq_of(first) - 1,
        )

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
        if before is not None:
            editions = self.by_identity.get(_identity(before), {})
            if editions.get(before["isbn"]) == book["id"]:
                del editions[before["isbn"]]  # it may be another book now
        self.books[book["id"]] = book
        self.by_identity.setdefault(_identity(book), {})[book["isbn"]] = book["id"]
        row = {name: value for name, value in book.items() if name != "topic"}
        self.put.setdefault("books", []).append(row)
        self.keys.add(info_key(book["id"]))

    def book(self, number: int) -> dict[str, Any]:
        if number not in self.books:
            raise NotFound(f"no book has the id {number}")
        return self.books[number]

    def same(self, identity: Identity, isbn: str | None) -> int | None:
        """The book that is this one, if there is one: editions are told apart by their ISBNs, but
        for those whose ISBN is not known."""
        editions = self.by_identity.get(identity, {})
        if isbn is None:
            return min(editions.values(), default=None)
        return editions.get(isbn, editions.get(None))


def _identity(book: Row) -> Identity:
    """What makes two rows the same book, but for the edition."""
    return book["title"], book["author"], book["catalog_id"]
