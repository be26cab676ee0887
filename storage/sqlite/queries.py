"""Queries to FTS5 (https://sqlite.org/fts5.html#full_text_query_syntax) for what is sought."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from storage.sought import Choice, Sought
from storage.sqlite import search_index

MOST_ENDINGS = 24  # of a beginning that are asked for one by one
_ENDINGS = "SELECT term FROM words_known WHERE term BETWEEN ? AND ? ORDER BY term LIMIT ?"


class Queries:
    """Makes queries for one file. FTS5 reads all that a beginning finds before it returns any of
    it, unless it has a list of such beginnings, or the query names the words: these are looked up,
    once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[Sought, str] = {}

    def of(self, choices: Iterable[Choice]) -> str:
        """Return the query for books that have one of each choice."""
        return " AND ".join(_any(map(self._one, choice)) for choice in choices)

    def _one(self, sought: Sought) -> str:
        if sought not in self._known:
            self._known[sought] = self._query(sought)
        return self._known[sought]

    def _query(self, sought: Sought) -> str:
        text, beginning = " ".join(sought.terms), sought.terms[-1]
        if not sought.begun:
            return _quoted(text)
        if len(beginning) <= search_index.PREFIX:
            return _quoted(text) + " *"
        range_of = (beginning, f"{beginning}\U0010ffff", MOST_ENDINGS + 1)
        endings = [term for (term,) in self._connection.execute(_ENDINGS, range_of)]
        if len(endings) > MOST_ENDINGS:
            return _quoted(text) + " *"
        before = text.removesuffix(beginning)
        return _any(_quoted(before + term) for term in endings or [beginning])


def _quoted(text: str) -> str:
    return f'"{text}"'  # no term has a quotation mark


def _any(queries: Iterable[str]) -> str:
    """Return a query for books that one of these finds; each stands there once."""
    each = list(dict.fromkeys(queries))
    return each[0] if len(each) == 1 else f"({' OR '.join(each)})"
