"""The catalog's rows in dicts: the least that can be built around what `Catalog` decides."""

from __future__ import annotations

from itertools import count
from typing import Any

from bazar.errors import BazarError
from bazar.replication.store import Answer, Outcome
from storage.catalog import Catalog
from tests.simulation.shop import State, decide_catalog, rows, touched


class PlainCatalog:
    """One catalog that is not replicated; it begins with the samples, or `empty`."""

    def __init__(self, *, empty: bool = False) -> None:
        numbers = count(1)
        self.decider = Catalog(lambda: f"order-{next(numbers)}", empty=empty)
        self.now_ms = 1_000_000_000_000
        self.seq = 0
        self.state: State = {}
        self.batch(*self.decider.seed())

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table, in the order of its primary key."""
        key = self.decider.tables[table]
        return sorted(map(dict, rows(self.state, table)), key=lambda row: row[key])

    def batch(self, *operations: Any) -> list[Outcome]:
        """Decide one batch, and write what it leaves."""
        outcomes = decide_catalog(self.decider, self.state, operations, self.seq + 1, self.now_ms)
        for change in (one.change for one in outcomes):
            if change is None:
                continue
            self.seq += 1
            for table, keys in change.effects.get("delete", {}).items():
                assert all((table, key) in self.state for key in keys), change
            touched(self.state, change.effects, self.decider.tables)
        return outcomes

    def one(self, operation: Any) -> Answer:
        """The answer to one operation in a batch of its own. Raises its refusal."""
        [outcome] = self.batch(operation)
        if isinstance(outcome.answer, BazarError):
            raise outcome.answer
        return outcome.answer
