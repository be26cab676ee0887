"""What words find, the best matches first.

Of each rank (`storage/terms.py`) at most RANKED books are read, those with the lowest numbers; of
those that must be in stock, LOOKED are looked at for that. If the words find more, the others
follow by number. FTS5's own bm25 counts all books of each word first: over a second for a word that
a million books have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from storage import paging
from storage.paging import UNRANKED, By, Place
from storage.searches import Count, Search
from storage.sqlite.matches import Matches

_RANKED = (
    "SELECT s.book, length(b.title) FROM"
    " (SELECT rowid AS book FROM words WHERE words MATCH ? ORDER BY rowid LIMIT ?) s"
    " CROSS JOIN books b ON b.id = s.book WHERE b.count >= ? LIMIT ?"
)


def page(
    matches: Matches, search: Search, queries: Iterable[str]
) -> tuple[list[Place], Place | None, Count]:
    """Return the places of a page's books, one more if there are more; where the look at them has
    ended, if that is why there are not; and how many books there are. `queries` are those of each
    rank, the best first; what is not needed is not asked for."""
    ranked, asked = _ranked(matches, queries)
    has_others = len(ranked) == paging.RANKED or (matches.in_stock and matches.are_many)
    count = _count(matches, asked) if has_others else Count.upto(len(ranked))
    number = json.dumps([number for *_, number in ranked])
    edge, wanted = search.edge, search.limit + 1
    is_among_others = edge is not None and edge[0] == UNRANKED
    stopped = None
    if search.backwards:
        places: list[Place] = []
        if has_others and is_among_others:
            places, stopped = matches.places(By.NUMBER, -1, edge, wanted, but=number)
        if stopped is None:
            before = [place for place in reversed(ranked) if edge is not None and place < edge]
            places += before[: wanted - len(places)]
        return places, stopped, count
    behind = [place for place in ranked if edge is None or place > edge]
    places = behind[search.skip : search.skip + wanted]
    if has_others and len(places) < wanted:
        others, stopped = matches.places(
            *(By.NUMBER, 1, edge if is_among_others else None, wanted - len(places)),
            skip=max(search.skip - len(behind), 0),
            but=number,
        )
        places += others
    return places, stopped, count


def _ranked(matches: Matches, queries: Iterable[str]) -> tuple[list[Place], list[str]]:
    """Return the places of the best books, RANKED at most, in order, and the queries that
    have found them."""
    places: dict[int, Place] = {}
    asked: dict[str, None] = {}
    looked = paging.LOOKED if matches.in_stock else paging.RANKED
    for rank, query in enumerate(queries):
        if query in asked or len(places) == paging.RANKED:
            continue
        asked[query] = None
        values = (query, looked, matches.in_stock, paging.RANKED)
        for number, length in matches.connection.execute(_RANKED, values):
            if len(places) < paging.RANKED:
                places.setdefault(number, (rank, length, number))
    return sorted(places.values()), list(asked)


def _count(matches: Matches, asked: Sequence[str]) -> Count:
    """Count the books: where one of the queries that are asked already has more than are counted,
    without asking for all."""
    if not matches.in_stock:
        for query in asked:
            if matches.size(paging.COUNTED + 1, query) > paging.COUNTED:
                return Count(paging.COUNTED, more=True)
    return matches.count()
