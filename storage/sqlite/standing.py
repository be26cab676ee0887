"""Whether sales and orders belong together, as the files of one replica of each have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from storage.history import Position, epochs, is_on
from storage.sqlite.orders import CURSOR, cursor_of
from storage.sqlite.replica_file import ReplicaFile

SHOWN = 5


@dataclass(slots=True)
class Found:
    """Some things of a kind: how many, and the first of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def note(self, name: str) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(name)

    def __str__(self) -> str:
        more = [f"… and {self.count - SHOWN} more"] if self.count > SHOWN else []
        return f"{self.count}: {', '.join([*self.first, *more])}"


@dataclass(slots=True)
class Standing:
    """What does not belong together, and what does not yet."""

    cursor: Position
    follows: bool
    unordered: Found
    """Sales that the orders have passed, and that have none."""
    unsold: Found
    """Orders without a sale."""
    adopted: Found
    """The same, but somebody has chosen it (S5)."""
    waiting: int = 0
    """Sales that the orders have not come to."""

    @property
    def faults(self) -> Iterator[str]:
        if not self.follows:
            yield (
                f"the orders' cursor, {self.cursor}, is not on the catalog's history:"
                " see `python -m bazar adopt`"
            )
        if self.unordered.count:
            yield f"sales without an order, {self.unordered}"
        if self.unsold.count:
            yield f"orders without a sale, {self.unsold}"


def standing(orders: ReplicaFile, catalog: ReplicaFile) -> Standing:
    """Compare both, each as of one moment: of the orders first, so that each has its sale if that
    is there at all."""
    orders.look()
    catalog.look()
    cursor = cursor_of(orders.query(CURSOR))
    known = epochs(map(dict, catalog.query("SELECT * FROM history ORDER BY epoch")))
    follows = is_on(known, cursor, catalog.committed.seq)
    found = Standing(cursor, follows, Found(), Found(), Found())
    adopted = [range(row["behind"] + 1, row["upto"] + 1) for row in orders.query(ADOPTIONS)]
    sold = chain(catalog.query(IDS.format("sales")), [None])
    ordered = chain(orders.query(IDS.format("orders")), [None])
    sale, order = next(sold), next(ordered)
    while sale is not None or order is not None:
        if order is None or (sale is not None and sale["order_id"] < order["order_id"]):
            assert sale is not None
            _note_sale(found, sale["order_id"], sale["seq"])
            sale = next(sold)
        elif sale is None or order["order_id"] < sale["order_id"]:
            chosen = any(order["seq"] in one for one in adopted)
            (found.adopted if chosen else found.unsold).note(order["order_id"])
            order = next(ordered)
        else:
            sale, order = next(sold), next(ordered)
    return found


IDS = "SELECT order_id, seq FROM {} ORDER BY order_id"
ADOPTIONS = "SELECT * FROM adoptions"


def _note_sale(found: Standing, order_id: str, number: int) -> None:
    if found.follows and number > found.cursor.number:
        found.waiting += 1
    else:
        found.unordered.note(order_id)
