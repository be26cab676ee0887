"""A whole shop that is nowhere: its rows have all that makes rows hard to carry."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from storage.engines import TABLES
from storage.history import number_of
from storage.images import Image
from storage.moving import Note, Standing

EPOCH, NUMBER = 7, 40
SOLD = number_of(6, 31)
LINES = json.dumps(
    [{"book": 2, "title": "Émile", "quantity": 2, "unit_cost": 5}], ensure_ascii=False
)
ONE, BOTH = (json.dumps([{"book": 2, "quantity": copies}]) for copies in (1, 2))
ROWS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "catalog": {
        "topics": [{"id": 1, "name": "Märchen", "folded": "märchen"}],
        "books": [
            {"id": 1, "title": "Über \"Züge\"\\, 1\t2\n3", "author": None, "catalog_id": 1,
             "cost": 0, "count": 2**40, "isbn": None, "retired": None},
            {"id": 2, "title": "Émile", "author": "J.-J. Rousseau", "catalog_id": 1,
             "cost": 5, "count": 3, "isbn": "9780306406157", "retired": 1},
        ],
        "sales": [
            {"order_id": "B", "key": "b", "request": "r", "sold_at": 2, "seq": SOLD + 1,
             "lines": LINES},
            {"order_id": "a", "key": "ä", "request": "r", "sold_at": 1, "seq": SOLD,
             "lines": LINES},
        ],
        "cancellations": [
            {"order_id": "a", "seq": SOLD + 3, "cancelled_at": 4, "cancelled": BOTH},
        ],
        "earlier_cancellations": [
            {"seq": SOLD + 2, "order_id": "a", "cancelled_at": 3, "cancelled": ONE},
        ],
        "answers": [{"key": "starting", "request": "x", "answer": "{}", "at": 1}],
        "history": [{"epoch": 5, "id": "e5", "behind": 0}, {"epoch": 6, "id": "e6", "behind": 30}],
    },
    "order": {
        "orders": [
            {"order_id": "B", "seq": SOLD + 1, "sold_at": 2, "lines": LINES,
             "changed": None, "cancelled": None, "cancelled_at": None},
            {"order_id": "a", "seq": SOLD, "sold_at": 1, "lines": LINES,
             "changed": SOLD + 3, "cancelled": BOTH, "cancelled_at": 4},
        ],
        "cursors": [{"name": "sales", "seq": SOLD + 3, "id": "e6"}],
        "adoptions": [{"upto": 12, "behind": 10}],
        "history": [{"epoch": 6, "id": "o6", "behind": 0}],
    },
}  # fmt: skip


class Invented:
    """An `Origin`, and a `Source`, of these rows."""

    name = "nowhere"
    notes: Mapping[str, Note | None] = dict.fromkeys(TABLES)

    async def hold(self) -> None: ...
    async def close(self) -> None: ...
    async def leave(self, note: Note | None) -> None: ...
    async def standing(self, role: str) -> Standing:
        return Standing(EPOCH, NUMBER)

    async def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
        yield ROWS[role][table]
