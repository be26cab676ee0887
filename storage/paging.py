"""Pages of a list of books, each beginning after the last book of the page before.

A book's *place* says where in the list it stands, whatever else is in the list: first by rank, then
by length of the title, then by number. So a page costs the same however many come before it, and
no book is shown twice when books come and go in between.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bazar.errors import BadRequest

RANKED = 1000  # books at most that are given a rank, and counted
UNRANKED = 9  # the rank of all others: they follow by number

Place = tuple[int, int, int]


def place_of(text: str) -> Place:
    """Return the place of a name that `name_of` made. Raises BadRequest.

    >>> place_of("2-31-17"), place_of("17")
    ((2, 31, 17), (9, 0, 17))
    """
    parts = text.split("-")
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        raise BadRequest(f"{text[:60]!r} names no place in a list of books")
    match [int(part) for part in parts]:
        case [number]:
            return UNRANKED, 0, number
        case [rank, length, number]:
            return rank, length, number
    raise BadRequest(f"{text[:60]!r} names no place in a list of books")


def name_of(place: Place) -> str:
    """Return a place as the text that stands in addresses."""
    rank, length, number = place
    return str(number) if rank == UNRANKED else f"{rank}-{length}-{number}"


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that is wanted: `limit` books after the first `skip`, counted from the
    place `after`; or the last ones that stand before the place `before`."""

    limit: int
    skip: int = 0
    after: str | None = None
    before: str | None = None

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Window:
        """Return the window that a read asks for. Raises BadRequest."""
        with contextlib.suppress(TypeError):  # of what else it names
            window = cls(**plain)
            numbers, names = (window.limit, window.skip), (window.after, window.before)
            if all(isinstance(one, int) and 0 <= one < 1 << 31 for one in numbers) and all(
                isinstance(one, str | None) for one in names
            ):
                return window
        raise BadRequest(f"no such part of a list: {str(plain)[:100]}")

    @property
    def backwards(self) -> bool:
        return self.before is not None

    @property
    def edge(self) -> Place | None:
        """The place where it begins, or where it ends if it is read backwards."""
        name = self.before if self.before is not None else self.after
        return None if name is None else place_of(name)


@dataclass(frozen=True, slots=True)
class Found:
    """The books in a window, and the names of the places from which the page before and the page
    after are read: None where there is none. `count` is how many books the list has, up to
    RANKED; None where they are not counted."""

    books: Sequence[dict[str, Any]]
    before: str | None
    after: str | None
    count: int | None = None

    @classmethod
    def within(
        cls,
        window: Window,
        rows: Sequence[tuple[Place, dict[str, Any]]],
        count: int | None = None,
    ) -> Found:
        """Make it from rows in the order of reading, one more than wanted if there are more."""
        shown = rows[: window.limit]
        more = len(rows) > window.limit
        if window.backwards:
            shown = shown[::-1]
        names = [name_of(place) for place, _ in shown]
        comes_from_before = window.after is not None or window.skip > 0
        return cls(
            [book for _, book in shown],
            names[0] if names and (more if window.backwards else comes_from_before) else None,
            names[-1] if names and (window.backwards or more) else None,
            count,
        )

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "books": self.books,
            "before": self.before,
            "after": self.after,
            "count": self.count,
        }
