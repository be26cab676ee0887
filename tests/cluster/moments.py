"""What a shop keeps, read past its nodes: what was sold, what is left, what was ordered."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from tests.simulation.history import Book

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale as its buyer is told of it."""

    book: int
    quantity: int
    order_id: str
    new_count: int


class Kept(Protocol):
    """What a shop keeps, wherever that is."""

    def books(self) -> dict[int, Book]: ...

    def sales(self) -> Mapping[str, Sold]:
        """Return the sales by key."""

    def cancelled(self) -> Mapping[str, int]:
        """Return how many copies are cancelled of each sale, by its order's id."""

    def shown_cancelled(self) -> Mapping[str, int]:
        """Return the same, as the orders show it."""

    def named_as_lost(self) -> set[str]:
        """Return the orders that may show more than the catalog has, as somebody has been told
        (S5)."""

    def times(self) -> Mapping[str, int]:
        """Return when each key's write was executed, in ms on its primary's clock."""

    def orders(self) -> set[str]:
        """Return the ids of all orders."""

    def unsold(self) -> set[str]:
        """Return the orders whose sale is not there and has not been named as lost (S5)."""

    def ever_sold(self) -> set[str]:
        """Return the orders of all sales that are kept anywhere."""

    async def same_everywhere(self, role: str) -> None:
        """Wait until all that keep a group's state have the same, and nothing is damaged. Raises
        Violation."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a catalog had committed: its books, its sales by key, how many copies of an order were
    cancelled, and the keys of its updates and cancellations."""

    books: Mapping[int, Book]
    sold: Mapping[str, Sold]
    cancelled: Mapping[str, int]
    updated: frozenset[str]

    @classmethod
    def of(cls, replicas: Iterable[Path]) -> Self:
        """Return what the replica holds that has come furthest."""
        file = max(replicas, key=_committed)
        updated = frozenset(key for (key,) in query(file, "SELECT key FROM answers"))
        return cls(books_in(file), sales_in(file), cancelled_in(file), updated)

    @classmethod
    def of_backup(cls, file: Path) -> Self:
        """Return what a file holds that `python -m bazar backup` has written."""
        rows = rows_in(file)
        topics = {row[0]: row[1] for row in rows["topics"]}
        books = {
            row[0]: Book(row[1], topics[row[3]], row[5], bool(row[7])) for row in rows["books"]
        }
        sold = sales_of((row[1], row[0], row[5]) for row in rows["sales"])
        cancelled = cancelled_of((row[0], row[3]) for row in rows["cancellations"])
        return cls(books, sold, cancelled, frozenset(row[0] for row in rows["answers"]))


def rows_in(backup: Path) -> Mapping[str, Sequence[Row]]:
    """Return the rows of each table, as anybody can read them."""
    found: defaultdict[str, list[Row]] = defaultdict(list)
    table = ""
    for line in gzip.decompress(backup.read_bytes()).splitlines():
        read = json.loads(line)
        if isinstance(read, dict):
            table = read.get("table", "")
        else:
            found[table].append(tuple(read))
    return found


def query(file: Path, sql: str) -> list[Row]:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
        return list(connection.execute(sql))


def _committed(file: Path) -> int:
    [(seq,)] = query(file, "SELECT value FROM meta WHERE name = 'committed_seq'")
    return int(seq)


def books_in(file: Path) -> dict[int, Book]:
    rows = query(
        file,
        "SELECT b.id, b.title, t.name, b.count, b.retired IS NOT NULL FROM books b"
        " JOIN topics t ON t.id = catalog_id",
    )
    return {book: Book(title, topic, count, bool(gone)) for book, title, topic, count, gone in rows}


def sales_in(file: Path) -> dict[str, Sold]:
    """Return the sales by key."""
    return sales_of(query(file, "SELECT key, order_id, lines FROM sales"))


def sales_of(rows: Iterable[Row]) -> dict[str, Sold]:
    """Return sales by key, of their key, order and lines. Our customers buy one book at a time."""
    found: dict[str, Sold] = {}
    for key, order_id, lines in rows:
        [line] = json.loads(lines)
        found[key] = Sold(line["book"], line["quantity"], order_id, line["new_count"])
    return found


def cancelled_in(file: Path) -> dict[str, int]:
    """Return how many copies are cancelled of each sale, by its order's id."""
    return cancelled_of(query(file, "SELECT order_id, cancelled FROM cancellations"))


def cancelled_of(rows: Iterable[Row]) -> dict[str, int]:
    """Return the same of rows of an order's id, and what of it is cancelled."""
    return {
        order_id: sum(line["quantity"] for line in json.loads(cancelled))
        for order_id, cancelled in rows
    }


def shown_cancelled_in(orders: Path) -> dict[str, int]:
    """Return the same as the orders show it."""
    return cancelled_of(
        query(orders, "SELECT order_id, cancelled FROM orders WHERE cancelled IS NOT NULL")
    )


def named_as_lost_in(orders: Path) -> set[str]:
    """Return the orders whose last cancellation was there when a history was adopted."""
    chosen = _adopted(orders)
    rows = query(orders, "SELECT order_id, changed FROM orders WHERE cancelled IS NOT NULL")
    return {order_id for order_id, changed in rows if any(changed in one for one in chosen)}


def times_in(file: Path) -> dict[str, int]:
    """Return when each key's write was executed, in ms on its primary's clock."""
    rows = query(file, "SELECT key, sold_at FROM sales UNION ALL SELECT key, at FROM answers")
    return {key: int(at) for key, at in rows}


def orders_in(file: Path) -> set[str]:
    return {order_id for (order_id,) in query(file, "SELECT order_id FROM orders")}


def unsold_in(orders: Path, catalog: Path) -> set[str]:
    """Return the orders whose sale is not there and has not been named as lost (S5)."""
    chosen = _adopted(orders)
    # Read before the sales, so that each order has its sale.
    rows = query(orders, "SELECT order_id, seq FROM orders")
    sold = {sale.order_id for sale in sales_in(catalog).values()}
    return {order for order, seq in rows if order not in sold and not any(seq in c for c in chosen)}


def _adopted(orders: Path) -> list[range]:
    """Return the numbers of orders, and of their changes, whose cause has been named as lost."""
    adoptions = query(orders, "SELECT upto, behind FROM adoptions")
    return [range(behind + 1, upto + 1) for upto, behind in adoptions]
