"""Whether a history of concurrent operations on one book is linearizable.

The search of Wing & Gong (1993) with Lowe's memory of configurations seen (2017): pick any
operation that nobody else's return precedes, try it on the model, go on, and step back where it
does not fit. It knows nothing of logs or leases: only what clients sent, got, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

Book = tuple[Any, Any, int]  # title, topic, count


class Operation(NamedTuple):
    """What one client did. `end` is infinite and `result` None where it never heard an answer."""

    kind: str  # "read", "buy" or "update"
    argument: Any
    start: float
    end: float
    result: Any


def step(book: Book, operation: Operation) -> Book | None:
    """The book after the operation, None where its result can't have been this."""
    title, topic, count = book
    kind, argument, _, end, result = operation
    if kind == "read":
        return book if tuple(result) == book else None
    if kind == "update":
        return (*argument, count)
    left = count - argument
    if end == inf:
        return (title, topic, left) if left >= 0 else None
    if result is None:  # out of stock
        return book if left < 0 else None
    return (title, topic, left) if left == result and left >= 0 else None


def linearizable(operations: Sequence[Operation], initial: Book) -> bool:
    """Whether some order of the operations explains all results and respects real time."""
    ordered = sorted(operations, key=lambda operation: operation.start)
    count = len(ordered)
    required = sum(1 << i for i, operation in enumerate(ordered) if operation.end < inf)
    starts = [operation.start for operation in ordered]
    ends = [operation.end for operation in ordered]
    seen: set[tuple[int, Book]] = set()
    stack: list[tuple[int, int, Book]] = [(0, 0, initial)]
    while stack:
        done, first, book = stack.pop()
        if done & required == required:
            return True
        while first < count and done >> first & 1:
            first += 1
        # Candidates began before the earliest return among those that are still to come.
        horizon, candidates, i = inf, [], first
        while i < count and starts[i] <= horizon:
            if not done >> i & 1:
                candidates.append(i)
                horizon = min(horizon, ends[i])
            i += 1
        after = []
        for i in candidates:
            if starts[i] > horizon:
                continue
            book_after = step(book, ordered[i])
            if book_after is None:
                continue
            if ordered[i].kind == "read":
                # A read that fits now changes nothing: no need to ever try it later instead.
                after = [(done | 1 << i, first, book_after)]
                break
            after.append((done | 1 << i, first, book_after))
        for configuration in reversed(after):
            key = (configuration[0], configuration[2])
            if key not in seen:
                seen.add(key)
                stack.append(configuration)
    return False
