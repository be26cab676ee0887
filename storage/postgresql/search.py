"""Search by words: the best matches first, at a cost that does not grow with the shop.

It finds what SQLite's does (`storage/sqlite/search.py`), in the same order, by one statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bazar.errors import Unavailable
from storage import letters
from storage.isbn import isbn13
from storage.letters import Phrase
from storage.paging import RANKED, UNRANKED, Found, Place, Window
from storage.postgresql.books import SCHEMA, shown
from storage.postgresql.search_index import CUT, begin_key, key, quoted
from storage.postgresql.session import Row, Statement
from storage.terms import AUTHOR, ISBN, TITLE, whole_title

FIND = (
    f"SELECT * FROM {SCHEMA}.find($1::text[]::tsquery[], $2::int[], $3::text[], $4::int,"
    " $5::bigint[], $6::bigint, $7::int, $8::int, $9::int)"
)
_FIRST: Place = (-1, -1, -1)  # before all places


@dataclass(frozen=True, slots=True)
class Sought:
    """Terms that follow each other in a book; the last one may go on if it is only `begun`."""

    terms: tuple[str, ...]
    begun: bool

    @property
    def query(self) -> str:
        """A tsquery for all books that have it, and some others unless it is `sure`."""
        *before, last = self.terms
        lexemes = [*map(key, before), begin_key(last) if self.begun else key(last)]
        return " & ".join(map(quoted, dict.fromkeys(lexemes)))

    @property
    def sure(self) -> bool:
        longest = CUT if self.begun else CUT - 1
        return len(self.terms) == 1 and len(self.terms[0]) <= longest

    @property
    def pattern(self) -> str:
        """A regular expression for the text of a book's terms."""
        return re.escape(f" {' '.join(self.terms)}{'' if self.begun else ' '}")


Choice = tuple[Sought, ...]  # one of them does


def statement(typed: str, window: Window) -> Statement:
    """Return what reads the books in `window`, of those that have, for each word of `typed`, one in
    title or author that begins with it, or that have this ISBN. Raises BadRequest."""
    place = window.edge
    behind: int | None = 0
    if window.backwards:
        assert place is not None
        behind = place[2] - 1 if place[0] == UNRANKED else None
    elif place is not None and place[0] == UNRANKED:
        behind = place[2] + 1
    # A query that is asked already finds nothing new. The last one finds everything: if it is asked
    # already then so is the one before it, and what stands last then is the same.
    queries: dict[tuple[str, ...], int] = {}
    for rank, choices in enumerate(_ranks(typed)):
        queries.setdefault((_query(choices), *_patterns(choices)), rank)
    width = max((len(patterns) for _, *patterns in queries), default=0)
    padded = [pattern for _, *patterns in queries for pattern in [*patterns, *[""] * width][:width]]
    return Statement(
        FIND,
        (
            [query for query, *_ in queries],
            list(queries.values()),
            padded,
            RANKED,
            list(_FIRST if place is None else place),
            behind,
            -1 if window.backwards else 1,
            window.skip,
            window.limit + 1,
        ),
    )


def found(window: Window, rows: Sequence[Row]) -> Found:
    """Return the page in the rows of `statement`. Raises Unavailable while the index of words is
    not the one that this program makes."""
    made_by, count = rows[0][:2]
    if made_by != letters.VERSION:
        raise Unavailable(f"the index of words is of version {made_by}, not {letters.VERSION}")
    places = [((row[2], row[3], row[4]), shown(row[4:])) for row in rows if row[2] is not None]
    places.sort(key=lambda one: one[0], reverse=window.backwards)
    return Found.within(window, places, count)


def _ranks(typed: str) -> Iterator[list[Choice]]:
    """Yield for each rank what a book must have, the best first."""
    phrases = letters.phrases(typed)
    if not phrases:
        return
    isbn = isbn13(typed)
    number: Choice = () if isbn is None else (Sought((ISBN + isbn,), False),)
    yield [(Sought((whole_title(letters.tokens(typed)),), False), *number)]
    yield [_whole(one, TITLE) for one in phrases]
    yield [_whole(one, TITLE) + _whole(one, AUTHOR) for one in phrases]
    yield [_begun(one, TITLE) for one in phrases]
    yield [_begun(one, TITLE) + _begun(one, AUTHOR) + number for one in phrases]


def _whole(phrase: Phrase, mark: str) -> Choice:
    """Return the phrase as it is, or joined; a single character of a run begins its pair."""
    return _terms(phrase, mark, phrase.single)


def _begun(phrase: Phrase, mark: str) -> Choice:
    """Return the phrase with its last word begun, or joined."""
    return _terms(phrase, mark, phrase.open)


def _terms(phrase: Phrase, mark: str, begun: bool) -> Choice:
    sought = Sought(tuple(mark + token for token in phrase.tokens), begun)
    if phrase.joined is None:
        return (sought,)
    return sought, Sought((mark + phrase.joined,), False)


def _query(choices: Iterable[Choice]) -> str:
    """Return a tsquery for books that have one of each choice, and some others."""
    return " & ".join(
        f"({' | '.join(dict.fromkeys(f'({one.query})' for one in choice))})" for choice in choices
    )


def _patterns(choices: Iterable[Choice]) -> list[str]:
    """Return what the terms of a book must match for each choice whose keys tell too little."""
    return [
        "|".join(one.pattern for one in choice)
        for choice in choices
        if not all(one.sure for one in choice)
    ]
