"""The books that a search is about, read from one file at one moment, in any order but that of fit.

There are two ways to a page. Where a search is about no more than LOOKED books, they are all read,
and put in order. Where it is about more, all books of the shop are gone through in that order, by
an index, until enough of them are right: with so many the next is near. LOOKED are looked at for
one page, or for a count; where too few of them are right, the page ends early, and the next goes
on. By number FTS5 has what it finds in order already.

What words have in common, or words and a topic, FTS5 finds by leaping through their lists: that
takes as many steps as the shorter one has books, at worst.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from storage import paging
from storage.letters import sort_key
from storage.paging import BELOW_ALL, BEYOND_ALL, UNRANKED, By, Place
from storage.searches import Count
from storage.sought import Choice, fitting
from storage.terms import terms_of

_WORDS = "SELECT 0 AS key, rowid AS book FROM words WHERE words MATCH :query"
_OF_TOPICS = "catalog_id IN (SELECT value FROM json_each(:topics))"
_ON_SALE = "SELECT id AS book FROM books WHERE retired IS NULL"
_IN_ORDER = {
    By.NUMBER: "SELECT 0 AS key, id AS book FROM books WHERE retired IS NULL AND id {beyond} :book"
    " ORDER BY id {way}",
    By.TITLE: "SELECT key, book FROM titles WHERE (key, book) {beyond} (:key, :book)"
    " ORDER BY key {way}, book {way}",
    # As one comparison of both SQLite would go through all books of this price.
    By.COST: "SELECT cost AS key, id AS book FROM books"
    " WHERE retired IS NULL AND cost = :key AND id {beyond} :book"
    " UNION ALL SELECT cost, id FROM books WHERE retired IS NULL AND cost {beyond} :key"
    " ORDER BY key {way}, book {way}",
}
_WORDS_IN_ORDER = f"{_WORDS} AND rowid {{beyond}} :book ORDER BY rowid {{way}}"
_KEYS = {By.NUMBER: "0", By.TITLE: "sort_key(b.title)", By.COST: "b.cost"}
_FIRST: dict[By, Any] = {By.NUMBER: 0, By.TITLE: "", By.COST: -1}
_WAYS = {1: {"beyond": ">", "way": "ASC"}, -1: {"beyond": "<", "way": "DESC"}}


class Matches:
    """What a query to FTS5 finds, which asks for `words` and maybe a topic; without a query, the
    books of some topics, or all. Where an order or a topic is gone through, it is what is on sale:
    what is retired only its own terms find."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        query: str | None,
        words: Sequence[Choice],
        topics: Sequence[int] | None,
        *,
        in_stock: bool,
    ) -> None:
        self.connection = connection
        self.in_stock = in_stock
        self._query = query
        self._topics = topics
        self._stock = ["b.count > 0"] if in_stock else []
        self._sizes: dict[str | None, tuple[int, int]] = {}  # and up to where they are counted
        fits = fitting(words)

        # To ask FTS5 whether it finds one book costs four to twelve times as much.
        def has_words(title: str, author: str | None, isbn: str | None, topic: int) -> bool:
            return fits(terms_of(title, author, isbn, topic, None))

        connection.create_function("has_words", 4, has_words, deterministic=True)
        connection.create_function("sort_key", 1, sort_key, deterministic=True)

    def size(self, most: int, query: str | None = None) -> int:
        """Return how many books there are, in stock or not, counted up to `most`; or those that
        another query finds."""
        size, bound = self._sizes.get(query, (0, -1))
        if bound < most:
            found = self._found if query is None else _WORDS
            sql = f"SELECT count(*) FROM ({found} LIMIT :most)"
            [(size,)] = self._ask(sql, most=most, query=query)
            self._sizes[query] = size, most
        return min(size, most)

    @property
    def are_many(self) -> bool:
        """Whether there are more books, in stock or not, than one page looks at."""
        return self.size(paging.LOOKED + 1) > paging.LOOKED

    def count(self) -> Count:
        """Return how many books there are, as far as LOOKED of them tell."""
        if not self.in_stock:
            return Count.upto(self.size(paging.COUNTED + 1))
        places, stopped = self.places(By.NUMBER, 1, None, paging.COUNTED + 1)
        return Count.upto(len(places)) if stopped is None else Count(len(places), more=True)

    def places(
        self,
        by: By,
        sign: int,
        edge: Place | None,
        wanted: int,
        *,
        skip: int = 0,
        but: str = "[]",
    ) -> tuple[list[Place], Place | None]:
        """Return the places of so many books behind `edge`, upwards (`sign` 1) or downwards (-1),
        and where the look at them has ended, if that is why there are no more. Leave out the first
        `skip`, and the numbers in the JSON list `but`."""
        is_listed = by is By.NUMBER and self._query is not None
        if not is_listed and not self._is_all and not self.are_many:
            return self._sorted(by, sign, edge, wanted), None
        source = (_WORDS_IN_ORDER if is_listed else _IN_ORDER[by]).format(**_WAYS[sign])
        tests = ["b.id NOT IN (SELECT value FROM json_each(:but))", *self._stock]
        if self._topics is not None and not is_listed:
            tests.append(f"b.{_OF_TOPICS}")
        if self._query is not None and not is_listed:
            tests.append("has_words(b.title, b.author, b.isbn, b.catalog_id)")
        beyond = _beyond(by, sign, edge)
        rows = self._ask(
            f"SELECT s.key, s.book FROM ({source} LIMIT :looked) s CROSS JOIN books b"
            f" ON b.id = s.book WHERE {' AND '.join(tests)} LIMIT :wanted OFFSET :skip",
            **{**beyond, "wanted": wanted, "skip": skip, "but": but},
        )
        stopped = None
        if len(rows) < wanted:
            ends = self._ask(f"{source} LIMIT 2 OFFSET :looked - 1", **beyond)
            stopped = _place(by, *ends[0]) if len(ends) == 2 else None
        return [_place(by, *row) for row in rows], stopped

    def _sorted(self, by: By, sign: int, edge: Place | None, wanted: int) -> list[Place]:
        ways = _WAYS[sign]
        tests = " AND ".join(["b.id = f.book", *self._stock])
        rows = self._ask(
            f"SELECT key, book FROM (SELECT {_KEYS[by]} AS key, b.id AS book"
            f" FROM ({self._found}) f CROSS JOIN books b WHERE {tests} LIMIT :looked)"
            f" WHERE (key, book) {ways['beyond']} (:key, :book)"
            f" ORDER BY key {ways['way']}, book {ways['way']} LIMIT :wanted",
            **{**_beyond(by, sign, edge), "wanted": wanted},
        )
        return [_place(by, *row) for row in rows]

    @property
    def _is_all(self) -> bool:
        return self._query is None and self._topics is None

    @property
    def _found(self) -> str:
        """All its books, in whatever order is the cheapest."""
        if self._query is not None:
            return _WORDS
        return _ON_SALE if self._is_all else f"{_ON_SALE} AND {_OF_TOPICS}"

    def _ask(self, sql: str, query: str | None = None, **values: Any) -> list[Any]:
        common = {"query": query or self._query, "topics": json.dumps(self._topics)}
        rows = self.connection.execute(sql, {**common, "looked": paging.LOOKED, **values})
        return rows.fetchall()


def _beyond(by: By, sign: int, edge: Place | None) -> dict[str, Any]:
    """Return the values behind which a list is read."""
    if edge is not None:
        *_, key, book = edge
        return {"key": key, "book": book}
    if sign > 0:
        return {"key": _FIRST[by], "book": BELOW_ALL}
    return {"key": BEYOND_ALL, "book": BEYOND_ALL}


def _place(by: By, key: Any, book: int) -> Place:
    return (UNRANKED, 0, book) if by is By.NUMBER else (key, book)
