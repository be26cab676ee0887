"""Searches, at a cost that does not grow with the shop: the best matches first (`fit.py`), or in
another order (`matches.py`)."""

from __future__ import annotations

import json
import sqlite3

from storage import paging
from storage.books import RETIRED, fold, show_book
from storage.paging import BELOW_ALL, BEYOND_ALL, UNRANKED, By
from storage.searches import Count, Found, Search
from storage.sought import of_topics, ranks
from storage.sqlite import fit
from storage.sqlite.books import BOOK, BOOKS, BOOKS_BY_ID
from storage.sqlite.matches import Matches
from storage.sqlite.queries import Queries


def find(connection: sqlite3.Connection, search: Search) -> Found:
    """Return a page of what is searched for. Call it in a transaction: it reads more than once."""
    if search.q is None and search.order.by is By.NUMBER and not search.in_stock:
        return _by_number(connection, search)
    topics = _topics(connection, search)
    of_rank = [[]] if search.q is None else list(ranks(search.q, retired=search.retired))
    if topics == [] or not of_rank:
        return Found.within(search, [], Count(0))
    queries, words = Queries(connection), of_rank[-1]
    also = [] if topics is None else [of_topics(topics)]
    query = queries.of([*words, *also]) if words else None
    matches = Matches(connection, query, words, topics, in_stock=search.in_stock)
    if search.order.by is By.RANK:
        places, stopped, count = fit.page(
            matches, search, (queries.of([*one, *also]) for one in of_rank)
        )
    else:
        places, stopped = matches.places(
            search.order.by, search.sign, search.edge, search.limit + 1, skip=search.skip
        )
        count = matches.count()
    numbers = json.dumps([number for *_, number in places])
    rows = {row["id"]: row for row in connection.execute(BOOKS_BY_ID, (numbers,))}
    shown = [(place, show_book(dict(rows[place[-1]]))) for place in places]
    return Found.within(search, shown, count, stopped)


def _topics(connection: sqlite3.Connection, search: Search) -> list[int] | None:
    """Return the topics that the books may have, None for any."""
    if not search.topic:
        return None
    if search.q is None:
        test, topic = "instr(folded, ?)", fold(search.topic)
    else:
        test, topic = "name = ?", search.topic
    rows = connection.execute(f"SELECT id FROM topics WHERE {test}", (topic,))
    return [number for (number,) in rows]


def _by_number(connection: sqlite3.Connection, search: Search) -> Found:
    """Return books by number, whatever their stock. Of each matching topic only as many are read as
    the page could show."""
    listed_are = f"retired {f'= {RETIRED}' if search.retired else 'IS NULL'}"
    if search.sign == 1:
        beyond, way, beginning = "id > :edge", "id", BELOW_ALL
    else:
        beyond, way, beginning = "id < :edge", "id DESC", BEYOND_ALL
    page = f"ORDER BY b.{way} LIMIT :wanted OFFSET :skip"
    if search.topic:
        among = (
            f"SELECT id FROM books WHERE catalog_id = t.id AND {listed_are} AND {beyond}"
            f" ORDER BY {way}"
        )
        books = (
            f"SELECT {BOOK} FROM topics t"
            f" JOIN books b ON b.id IN ({among} LIMIT :skip + :wanted)"
            f" WHERE instr(t.folded, :folded) {page}"
        )
        listed = (
            "SELECT 1 FROM topics t CROSS JOIN books b ON b.catalog_id = t.id"
            f" WHERE instr(t.folded, :folded) AND b.{listed_are}"
        )
    else:
        books = f"{BOOKS} WHERE b.{listed_are} AND b.{beyond} {page}"
        listed = f"SELECT 1 FROM books WHERE {listed_are}"
    values = {
        "edge": beginning if search.edge is None else search.edge[-1],
        "folded": fold(search.topic or ""),
        "wanted": search.limit + 1,
        "skip": search.skip,
        "most": paging.COUNTED + 1,
    }
    rows = [dict(row) for row in connection.execute(books, values)]
    [(size,)] = connection.execute(f"SELECT count(*) FROM ({listed} LIMIT :most)", values)
    shown = [((UNRANKED, 0, row["id"]), show_book(row)) for row in rows]
    return Found.within(search, shown, Count.upto(size))
