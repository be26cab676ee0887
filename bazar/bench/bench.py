"""What every section is given: shops to measure, a load generator, the duration, and the audit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bazar.bench import books
from bazar.bench.audit import Sold
from bazar.bench.checkout import Checkout
from bazar.bench.children import Children, Cores
from bazar.bench.cluster import MeasuredShop
from bazar.bench.load import Generator, Load, Result
from bazar.bench.place import Places

SMALL_SHOP = 1000
LONGEST_WARM_S = 0.5


@dataclass(frozen=True, slots=True)
class Bench:
    """The surroundings of a measurement. `checkout` is the tree whose nodes run. `seconds` is how
    long one measurement takes. `place` makes where a shop keeps its state. `sold` reads what the
    replicas of a shop hold, with the faults that `bazar verify` finds. `step` is called with the
    name of each step."""

    directory: Path
    children: Children
    checkout: Checkout
    generator: Generator
    cores: Cores
    seconds: float
    large: bool
    place: Places
    sold: Callable[[Path], Sold]
    step: Callable[[str], None]

    @property
    def warm_s(self) -> float:
        return min(self.seconds, LONGEST_WARM_S)

    @contextmanager
    def shop(
        self,
        name: str,
        *,
        shop_books: int = SMALL_SHOP,
        front_ends: int = 1,
        roles: tuple[str, ...] = (),
        started: Sequence[str] = (),
    ) -> Iterator[MeasuredShop]:
        """Start a shop of its own with so many books, or only its nodes `started`. Delete its data
        at the end."""
        with self.place(self.checkout.model) as place:
            shop = MeasuredShop(
                *(self.directory / name, self.children, self.checkout, place),
                front_ends=front_ends,
                roles=roles,
            )
            self.step(f"{name}: starts, {shop_books:,} books")
            shop.start(*started)
            try:
                books.fill(shop, shop_books)
                yield shop
            finally:
                shop.stop(*started)
        shutil.rmtree(shop.data_dir)

    def measure(self, what: str, load: Load) -> Result:
        self.step(what)
        return self.generator.run(load)
