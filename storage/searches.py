"""What a search asks for, and what it finds.

Books are found by words of title or author, or by an ISBN; by topic; and by being in stock. Alone a
topic is any whose name contains what was typed, in any case; next to words it is the one of just
this name. All that is found is on sale, unless it is asked for what is `retired` (S8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bazar.errors import BadRequest
from storage import paging
from storage.paging import By, Place, name_of, place_of
from storage.tags import IN_STOCK, PRICES, SEARCHES


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of books. Of two with the same title, or price, the one with the lower number comes
    first; where `sign` is -1 all is the other way round."""

    by: By
    sign: int = 1


FIT = Sort(By.RANK)
AS_ADDED = Sort(By.NUMBER)
SORTS = {
    "fit": FIT,
    "title": Sort(By.TITLE),
    "price": Sort(By.COST),
    "-price": Sort(By.COST, -1),
    "newest": Sort(By.NUMBER, -1),
}


@dataclass(frozen=True, slots=True)
class Search:
    """Which books are wanted, in which order, and the part of the list: `limit` books after the
    first `skip`, counted from the place `after`; or the last ones that stand before the place
    `before`. Without a `sort` words are answered by fit, and all else as it was added. What is
    `retired` has no order by title or price."""

    limit: int
    q: str | None = None
    topic: str | None = None
    in_stock: bool = False
    retired: bool = False
    sort: str | None = None
    skip: int = 0
    after: str | None = None
    before: str | None = None

    def __post_init__(self) -> None:
        """Take an empty topic for any, next to words, too."""
        object.__setattr__(self, "topic", self.topic or None)

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Search:
        """Return what a read asks for by `{"op": "find", "q", …}` or `{"op": "search", "topic", …}`
        and the fields above. Raises BadRequest."""
        given = {name: value for name, value in item.items() if name != "op"}
        needed = "q" if item["op"] == "find" else "topic"
        try:
            search = cls(**given)
        except TypeError:  # of what else it names
            raise _unknown(given) from None
        texts = (search.q, search.topic, search.sort, search.after, search.before)
        typed = (
            isinstance(given.get(needed), str)
            and (needed == "q" or search.q is None)
            and all(isinstance(one, str | None) for one in texts)
            and all(
                isinstance(one, int) and 0 <= one < 1 << 31 for one in (search.limit, search.skip)
            )
            and all(isinstance(one, bool) for one in (search.in_stock, search.retired))
        )
        if not typed:
            raise _unknown(given)
        search._check()
        return search

    def _check(self) -> None:
        """Raises BadRequest where one field does not go with another."""
        if self.sort is not None and self.sort not in SORTS:
            raise BadRequest(f"sort: must be one of {', '.join(SORTS)}")
        if self.sort == "fit" and self.q is None:
            raise BadRequest("sort: fit is an order of what words find, and there is no q")
        if self.retired and (self.looks or (self.topic and self.q is not None)):
            raise BadRequest(
                "retired: goes with words or a topic, and does not go with in_stock, or an order by"
                " title or price"
            )
        if self.skip and self.looks:
            raise BadRequest(
                "offset: does not go with in_stock, or an order by title or price: follow the Link"
                " of each page"
            )
        for other, given in (("offset", self.skip), ("after", self.after is not None)):
            if given and self.before is not None:
                raise BadRequest(f"{other}: does not go with before, which says where a page ends")
        _ = self.edge

    @property
    def order(self) -> Sort:
        if self.sort is not None:
            return SORTS[self.sort]
        return AS_ADDED if self.q is None else FIT

    @property
    def looks(self) -> bool:
        """Whether it looks at each book, and a page may end early."""
        return self.in_stock or self.order.by in (By.TITLE, By.COST)

    @property
    def backwards(self) -> bool:
        return self.before is not None

    @property
    def sign(self) -> int:
        """Whether places are read upwards (1) or downwards (-1)."""
        return -self.order.sign if self.backwards else self.order.sign

    @property
    def forwards(self) -> bool:
        """Whether places are read upwards."""
        return self.sign > 0

    @property
    def edge(self) -> Place | None:
        """The place where the page begins, or where it ends if it is read backwards. Raises
        BadRequest."""
        for field, name in (("before", self.before), ("after", self.after)):
            if name is not None:
                by = self.order.by
                place = place_of(name, by)
                if place is None:
                    raise BadRequest(
                        f"{field}: {name[:60]!r} names no place in a list of books by {by.value}"
                    )
                return place
        return None

    @property
    def tags(self) -> frozenset[str]:
        """The tags of its answer, whatever that shows (C5)."""
        prices = {PRICES} if self.order.by is By.COST else set()
        stock = {IN_STOCK} if self.in_stock else set()
        return frozenset({SEARCHES, *prices, *stock})


def _unknown(given: Mapping[str, Any]) -> BadRequest:
    return BadRequest(f"no such part of a list: {str(given)[:100]}")


@dataclass(frozen=True, slots=True)
class Count:
    """How many books a list has: so many, or `more` than that."""

    books: int
    more: bool = False

    @classmethod
    def upto(cls, books: int) -> Count:
        """Make it where no more than one above COUNTED are counted."""
        return cls(min(books, paging.COUNTED), books > paging.COUNTED)


@dataclass(frozen=True, slots=True)
class Found:
    """The books of a page, and the names of the places from which the page before and the page
    after are read: None where there is none. `cut` says that the page has ended early, after the
    most books that one page looks at."""

    books: Sequence[dict[str, Any]]
    before: str | None
    after: str | None
    count: Count
    cut: bool = False

    @classmethod
    def within(
        cls,
        search: Search,
        rows: Sequence[tuple[Place, dict[str, Any]]],
        count: Count,
        stopped: Place | None = None,
    ) -> Found:
        """Make it from rows in the order of reading, one more than wanted if there are more;
        `stopped` is the place of the last book that was looked at, if there are more behind it."""
        shown = rows[: search.limit]
        places = [place for place, _ in shown]
        has_more, cut = len(rows) > search.limit, False
        if stopped is not None and not has_more:
            places.append(stopped)
            cut = True
        elif not places and search.looks and search.edge is not None:
            # The page before may have ended early: the way back begins right beside its end.
            *first, number = search.edge
            places.append((*first, max(number + search.sign, 0)))
        names: list[str | None] = [*map(name_of, places)] or [None]
        behind = names[-1] if has_more or cut else None
        books = [book for _, book in shown]
        if search.backwards:
            return cls(books[::-1], behind, names[0], count, cut)
        is_first = search.after is None and not search.skip
        return cls(books, None if is_first else names[0], behind, count, cut)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "books": self.books,
            "before": self.before,
            "after": self.after,
            "count": self.count.books,
            "more": self.count.more,
            "cut": self.cut,
        }
