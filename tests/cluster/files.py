"""What the SQLite files of a shop keep."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from storage.sqlite.compare import differences, same_moment
from storage.sqlite.integrity import faults_of
from storage.sqlite.replica_file import ReplicaFile, closing
from tests.cluster.cluster import Cluster, until
from tests.cluster.memory import Violation
from tests.cluster.moments import (
    Sold,
    books_in,
    cancelled_in,
    named_as_lost_in,
    orders_in,
    sales_in,
    shown_cancelled_in,
    times_in,
    unsold_in,
)
from tests.simulation.history import Book

KEYS = {
    "catalog": {
        **{
            "topics": "id",
            "books": "id",
            "sales": "order_id",
            "cancellations": "order_id",
            "earlier_cancellations": "seq",
            "answers": "key",
        },
        "history": "epoch",
    },
    "order": {"orders": "order_id", "cursors": "name", "adoptions": "upto", "history": "epoch"},
}


class Files:
    """A `Kept`: each replica has a file. Where they must be equal, one is asked."""

    def __init__(self, shop: Cluster) -> None:
        self._shop = shop

    def _paths(self, role: str) -> list[Path]:
        return [self._shop.data_dir / f"{name}.db" for name in self._shop.group(role)]

    def books(self) -> dict[int, Book]:
        return books_in(self._paths("catalog")[0])

    def sales(self) -> Mapping[str, Sold]:
        return sales_in(self._paths("catalog")[0])

    def cancelled(self) -> Mapping[str, int]:
        return cancelled_in(self._paths("catalog")[0])

    def shown_cancelled(self) -> Mapping[str, int]:
        return shown_cancelled_in(self._paths("order")[0])

    def named_as_lost(self) -> set[str]:
        return named_as_lost_in(self._paths("order")[0])

    def times(self) -> Mapping[str, int]:
        return times_in(self._paths("catalog")[0])

    def orders(self) -> set[str]:
        return orders_in(self._paths("order")[0])

    def unsold(self) -> set[str]:
        return unsold_in(self._paths("order")[0], self._paths("catalog")[0])

    def ever_sold(self) -> set[str]:
        return {
            sale.order_id for path in self._paths("catalog") for sale in sales_in(path).values()
        }

    async def same_everywhere(self, role: str) -> None:
        files = [ReplicaFile(path.stem, path) for path in self._paths(role)]
        with closing(files):

            def equal() -> bool:
                return same_moment(files, 0) and len({file.committed for file in files}) == 1

            try:
                await until(equal, f"the {role} replicas are at the same entry")
            except AssertionError as error:
                marks = {file.node: file.committed for file in files}
                raise Violation(f"{error}: {marks}") from error
            faults = [fault for file in files for fault in faults_of(file, KEYS[role])]
            if faults:
                raise Violation(f"damaged: {faults}")
            found = list(itertools.islice(differences(files, KEYS[role]), 5))
            if found:
                raise Violation(f"the {role} replicas differ: {found}")
