"""Pages of the orders of a time, newest first: of all of them, or of those that a query finds.

An order's *place* is when it was sold, and then its number: the clock of another primary may be a
little behind, and two may be sold at once. Neither ever changes. So a page that begins behind a
place leaves out no order and shows none twice, whatever is sold or cancelled meanwhile. What is
sold meanwhile stands before the first page: newest first, the pages have an end, as busy as the
shop is.

An order is found by its id, or the beginning of it, at once. Words are looked for in the titles as
they were sold, and there is no index of them: each purchase would pay for it, and whoever looks for
an order knows about when it was. A page looks at MOST_LOOKED_AT orders of that time, for LOOKS_S:
then it says how far it has come, and may be short, or empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from storage import letters
from storage.books import moment
from storage.orders import OrderReader, Place, show_listed

MOST_LOOKED_AT = 10_000
LOOKS_S = 0.25  # where the machine is busy: whoever has asked waits a second, and would ask again
SLICE = 500  # read at once, while others wait
TITLES_KEPT = 4096  # most are sold many times
EVER: Place = ((1 << 63) - 1, (1 << 63) - 1)  # before it stands every order

Row = Mapping[str, Any]

_ID = re.compile("[0-9a-f]{8,32}")


def place_of(text: str) -> Place:
    """Return the place of a name that `name_of` made."""
    sold_at, _, number = text.partition("-")
    return min(int(sold_at), EVER[0]), min(int(number), EVER[1])


def name_of(place: Place) -> str:
    """Return a place as the text that stands in addresses.

    >>> name_of((1_700_000_000_123, 17))
    '1700000000123-17'
    """
    return "{}-{}".format(*place)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The orders that were sold from `since` on and before `until`, both in milliseconds since
    1970; that `q` finds, which has words; and of which something was `cancelled`, or nothing. Of
    these `limit`, the first that stand behind the place `before`, as going back in time."""

    limit: int
    since: int = -EVER[0]
    until: int = EVER[0]
    before: str | None = None
    q: str | None = None
    cancelled: bool | None = None

    @property
    def edge(self) -> Place:
        """The place behind which they stand."""
        ended = (self.until, 0)
        return ended if self.before is None else min(ended, place_of(self.before))

    @property
    def beginning(self) -> str:
        """What their ids begin with, if that is asked for."""
        typed = (self.q or "").lower()
        return typed if _ID.fullmatch(typed) else ""

    def test(self) -> Callable[[Row], bool]:
        """Return whether a row of that time is wanted."""
        finds = _finding(self.q) if self.q is not None and not self.beginning else None

        def fits(row: Row) -> bool:
            if self.cancelled is not None and self.cancelled is (row["cancelled"] is None):
                return False
            return finds is None or finds(row["lines"])

        return fits


def _finding(q: str) -> Callable[[str], bool]:
    """Return what tells whether an order's lines, as JSON, have a book of this number, or one whose
    title has for each word one that begins with it."""
    wanted = letters.phrases(q)
    number = int(q) if q.isascii() and q.isdigit() else None

    @lru_cache(maxsize=TITLES_KEPT)
    def finds(title: str) -> bool:
        text = letters.findable(title)
        return bool(wanted) and all(one.fits(text) for one in wanted)

    def fits(lines: str) -> bool:
        return any(one["book"] == number or finds(one["title"]) for one in orjson.loads(lines))

    return fits


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Orders, and the place behind which the next page begins, None if there is none. Where it has
    not looked any further, `looked_back_to` is when the last order was sold that it looked at."""

    orders: Sequence[dict[str, Any]]
    before: Place | None
    looked_back_to: int | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "orders": self.orders,
            "before": None if self.before is None else name_of(self.before),
            "looked_back_to": None if self.looked_back_to is None else moment(self.looked_back_to),
        }


async def read_page(reader: OrderReader, wanted: Wanted, clock: Callable[[], float]) -> OrderPage:
    """Return a page of what is wanted. It is read in slices, each of a moment of its own."""
    fits = wanted.test()
    found: list[dict[str, Any]] = []
    place, looked_at, until = wanted.edge, 0, clock() + LOOKS_S
    size = wanted.limit + 1 if wanted.q is None and wanted.cancelled is not False else SLICE
    while True:
        rows = await reader.sold(
            *(wanted.since, place, size),
            beginning=wanted.beginning,
            cancelled=wanted.cancelled is True,
        )
        for row in rows:
            if fits(row):
                if len(found) == wanted.limit:
                    return OrderPage(found, place)
                found.append(show_listed(row))
            place = row["sold_at"], row["seq"]
        looked_at += len(rows)
        if len(rows) < size:
            return OrderPage(found, None)
        if looked_at >= MOST_LOOKED_AT or clock() >= until:
            return OrderPage(found, place, place[0])
