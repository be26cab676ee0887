"""The checker of histories finds the bad ones: every other proof depends on it."""

from __future__ import annotations

from itertools import permutations
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.history import RETIRED, Book, Operation, linearizable, step

NEW = Book("first", "ug", 3)


def read(start: float, end: float, title: str, count: int, topic: str = "ug") -> Operation:
    return Operation("read", None, start, end, Book(title, topic, count))


def update(start: float, end: float, title: str, count: int | None = None) -> Operation:
    return Operation("update", (title, "ug", count, None), start, end, "done")


def retire(start: float, end: float, to: bool = True) -> Operation:
    return Operation("update", (None, None, None, to), start, end, "done")


def gone(start: float, end: float) -> Operation:
    return Operation("gone", None, start, end, None)


def buy(start: float, end: float, left: int | str | None, quantity: int = 1) -> Operation:
    return Operation("buy", quantity, start, end, left)


GOOD = {
    "nothing happened": [],
    "a read of what was there": [read(0, 1, "first", 3)],
    "writes one after the other": [buy(0, 1, 2), buy(2, 3, 1), read(4, 5, "first", 1)],
    "a read beside a write sees the old value": [update(0, 9, "a"), read(1, 2, "first", 3)],
    "a read beside a write sees the new value": [update(0, 9, "a"), read(1, 2, "a", 3)],
    "concurrent buyers in either order": [buy(0, 9, 1), buy(0, 9, 2)],
    "a refusal when all are sold": [buy(0, 1, 0, 3), buy(2, 3, None)],
    "a sale when there are more again": [buy(0, 1, 0, 3), update(2, 3, "a", 2), buy(4, 5, 1)],
    "a refusal beside what retires it": [retire(0, 9), buy(1, 2, RETIRED), buy(3, 4, RETIRED)],
    "a sale before it is retired, and one after": [
        *(buy(0, 3, 2), retire(1, 2), retire(4, 5, False), buy(6, 7, 1)),
    ],
    "a search that shows it no more": [retire(0, 9), gone(1, 2)],
    "an unknown sale that happened": [buy(0, inf, None), read(5, 6, "first", 2)],
    "an unknown sale that did not": [buy(0, inf, None), read(5, 6, "first", 3)],
    "an unknown sale that happens late": [
        buy(0, inf, None),
        read(5, 6, "first", 3),
        read(7, 8, "first", 2),
    ],
}

BAD = {
    "an older value after an acknowledged write": [update(0, 1, "a"), read(2, 3, "first", 3)],
    "an older value after somebody saw the new one": [
        update(0, 9, "a"),
        read(1, 2, "a", 3),
        read(3, 4, "first", 3),
    ],
    "a value that nobody wrote": [read(0, 1, "a", 3)],
    "a count that was never so": [buy(0, 1, 2), read(2, 3, "first", 1)],
    "two buyers of the same last copy": [buy(0, 9, 0, 3), buy(0, 9, 0, 3)],
    "two sales with the same count left": [buy(0, 9, 2), buy(0, 9, 2)],
    "a sale that a later one does not know": [buy(0, 1, 2), buy(2, 3, 2)],
    "a refusal while there is stock": [buy(0, 1, None)],
    "a refusal though there are more": [buy(0, 1, 0, 3), update(2, 3, "a", 2), buy(4, 5, None)],
    "a sale of what is retired": [retire(0, 1), buy(2, 3, 2)],
    "a refusal for being retired, which it is not": [buy(0, 1, RETIRED)],
    "a refusal after it was brought back": [retire(0, 1), retire(2, 3, False), buy(4, 5, RETIRED)],
    "out of stock, where it is retired": [buy(0, 1, 0, 3), retire(2, 3), buy(4, 5, None)],
    "a sale beside two that find it retired": [retire(0, 9), buy(1, 2, RETIRED), buy(3, 4, 2)],
    "a search that does not show it yet": [retire(0, 1), retire(2, 3, False), gone(4, 5)],
    "a read that does not say that it is": [retire(0, 1), read(2, 3, "first", 3)],
    "a lost sale": [buy(0, 1, 2), update(2, 3, "a"), read(4, 5, "a", 3)],
    "an unknown sale that is undone": [
        buy(0, inf, None),
        read(5, 6, "first", 2),
        read(7, 8, "first", 3),
    ],
    "an unknown sale before it was asked for": [
        read(0, 1, "first", 2),
        buy(2, inf, None),
    ],
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_accepts(history: list[Operation]) -> None:
    assert linearizable(history, NEW)


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_refuses(history: list[Operation]) -> None:
    assert not linearizable(history, NEW)


def by_trying_all_orders(operations: list[Operation]) -> bool:
    unknown = [operation for operation in operations if operation.end == inf]
    for mask in range(1 << len(unknown)):
        left_out = [operation for i, operation in enumerate(unknown) if mask >> i & 1]
        kept = [operation for operation in operations if operation not in left_out]
        for order in permutations(kept):
            if any(
                order[j].end < order[i].start
                for i in range(len(order))
                for j in range(i, len(order))
            ):
                continue
            book: Book | None = NEW
            for operation in order:
                book = step(book, operation) if book is not None else None
            if book is not None:
                return True
    return False


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    operations = []
    for number in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, 6)) + number / 100
        end = start + draw(st.integers(1, 5))
        kind = draw(st.sampled_from(["read", "buy", "update"]))
        if kind == "read":
            title = draw(st.sampled_from(["first", "t0", "t1", "t2"]))
            operations.append(read(start, end, title, draw(st.integers(1, 3))))
        elif kind == "buy":
            left = draw(st.sampled_from([None, 0, 1, 2]))
            unknown = draw(st.booleans())
            operations.append(buy(start, inf if unknown else end, None if unknown else left))
        else:
            operations.append(update(start, inf if draw(st.booleans()) else end, f"t{number}"))
    return operations


@settings(max_examples=300, deadline=None)
@given(histories())
def test_agrees_with_trying_all_orders(operations: list[Operation]) -> None:
    assert linearizable(operations, NEW) == by_trying_all_orders(operations)
