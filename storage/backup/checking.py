"""Whether a backup holds a shop: what its checksums can't tell, for they are of what was written.

Rows are read one after the other. What is kept in memory are the ids of the topics, 16 bytes a
sale and 8 a cancellation, to find what is there twice, and all earlier cancellations.
Whether the stock is what was once there without what was sold can't be known: stock is set by hand.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from heapq import merge
from itertools import chain, groupby, pairwise
from operator import itemgetter
from typing import Any

from storage.backup import COLUMNS, OPTIONAL
from storage.backup.reading import Backup
from storage.books import RETIRED
from storage.history import EPOCH_SHIFT, Position, epochs, is_on, seq_of
from storage.reconciliation import SOLD, Numbered, Reconciliation, may_be_cancelled, reconcile

Row = dict[str, Any]

_BY_ID = itemgetter("order_id")


def faults_of(backup: Backup) -> Iterator[str]:
    """Yield what is wrong with the rows of a backup that is held. Raises BadBackup."""
    wrong = [
        fault
        for role, tables in COLUMNS.items()
        for table in tables
        for fault in _in_table(backup, role, table)
    ]
    yield from wrong
    if wrong:  # then nothing can be said of what it means
        return
    yield from _in_books(backup)
    yield from _in_sales(backup)
    yield from _in_cancellations(backup)
    yield from _in_orders(backup)


def reconciled(backup: Backup) -> Reconciliation:
    """Compare the sales of a backup that is held with its orders, up to the orders' cursor."""
    cursor = next(
        (Position(row["seq"], row["id"]) for row in _rows(backup, "order", "cursors")), Position()
    )
    history = epochs(_rows(backup, "catalog", "history"))
    return reconcile(
        cursor,
        _sold(backup),
        (
            Numbered(row["order_id"], row["seq"], row["changed"], row["cancelled"])
            for row in _rows(backup, "order", "orders")
        ),
        follows=is_on(history, cursor, backup.standings["catalog"].number),
        adopted=[
            range(row["behind"] + 1, row["upto"] + 1) for row in _rows(backup, "order", "adoptions")
        ],
    )


def _sold(backup: Backup) -> Iterator[Numbered]:
    """Yield the sales, each with what is cancelled of it."""
    for sale, cancellation in _sales(backup):
        if sale is not None:
            its = cancellation or {}
            yield Numbered(sale["order_id"], sale["seq"], its.get("seq"), its.get("cancelled"))


def _sales(backup: Backup) -> Iterator[tuple[Row | None, Row | None]]:
    """Yield each sale with its cancellation: one of both may be missing."""
    both = (_rows(backup, "catalog", table) for table in ("sales", "cancellations"))
    for _, rows in groupby(merge(*both, key=_BY_ID), _BY_ID):
        found = {"cancelled" in row: row for row in rows}
        yield found.get(False), found.get(True)


def _rows(backup: Backup, role: str, table: str) -> Iterator[Row]:
    return chain.from_iterable(backup.read(role, table))


def _in_table(backup: Backup, role: str, table: str) -> Iterator[str]:
    """Yield values that their column can't have, and rows that are not in order."""
    columns = COLUMNS[role][table]
    key = next(iter(columns))
    last: Any = None
    for row in _rows(backup, role, table):
        for name, kind in columns.items():
            value: Any = row[name]
            fits = isinstance(value, str) if kind is str else type(value) is int and value >= 0
            if not fits and not (value is None and (table, name) in OPTIONAL):
                yield f"{table} {row[key]!r}: {name} is {value!r}"
                return  # there may be as many as there are rows
        if last is not None and row[key] <= last:
            yield f"{table} {row[key]!r}: comes behind {last!r}"
            return
        last = row[key]


def _in_books(backup: Backup) -> Iterator[str]:
    topics = {row["id"] for row in _rows(backup, "catalog", "topics")}
    for row in _rows(backup, "catalog", "books"):
        if row["catalog_id"] not in topics:
            yield f"books {row['id']}: its topic {row['catalog_id']} is not there"
            return
        if row["retired"] not in (RETIRED, None):
            yield f"books {row['id']}: retired is {row['retired']}"
            return


def _in_sales(backup: Backup) -> Iterator[str]:
    """Yield sales and cancellations behind the end of the log, and keys and numbers that two of
    them have."""
    standing = backup.standings["catalog"]
    numbers, keys = array("q"), array("Q")
    for table in SOLD:
        for row in _rows(backup, "catalog", table):
            number = row["seq"]
            if seq_of(number) > standing.number or number >> EPOCH_SHIFT > standing.epoch:
                yield f"{table} {row['order_id']!r}: its entry lies behind {standing}"
                return
            numbers.append(number)
            if "key" in row:
                digest = hashlib.blake2b(row["key"].encode(), digest_size=8).digest()
                keys.append(int.from_bytes(digest))
    for what, found in (
        ("sales, cancellations: two have the same number", numbers),
        ("sales: two have the same key", keys),
    ):
        if any(one == other for one, other in pairwise(sorted(found))):
            yield what


def _in_cancellations(backup: Backup) -> Iterator[str]:
    """Yield cancellations of what was never sold, or what does not grow from one to the next of a
    sale (S6)."""
    earlier: dict[str, list[tuple[int, str]]] = {}
    for row in _rows(backup, "catalog", "earlier_cancellations"):
        earlier.setdefault(row["order_id"], []).append((row["seq"], row["cancelled"]))
    for sale, its in _sales(backup):
        if its is None:
            continue
        if sale is None:
            yield f"cancellations {its['order_id']!r}: was never sold"
            return
        before = earlier.pop(its["order_id"], [])
        totals = pairwise(["[]", *(cancelled for _, cancelled in before), its["cancelled"]])
        if any(number >= its["seq"] for number, _ in before):
            yield f"cancellations {its['order_id']!r}: lies before an earlier one"
            return
        if not all(may_be_cancelled(sale["lines"], *two) for two in totals):
            yield (
                f"cancellations {its['order_id']!r}: is of other copies than were sold, or does"
                " not grow"
            )
            return
    for order_id in earlier:
        yield f"earlier_cancellations {order_id!r}: no later one is there"
        return


def _in_orders(backup: Backup) -> Iterator[str]:
    """Yield orders of other books than their sales'."""
    both = _rows(backup, "catalog", "sales"), _rows(backup, "order", "orders")
    for order_id, rows in groupby(merge(*both, key=_BY_ID), _BY_ID):
        if len({(row["sold_at"], row["lines"]) for row in rows}) > 1:
            yield f"orders {order_id!r}: is not what was sold"
            return
