"""The samples: seven books with which a group begins, unless it is to begin empty (T0).

Their numbers are theirs alone: no other book is ever given one, whether they are there or not. So a
link to a sample that was taken away leads to no other book.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from storage.books import OPTIONAL, Row


@dataclass(frozen=True, slots=True)
class Sample:
    """A book as it is at first; `cost` is in cents."""

    title: str
    topic: str
    cost: int
    count: int

    def row(self, number: int, catalog_id: int) -> dict[str, Any]:
        """Return it as a book of this number, with its topic's."""
        others = dict.fromkeys(OPTIONAL)
        return {"id": number, **asdict(self), "catalog_id": catalog_id, **others}

    def is_still(self, book: Row) -> bool:
        """Return whether a book of its number is it, whatever its price and its stock are by now:
        one that was given another title, author, ISBN or topic is a book of the keeper's own."""
        return (book["title"], book["topic"]) == (self.title, self.topic) and (
            book["author"] is book["isbn"] is None
        )


_ROWS = (
    ("How to get a good grade in DOS in 40 minutes a day", "Distributed Systems", 4000, 19),
    ("RPCs for Noobs", "Distributed Systems", 506, 1),
    ("Xen and the Art of Surviving Undergraduate School", "Undergraduate School", 50, 2),
    ("Cooking for the Impatient Undergrad", "Undergraduate School", 20, 7),
    ("How to finish Project 3 on time", "Undergraduate School", 1200, 10),
    ("Why theory classes are so hard", "Undergraduate School", 1500, 10),
    ("Spring in the Pioneer Valley", "Undergraduate School", 2500, 10),
)
SAMPLES: Mapping[int, Sample] = {n: Sample(*row) for n, row in enumerate(_ROWS, start=1)}
"""By their numbers."""
