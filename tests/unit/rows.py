"""The catalog's rows in dicts: the least that can be built around what `Catalog` decides."""

from __future__ import annotations

from itertools import count
from typing import Any

from bazar.errors import BazarError
from bazar.replication.store import Answer, Outcome
from storage.catalog import Catalog, Wanted, WorkingSet
from storage.history import epochs


class PlainCatalog:
    """One catalog that is not replicated; it begins with the starting stock."""

    def __init__(self) -> None:
        numbers = count(1)
        self.decider = Catalog(lambda: f"order-{next(numbers)}")
        self.now_ms = 1_000_000_000_000
        self.seq = 0
        self.tables: dict[str, dict[Any, dict[str, Any]]] = {
            table: {} for table in self.decider.tables
        }
        self.batch(*self.decider.seed())

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table, in the order of its primary key."""
        return [row for _, row in sorted(self.tables[table].items())]

    def load(self, wanted: Wanted) -> WorkingSet:
        books, topics, answers = self.rows("books"), self.rows("topics"), self.rows("answers")
        names = {row["id"]: row["name"] for row in topics}
        old = [row for row in answers if row["at"] < Catalog.kept_since(self.now_ms)]
        old.sort(key=lambda row: int(row["at"]))
        return WorkingSet.of(
            books=[
                {**row, "topic": names[row["catalog_id"]]}
                for row in books
                if row["id"] in wanted.books
            ],
            topics=[row for row in topics if row["name"] in wanted.topics],
            alike=[row for row in reversed(books) if row["title"] in wanted.titles],
            sales=[row for row in self.rows("sales") if row["key"] in wanted.keys],
            answers=[row for row in answers if row["key"] in wanted.keys],
            expired=[row["key"] for row in old[: wanted.forgets]],
            highest_book=max(self.tables["books"], default=0),
            highest_topic=max(self.tables["topics"], default=0),
            history=epochs(self.rows("history")),
            first=self.seq + 1,
            now_ms=self.now_ms,
        )

    def batch(self, *operations: Any) -> list[Outcome]:
        """Decide one batch, and write what it leaves."""
        outcomes = self.decider.decide(self.load(self.decider.wanted(operations)), operations)
        for change in (one.change for one in outcomes):
            if change is None:
                continue
            self.seq += 1
            for table, rows in change.effects["put"].items():
                key = self.decider.tables[table]
                self.tables[table].update((row[key], row) for row in rows)
            for table, keys in change.effects.get("delete", {}).items():
                for key in keys:
                    del self.tables[table][key]
        return outcomes

    def one(self, operation: Any) -> Answer:
        """The answer to one operation in a batch of its own. Raises its refusal."""
        [outcome] = self.batch(operation)
        if isinstance(outcome.answer, BazarError):
            raise outcome.answer
        return outcome.answer
