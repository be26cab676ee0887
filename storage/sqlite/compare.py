"""Whether files of replicas agree: of one group in every row, orders with the sales they follow."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.history import epochs, is_on, seq_of
from storage.reconciliation import Numbered, Reconciliation, reconcile
from storage.sqlite.orders import CURSOR, cursor_of
from storage.sqlite.replica_file import ReplicaFile

RETRY_S = 0.01
FOLLOWS_S = 2.0
ADOPTIONS = "SELECT * FROM adoptions"
SALES = (
    "SELECT s.order_id, s.seq, c.seq, c.cancelled FROM sales s LEFT JOIN cancellations c"
    " USING (order_id) ORDER BY s.order_id"
)
ORDERS = "SELECT order_id, seq, changed, cancelled FROM orders ORDER BY order_id"


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not the same everywhere: its columns by node, None where it is missing."""

    table: str
    key: Any
    rows: Mapping[str, Mapping[str, Any] | None]

    def columns(self) -> list[str]:
        """Return the columns that differ; all of them if a replica lacks the row."""
        present = [row for row in self.rows.values() if row is not None]
        names = list(present[0])
        if len(present) < len(self.rows):
            return names
        return [name for name in names if len({row[name] for row in present}) > 1]


def same_moment(files: Sequence[ReplicaFile], timeout_s: float) -> bool:
    """Read all files as of one and the same entry, while writes go on. Return False if that takes
    longer than `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        if len({file.look().seq for file in files}) == 1:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(RETRY_S)


def differences(files: Sequence[ReplicaFile], tables: Mapping[str, str]) -> Iterator[Difference]:
    """Yield every row that is not the same in all `files`; `tables` names each table's key."""
    for table, key in tables.items():
        cursors = {file.node: file.rows(table, key) for file in files}
        heads = {node: next(rows, None) for node, rows in cursors.items()}
        while any(row is not None for row in heads.values()):
            lowest = min(row[key] for row in heads.values() if row is not None)
            at = {
                node: dict(row) if row is not None and row[key] == lowest else None
                for node, row in heads.items()
            }
            if any(row != at[files[0].node] for row in at.values()):
                yield Difference(table, lowest, at)
            for node in heads:
                if at[node] is not None:
                    heads[node] = next(cursors[node], None)


def compare_sales(orders: ReplicaFile, catalog: ReplicaFile) -> Reconciliation:
    """Compare the orders of one file with the sales of another, each as of one moment. The orders
    are read first, so that the sale of each is there by then: at a follower when it has committed
    what it has acknowledged, for which there is FOLLOWS_S."""
    orders.look()
    cursor = cursor_of(orders.query(CURSOR))
    deadline = time.monotonic() + FOLLOWS_S
    while catalog.look().seq < seq_of(cursor.number) and time.monotonic() < deadline:
        time.sleep(RETRY_S)
    known = epochs(map(dict, catalog.query("SELECT * FROM history ORDER BY epoch")))
    return reconcile(
        cursor,
        (Numbered(*row) for row in catalog.query(SALES)),
        (Numbered(*row) for row in orders.query(ORDERS)),
        follows=is_on(known, cursor, catalog.committed.seq),
        adopted=[range(row["behind"] + 1, row["upto"] + 1) for row in orders.query(ADOPTIONS)],
    )
