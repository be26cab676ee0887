"""Pages of a list of books, each beginning after the last book of the page before.

A book's *place* says where in the list it stands, whatever else is in the list: what the list is
ordered by, then the book's number. So a page costs the same however many come before it, and no
book is shown twice when books come and go in between. Best matches stand by rank, then by length of
the title.

No page looks at more than LOOKED books. Where it has to look at each, and finds too few of them, it
ends early: the next page goes on where it has stopped looking.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from storage.letters import SORTED

RANKED = 1000  # books at most that are given a rank
UNRANKED = 9  # the rank of all others: they follow by number
COUNTED = 1000  # books at most that are counted
LOOKED = 20_000  # books at most that are looked at for one page, or for a count; more than COUNTED

Place = tuple[Any, ...]  # of places in one list the first stands first


class By(Enum):
    """What a list of books is ordered by; each place's form."""

    RANK = "rank"  # rank, length of the title, number
    NUMBER = "number"  # UNRANKED, 0, number
    TITLE = "title"  # the title's sort key (`letters.py`), number
    COST = "cost"  # cost in cents, number


_NUMBER = "([0-9]{1,18})"
_RANKED = f"(?:{_NUMBER}-{_NUMBER}-)?{_NUMBER}"
_NAMES = {
    By.RANK: re.compile(_RANKED),
    By.NUMBER: re.compile(_RANKED),
    By.TITLE: re.compile(rf"([^\x00-\x1f\ud800-\udfff]{{0,{SORTED}}})-{_NUMBER}"),
    By.COST: re.compile(f"{_NUMBER}-{_NUMBER}"),
}


BELOW_ALL = -1  # of numbers
BEYOND_ALL = 1 << 62  # of numbers, and of prices


def by_number(number: int) -> Place:
    """Return the place of a book in a list by number, or behind all that have a rank."""
    return UNRANKED, 0, number


def place_of(text: str, by: By) -> Place | None:
    """Return the place of a name that `name_of` made; None if it names none in such a list.

    >>> place_of("2-31-17", By.RANK), place_of("17", By.RANK), place_of("e-mail-17", By.TITLE)
    ((2, 31, 17), (9, 0, 17), ('e-mail', 17))
    """
    match = _NAMES[by].fullmatch(text)
    if match is None:
        return None
    if by is By.TITLE:
        return match[1], int(match[2])
    numbers = tuple(int(part) for part in match.groups() if part is not None)
    return by_number(*numbers) if len(numbers) == 1 else numbers


def name_of(place: Place) -> str:
    """Return a place as the text that stands in addresses."""
    *first, number = place
    return "-".join(map(str, (number,) if first == [UNRANKED, 0] else place))
