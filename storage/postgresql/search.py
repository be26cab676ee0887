"""Searches, at a cost that does not grow with the shop: they find what SQLite's do
(`storage/sqlite/search.py`), in the same order, by one statement each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from operator import itemgetter
from typing import Any

from bazar.errors import Unavailable
from storage import letters, paging
from storage.books import fold
from storage.paging import BELOW_ALL, BEYOND_ALL, UNRANKED, By, Place, by_number
from storage.postgresql.books import SCHEMA, shown
from storage.postgresql.search_index import CUT, begin_key, key, quoted
from storage.postgresql.session import Row, Statement
from storage.searches import Count, Found, Search
from storage.sought import Choice, Sought, pattern_of, ranks

FIND = (
    f"SELECT * FROM {SCHEMA}.find($1::text[]::tsquery[], $2::int[], $3::text[], $4::text,"
    " $5::boolean, $6::int, $7::int, $8::int, $9::bigint[], $10::bigint, $11::int, $12::int,"
    " $13::int)"
)
LISTED = (
    f"SELECT * FROM {SCHEMA}.listed($1::text::tsquery, $2::text[], $3::text, $4::boolean,"
    " $5::text, $6::int, $7::text, $8::bigint, $9::int, $10::int, $11::int, $12::int)"
)
_FIRST: Place = (-1, -1, -1)  # before all places
_BEFORE_ALL = {By.NUMBER: "", By.TITLE: "", By.COST: "-1"}
_HEAD = 5  # columns that tell of the whole list, before those of each book


def statement(search: Search) -> Statement:
    """Return what reads a page of what is searched for."""
    of_rank = list(ranks(search.q, retired=search.retired)) if search.q is not None else []
    if search.order.by is By.RANK:
        return _find(search, of_rank)
    # Words in which there is nothing to look for find nothing, and not everything.
    words = of_rank[-1] if of_rank else []
    query = None if search.q is None else _query(words)
    return Statement(
        LISTED,
        (
            *(query, _patterns(words), _topic(search), search.in_stock),
            *(search.order.by.value, search.sign, *edge_of(search)),
            *(paging.COUNTED, paging.LOOKED, search.skip, search.limit + 1),
        ),
    )


def edge_of(search: Search) -> tuple[str, int]:
    """Return behind which key, and which number, the page of a list begins."""
    if search.edge is not None:
        *_, edge, number = search.edge
        return str(edge), number
    if search.forwards:
        return _BEFORE_ALL[search.order.by], BELOW_ALL
    return str(BEYOND_ALL), BEYOND_ALL


def _find(search: Search, of_rank: Sequence[Sequence[Choice]]) -> Statement:
    place = search.edge
    behind: int | None = BELOW_ALL
    if place is not None:
        rank, _, number = place
        if rank == UNRANKED:
            behind = number + search.sign
        elif search.backwards:
            behind = None
    # A query that is asked already finds nothing new. The last one finds everything: if it is asked
    # already then so is the one before it, and what stands last then is the same.
    queries: dict[tuple[str, ...], int] = {}
    for rank, choices in enumerate(of_rank):
        queries.setdefault((_query(choices), *_patterns(choices)), rank)
    places = zip_longest(*(patterns for _, *patterns in queries), fillvalue="")
    padded = [*chain.from_iterable(zip(*places, strict=True))]  # each as long as the longest
    return Statement(
        FIND,
        (
            *([query for query, *_ in queries], list(queries.values()), padded),
            *(_topic(search), search.in_stock),
            *(paging.RANKED, paging.COUNTED, paging.LOOKED),
            *(list(_FIRST if place is None else place), behind, search.sign),
            *(search.skip, search.limit + 1),
        ),
    )


def found(search: Search, rows: Sequence[Row]) -> Found:
    """Return the page in the rows of `statement`. Raises Unavailable while the index of words is
    not the one that this program makes."""
    made_by, books, more, *stopped = rows[0][:_HEAD]
    if made_by != letters.VERSION:
        raise Unavailable(f"the index of words is of version {made_by}, not {letters.VERSION}")
    by = search.order.by
    listed = [row[_HEAD:] for row in rows if any(row[_HEAD:])]  # of none there is a row, too
    places: list[tuple[Place, dict[str, Any]]]
    if by is By.RANK:
        ranked = [(rank, length, shown(tuple(book))) for rank, length, *book in listed]
        places = [((rank, length, book["id"]), book) for rank, length, book in ranked]
        places.sort(key=itemgetter(0), reverse=search.backwards)
    else:
        places = [(_place(by, book), book) for book in map(shown, listed)]
    return Found.within(search, places, Count(books, more), _stopped(by, *stopped))


def _place(by: By, book: dict[str, Any]) -> Place:
    if by is By.NUMBER:
        return by_number(book["id"])
    return letters.sort_key(book["title"]) if by is By.TITLE else book["cost"], book["id"]


def _stopped(by: By, key: str | None, number: int | None) -> Place | None:
    if number is None:
        return None
    if by in (By.RANK, By.NUMBER):
        return by_number(number)
    return key, number  # it is only named


def _topic(search: Search) -> str | None:
    """Return the topic as it is looked for: alone as a part of a name, next to words as one."""
    return fold(search.topic or "") if search.q is None else search.topic


# --- queries to GIN ------------------------------------------------------------------------------


def _query(choices: Iterable[Choice]) -> str:
    """Return a tsquery for books that have one of each choice, and some others."""
    return " & ".join(
        f"({' | '.join(dict.fromkeys(f'({_keys(one)})' for one in choice))})" for choice in choices
    )


def _keys(sought: Sought) -> str:
    """Return a tsquery for all books that have it, and some others unless it is sure."""
    *before, last = sought.terms
    lexemes = [*map(key, before), begin_key(last) if sought.begun else key(last)]
    return " & ".join(map(quoted, dict.fromkeys(lexemes)))


def _is_sure(sought: Sought) -> bool:
    longest = CUT if sought.begun else CUT - 1
    return len(sought.terms) == 1 and len(sought.terms[0]) <= longest


def _patterns(choices: Iterable[Choice]) -> list[str]:
    """Return what the terms of a book must match for each choice whose keys tell too little."""
    return [pattern_of(choice) for choice in choices if not all(map(_is_sure, choice))]
