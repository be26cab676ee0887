"""What one batch of the catalog needs of the rows, and what it makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bazar.errors import NotBuyer, NotFound
from bazar.replication.store import Answer
from storage.books import (
    BOOK_FIELDS,
    RETIRED,
    Row,
    cancellation_answer,
    fold,
    sale_answer,
)
from storage.history import Epoch, seq_of
from storage.tags import touched

Identity = tuple[str, str | None, int]  # title, author, topic


class Edition(NamedTuple):
    """One of the books of an identity."""

    id: int
    isbn: str | None
    is_retired: bool


@dataclass(frozen=True, slots=True)
class WantedRows:
    """The rows that a batch may need, named before anything is read."""

    books: frozenset[int]
    topics: frozenset[str]
    titles: frozenset[str]
    keys: frozenset[str]
    orders: frozenset[str]  # of sales that are cancelled
    forgets: int  # expired answers that the batch deletes, at most
    since: int | None = None  # the epoch from which the history is needed
    first_sale: bool = False  # whether it matters that anything was sold


@dataclass(slots=True)
class WorkingSet:
    """What one batch has read and, in order, changed: each operation sees those before it (R1)."""

    books: dict[int, dict[str, Any]]
    topics: dict[str, int]
    by_identity: dict[Identity, set[Edition]]
    done: dict[str, tuple[str, Answer]]  # key -> its request and answer
    sold: dict[str, Answer]  # by order id
    cancelled: dict[str, Answer]  # of these, the last cancellation
    expired: list[str]  # keys of answers that the first change deletes
    next_book: int
    next_topic: int
    next_number: int
    now_ms: int
    history: list[Epoch]
    last_seq: int  # of the committed log
    first_sale: str | None = None  # its order's id, where that is wanted, and there is one
    put: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    delete: dict[str, list[Any]] = field(default_factory=dict)  # keys, by table
    tags: set[str] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        *,
        books: Iterable[Row],
        topics: Iterable[Row],
        alike: Iterable[Row],
        sales: Iterable[Row],
        cancellations: Iterable[Row],
        answers: Iterable[Row],
        expired: Iterable[str],
        highest_book: int,
        highest_topic: int,
        history: Iterable[Epoch],
        first: int,
        now_ms: int,
        first_sale: Iterable[str] = (),
    ) -> WorkingSet:
        """Make it from the rows that `WantedRows` names: `books` each with its topic's name,
        `alike` the books that have one of its titles, the `cancellations` of these
        `sales`, the highest ids that exist (0: none), the epochs in order, and the order's id of
        the first sale, if any. Number changes from `first`."""
        cancelled = {row["order_id"]: cancellation_answer(row) for row in cancellations}
        done = {row["key"]: (row["request"], sale_answer(row)) for row in sales}
        sold = {answer["order_id"]: answer for _, answer in done.values()}
        # One key, one request: a sale's key is no update's either.
        done |= {row["key"]: (row["request"], json.loads(row["answer"])) for row in answers}
        by_identity: dict[Identity, set[Edition]] = {}
        for row in alike:
            by_identity.setdefault(_identity(row), set()).add(_edition(row))
        return cls(
            # Fields in one order, as answers are kept as text.
            books={row["id"]: {name: row[name] for name in BOOK_FIELDS} for row in books},
            topics={row["name"]: row["id"] for row in topics},
            by_identity=by_identity,
            done=done,
            sold=sold,
            cancelled=cancelled,
            expired=list(expired),
            next_book=highest_book + 1,
            next_topic=highest_topic + 1,
            next_number=first,
            now_ms=now_ms,
            history=list(history),
            last_seq=seq_of(first) - 1,
            first_sale=next(iter(first_sale), None),
        )

    def topic(self, name: str) -> int:
        """Return the id of the topic of this name; make it if there is none."""
        if name not in self.topics:
            self.topics[name] = self.next_topic
            row = {"id": self.next_topic, "name": name, "folded": fold(name)}
            self.next_topic += 1
            self.put.setdefault("topics", []).append(row)
        return self.topics[name]

    def write_book(self, book: dict[str, Any]) -> None:
        """Put a new or changed book into the change, and what that touches among its tags."""
        before = self.books.get(book["id"])
        if before is not None:
            self._forget(before)  # it may have been another one
        self.books[book["id"]] = book
        self.by_identity.setdefault(_identity(book), set()).add(_edition(book))
        row = {name: value for name, value in book.items() if name != "topic"}
        self.put.setdefault("books", []).append(row)
        self.tags |= touched(before, book)

    def delete_book(self, book: Row) -> None:
        """Put the end of a book into the change, and what that touches among its tags."""
        self._forget(book)
        del self.books[book["id"]]
        self.delete.setdefault("books", []).append(book["id"])
        self.tags |= touched(book, None)

    def _forget(self, book: Row) -> None:
        self.by_identity.get(_identity(book), set()).discard(_edition(book))

    def book(self, number: int) -> dict[str, Any]:
        """Return the row of a book, as the batch has it so far. Raises NotFound."""
        if number not in self.books:
            raise NotFound(f"no book has the id {number}")
        return self.books[number]

    def sale(self, order_id: str, key: str | None = None) -> Answer:
        """Return the sale of this id. Whoever shows a `key` must have that of the sale. Raises
        NotFound or NotBuyer."""
        if order_id not in self.sold:
            raise NotFound(f"no order has the id {order_id}")
        sale = self.sold[order_id]
        if key is not None and (key not in self.done or self.done[key][1] is not sale):
            raise NotBuyer(f"order {order_id} was not bought with this key")
        return sale

    def same(self, identity: Identity, isbn: str | None) -> Edition | None:
        """Return the book that is the same, if there is one. ISBNs tell editions apart; a book
        without an ISBN is the same as any edition. Of several it is rather one on sale, and the
        oldest."""
        fitting = (
            one
            for one in self.by_identity.get(identity, ())
            if isbn is None or one.isbn in (isbn, None)
        )

        def trust(one: Edition) -> tuple[bool, bool, int]:
            return isbn is not None and one.isbn is None, one.is_retired, one.id

        return min(fitting, key=trust, default=None)


def _identity(book: Row) -> Identity:
    """Return what two rows of one book have in common, whatever the edition."""
    return book["title"], book["author"], book["catalog_id"]


def _edition(book: Row) -> Edition:
    return Edition(book["id"], book["isbn"], book["retired"] == RETIRED)
