"""What can be measured of two checkouts alike: a shop, and what is read of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

from bazar.bench.bench import SMALL_SHOP, Bench
from bazar.bench.cluster import MeasuredShop
from bazar.bench.place import DATABASE

ALL = "all nodes"


class Quantity(NamedTuple):
    """What was measured, and of what: one node, `ALL` nodes, or the shop as its users see it."""

    who: str
    unit: str

    def __str__(self) -> str:
        return f"{self.who} {self.unit}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement of one shop."""

    values: Mapping[Quantity, float]
    errors: int = 0
    load_bound: bool = False
    """Whether the load generator, and not the shop, may have limited the requests a second."""

    @classmethod
    def of_nodes(cls, unit: str, by_node: Mapping[str, float]) -> Measurement:
        """Return the reading of each node, of their sum, and beside it of the database's server."""
        values = {Quantity(node, unit): value for node, value in by_node.items()}
        whole = sum(value for node, value in by_node.items() if node != DATABASE)
        return cls({**values, Quantity(ALL, unit): whole})


Measure = Callable[[Bench, MeasuredShop], Measurement]


@dataclass(frozen=True, slots=True)
class Experiment:
    """A shop, and what is measured of it, by the row that shows it."""

    name: str
    rows: Mapping[str, Measure]
    shop_books: int = SMALL_SHOP
    roles: tuple[str, ...] = ()

    def shop(self, bench: Bench, name: str) -> AbstractContextManager[MeasuredShop]:
        return bench.shop(name, shop_books=self.shop_books, roles=self.roles)
