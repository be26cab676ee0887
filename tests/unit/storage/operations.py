"""Operations of the catalog, and a catalog of plain rows to decide them."""

from __future__ import annotations

import unittest
from typing import Any

from tests.unit.storage.rows import PlainCatalog


def sell(key: str, *lines: tuple[int, int]) -> dict[str, Any]:
    return {
        "op": "sell",
        "key": key,
        "lines": [{"book": book, "quantity": quantity} for book, quantity in lines],
    }


def update(key: str, book: int, **fields: Any) -> dict[str, Any]:
    return {"op": "update", "key": key, "book": book, "fields": fields}


def cancel(key: str, order_id: str, *lines: tuple[int, int]) -> dict[str, Any]:
    return {**sell(key, *lines), "op": "cancel", "order_id": order_id}


def undo(
    key: str, order_id: str, sale_key: str, within_ms: int, *lines: tuple[int, int]
) -> dict[str, Any]:
    buyer = {"key": sale_key, "within_ms": within_ms}
    return {**cancel(key, order_id, *lines), "buyer": buyer}


def create(key: str, *books: tuple[str, str | None, str]) -> dict[str, Any]:
    rows = [{"title": t, "author": a, "topic": c, "cost": 1, "count": 2} for t, a, c in books]
    return {"op": "create", "key": key, "books": rows}


class DecidingCase(unittest.TestCase):
    def setUp(self) -> None:
        self.catalog = PlainCatalog()

    def tags(self, operation: Any) -> set[str]:
        [outcome] = self.catalog.batch(operation)
        assert outcome.change is not None
        return set(outcome.change.tags)

    def book(self, number: int) -> dict[str, Any]:
        return dict(self.catalog.state["books", number])

    def topics(self) -> dict[str, int]:
        return {row["name"]: row["id"] for row in self.catalog.rows("topics")}
