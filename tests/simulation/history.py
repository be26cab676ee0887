"""Whether a history of concurrent operations on one book is linearizable.

The search of Wing & Gong (1993) with Lowe's memory of configurations seen (2017): pick any
operation that began before every return of the others, try it on the model, go on, and step back
where it does not fit. It knows nothing of logs or leases, only what clients sent and got, and when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

LAST = 1 << 62
MOST_CONFIGURATIONS = 100_000


class Undecided(Exception):
    """The search has looked at so many configurations, and found no order."""


RETIRED = "retired"  # the result of a purchase that was refused for it


class Book(NamedTuple):
    """What is known of a book at one moment."""

    title: Any
    topic: Any
    copies: int
    retired: bool = False


FIELDS = ("title", "topic", "count", "retired")  # of a book, as callers see it


class Operation(NamedTuple):
    """What one client did. `end` is infinite and `result` None if it never got an answer."""

    kind: str  # "read", "gone", "buy", "back" or "update"
    argument: Any
    start: float
    end: float
    result: Any
    key: str = ""

    @property
    def is_unheard_purchase(self) -> bool:
        return self.kind == "buy" and self.end == inf


def step(book: Book, operation: Operation) -> Book | None:
    """Return the book after the operation, None if the result is not possible."""
    kind, argument, _, end, result, _ = operation
    if kind == "read":
        return book if result == book else None
    if kind == "gone":  # a search of everything does not show it
        return book if book.retired else None
    if kind == "update":
        changed = zip(book, argument, strict=True)  # None for what stays
        return Book(*(old if new is None else new for old, new in changed))
    if kind == "back":  # so many copies that are cancelled
        return book._replace(copies=book.copies + argument)
    if result == RETIRED:
        return book if book.retired else None
    left = book.copies - argument
    if book.retired:
        return None
    if end < inf and result is None:  # out of stock
        return book if left < 0 else None
    return book._replace(copies=left) if left >= 0 and (end == inf or left == result) else None


def linearizable(
    operations: Sequence[Operation], initial: Book, places: Mapping[str, int] | None = None
) -> bool:
    """Return whether some order of the operations explains all results and respects real time.

    `places` may say, by key, in which order writes are to be tried first. It changes how long the
    search takes, never its result. Raises Undecided if the search would take too long.
    """
    places = places or {}
    ordered = sorted(operations, key=lambda operation: operation.start)
    everything = (1 << len(ordered)) - 1
    required = sum(1 << i for i, operation in enumerate(ordered) if operation.end < inf)
    seen: set[tuple[int, Book]] = set()
    stack: list[tuple[int, Book]] = [(0, initial)]
    while stack:
        done, book = stack.pop()
        if done & required == required:
            return True
        after: list[tuple[int, int, Book]] = []
        fitting = 0
        candidates = _candidates(ordered, everything & ~done)
        unheard: dict[int, int] = {}  # quantity -> the first place of such an unanswered purchase
        for i in candidates:
            if ordered[i].is_unheard_purchase:
                place = places.get(ordered[i].key, LAST)
                unheard[ordered[i].argument] = min(place, unheard.get(ordered[i].argument, LAST))
        for i in candidates:
            place = places.get(ordered[i].key, LAST)
            if ordered[i].is_unheard_purchase:
                if ordered[i].argument not in unheard:
                    continue  # one that began earlier is as good here, and better later
                place = unheard.pop(ordered[i].argument)
            book_after = step(book, ordered[i])
            if book_after is None:
                continue
            if ordered[i].kind != "update" and book_after == book and ordered[i].end < inf:
                fitting |= 1 << i
            elif not fitting:
                after.append((place, done | 1 << i, book_after))
        if fitting:
            # Reads and refusals that fit now change nothing: they need not be tried later.
            after = [(0, done | fitting, book)]
        after.sort(key=lambda configuration: -configuration[0])
        for _, done_after, book_after in after:
            configuration = (done_after, book_after)
            if configuration not in seen:
                if len(seen) >= MOST_CONFIGURATIONS:
                    raise Undecided(f"{len(ordered)} operations in over {MOST_CONFIGURATIONS} ways")
                seen.add(configuration)
                stack.append(configuration)
    return False


def _candidates(ordered: Sequence[Operation], left: int) -> list[int]:
    """Return those of the operations left (a bit each) that began before any of them returned."""
    horizon, found = inf, []
    while left:
        lowest = left & -left
        i = lowest.bit_length() - 1
        if ordered[i].start > horizon:
            break
        horizon = min(horizon, ordered[i].end)
        found.append(i)
        left ^= lowest
    return [i for i in found if ordered[i].start <= horizon]
