"""The tables of books, topics and sales, and the statements that read books with their topics."""

from __future__ import annotations

from typing import Any

from storage.books import BOOK_FIELDS, show_book
from storage.postgresql import history
from storage.postgresql.session import Row

SCHEMA = "bazar_catalog"

COLUMNS = {
    "topics": {"id": "bigint", "name": "text", "folded": "text"},
    "books": {
        **{"id": "bigint", "title": "text", "author": "text", "catalog_id": "bigint"},
        **{"cost": "bigint", "count": "bigint", "isbn": "text", "retired": "bigint"},
    },
    "sales": {
        **{"order_id": "text", "key": "text", "request": "text"},
        **{"sold_at": "bigint", "seq": "bigint", "lines": "text"},
    },
    "cancellations": {
        **{"order_id": "text", "seq": "bigint", "cancelled_at": "bigint", "cancelled": "text"},
    },
    "earlier_cancellations": {
        **{"seq": "bigint", "order_id": "text", "cancelled_at": "bigint", "cancelled": "text"},
    },
    "answers": {"key": "text", "request": "text", "answer": "text", "at": "bigint"},
    "history": history.COLUMNS,
}

# Texts are ordered by their bytes, whatever the database's own order is. A sale changes no column
# of a book that has an index: with room beside it its row stays on its page (HOT).
TABLES = (
    f"""CREATE TABLE {SCHEMA}.topics (
        id bigint PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, folded text NOT NULL)""",
    f"""CREATE TABLE {SCHEMA}.books (
        id bigint PRIMARY KEY, title text COLLATE "C" NOT NULL, author text COLLATE "C",
        catalog_id bigint NOT NULL, cost bigint NOT NULL CHECK (cost >= 0),
        count bigint NOT NULL CHECK (count >= 0), isbn text COLLATE "C") WITH (fillfactor = 85)""",
    f"CREATE INDEX books_by_topic ON {SCHEMA}.books (catalog_id, id)",
    f"CREATE INDEX books_by_title ON {SCHEMA}.books (title)",
    f"""CREATE TABLE {SCHEMA}.sales (
        order_id text COLLATE "C" PRIMARY KEY, key text COLLATE "C" NOT NULL UNIQUE,
        request text NOT NULL, sold_at bigint NOT NULL, seq bigint NOT NULL UNIQUE,
        lines text NOT NULL)""",
    f"""CREATE TABLE {SCHEMA}.answers (
        key text COLLATE "C" PRIMARY KEY, request text NOT NULL, answer text NOT NULL,
        at bigint NOT NULL)""",
    f"CREATE INDEX answers_by_age ON {SCHEMA}.answers (at, key)",
)

CANCELLATIONS = (
    f"""CREATE TABLE {SCHEMA}.cancellations (
        order_id text COLLATE "C" PRIMARY KEY, seq bigint NOT NULL UNIQUE,
        cancelled_at bigint NOT NULL, cancelled text NOT NULL)""",
)

# Those in whose place a later one of the same sale stands (S6).
EARLIER_CANCELLATIONS = (
    f"""CREATE TABLE {SCHEMA}.earlier_cancellations (
        seq bigint PRIMARY KEY, order_id text COLLATE "C" NOT NULL, cancelled_at bigint NOT NULL,
        cancelled text NOT NULL)""",
)

# What is on sale is found by indexes that begin with that, however many books are not. A search by
# words looks at each book that has left the index, until it is vacuumed.
RETIRING = (
    f"ALTER TABLE {SCHEMA}.books ADD COLUMN retired bigint CHECK (retired = 1)",
    f"DROP INDEX {SCHEMA}.books_by_topic",
    f"DROP INDEX IF EXISTS {SCHEMA}.books_by_cost",
    f"CREATE INDEX books_by_topic ON {SCHEMA}.books (catalog_id, retired, id)",
    f"CREATE INDEX books_by_number ON {SCHEMA}.books (retired, id)",
    f"CREATE INDEX books_by_cost ON {SCHEMA}.books (retired, cost, id)",
    f"ALTER TABLE {SCHEMA}.words"
    " SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)",
)

# BOOK_FIELDS
BOOK = "b.id, b.title, t.name, b.cost, b.count, b.catalog_id, b.author, b.isbn, b.retired"
BOOKS = f"SELECT {BOOK} FROM {SCHEMA}.books b JOIN {SCHEMA}.topics t ON t.id = b.catalog_id"
BOOKS_BY_ID = f"{BOOKS} WHERE b.id = ANY($1::bigint[])"


def book_of(row: Row) -> dict[str, Any]:
    """Return the book in a row of `BOOK`."""
    return dict(zip(BOOK_FIELDS, row, strict=True))


def shown(row: Row) -> dict[str, Any]:
    """Return the book in a row of `BOOK` as callers see it."""
    return show_book(book_of(row))
