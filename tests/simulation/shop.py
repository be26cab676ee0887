"""The least of a shop that makes the protocol sweat: books, sales with keys, and orders.

Rows lie in one flat dict. An operation answers `(status, value)` and leaves a `Change`, or none:
refusals and replays leave no trace.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from bazar.replication.messages import Change
from tests.simulation.disk import State

TOPICS = ("dos", "ug")
SEARCHES = "searches"


class Op(NamedTuple):
    """A write as it travels. `value` is the new title of an update, `topic` its new topic."""

    kind: str
    key: str
    book: int = 0
    quantity: int = 1
    topic: str = ""
    sales: tuple[tuple[int, str], ...] = ()
    after: int = 0


Answer = tuple[int, Any]


def tag(book: int) -> str:
    return f"info_{book}"


def row(book: int) -> str:
    return f"book:{book}"


def stocked(books: int, stock: int) -> Change:
    """The starting stock (T0)."""
    effects = [[row(book), ["first", TOPICS[book % 2], stock]] for book in range(1, books + 1)]
    return Change((*(tag(book) for book in range(1, books + 1)), SEARCHES), effects)


def execute(state: State, op: Op, seq: int) -> tuple[Answer, Change | None]:
    """One operation on the rows as the operations before it left them; `seq` will be its entry's.

    A key that is known gets its first answer again (S1).
    """
    if op.kind == "project":
        return _project(state, op)
    known = state.get(f"sale:{op.key}") or state.get(f"update:{op.key}")
    if known is not None:
        return (200, known[1]), None
    title, topic, count = state[row(op.book)]
    if op.kind == "buy":
        if count < op.quantity:
            return (409, None), None
        left = count - op.quantity
        effects = [
            [row(op.book), [title, topic, left]],
            [f"sale:{op.key}", [seq, left, op.book, op.quantity]],
        ]
        return (200, left), Change((tag(op.book),), effects)
    effects = [[row(op.book), [op.key, op.topic, count]], [f"update:{op.key}", [seq, op.key]]]
    return (200, op.key), Change((tag(op.book), SEARCHES), effects)


def _project(state: State, op: Op) -> tuple[Answer, Change | None]:
    """S2: the orders of the sales behind the cursor, and the cursor, in one entry."""
    if state.get("cursor", 0) != op.after or not op.sales:
        return (200, None), None
    effects: list[Any] = [[f"order:{key}", [seq]] for seq, key in op.sales]
    effects.append(["cursor", op.sales[-1][0]])
    return (200, None), Change(tuple(f"order_{key}" for _, key in op.sales), effects)


def sales_after(state: State, cursor: int, limit: int) -> tuple[tuple[int, str], ...]:
    """The sales table behind a cursor, as (seq, key)."""
    sales = [(v[0], k[5:]) for k, v in state.items() if k.startswith("sale:") and v[0] > cursor]
    return tuple(sorted(sales)[:limit])


def search(state: State, topic: str, books: int) -> tuple[tuple[int, tuple[Any, ...]], ...]:
    """What a search for a topic shows: (book, its row)."""
    found = []
    for book in range(1, books + 1):
        shown = state.get(row(book))
        if shown is not None and shown[1] == topic:
            found.append((book, tuple(shown)))
    return tuple(found)
