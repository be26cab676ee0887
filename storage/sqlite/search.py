"""Search by words: the best matches first, at a cost that does not grow with the shop.

Of each rank (`storage/terms.py`) at most RANKED books are read, those with the lowest numbers. If
the words find more, the others follow by number. FTS5's own bm25 counts all books of each word
first: over a second for a word that a million books have.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice

from storage import letters
from storage.books import show_book
from storage.isbn import isbn13
from storage.letters import Phrase
from storage.paging import RANKED, UNRANKED, Found, Place, Window
from storage.sqlite import search_index
from storage.sqlite.books import BOOKS_BY_ID
from storage.terms import AUTHOR, ISBN, TITLE, whole_title

MOST_ENDINGS = 24  # of a beginning that are asked for one by one
_RANKED = (
    "SELECT w.rowid, length(b.title) FROM words w CROSS JOIN books b ON b.id = w.rowid"
    " WHERE words MATCH ? ORDER BY w.rowid LIMIT ?"
)
_BEHIND = "SELECT rowid FROM words WHERE words MATCH ? AND rowid > ? ORDER BY rowid"
_BEFORE = "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC"
_ENDINGS = "SELECT term FROM words_known WHERE term BETWEEN ? AND ? ORDER BY term LIMIT ?"


def find(connection: sqlite3.Connection, typed: str, window: Window) -> Found:
    """Return the books that have, for each word of `typed`, one in title or author that begins with
    it, or that have this ISBN. Call it in a transaction: it reads more than once."""
    query = Query(connection, typed)
    places = _ranked(connection, query)
    found = _places(connection, query, places, window)
    wanted = list(islice(found, window.skip, window.skip + window.limit + 1))
    numbers = json.dumps([number for *_, number in wanted])
    rows = {row["id"]: row for row in connection.execute(BOOKS_BY_ID, (numbers,))}
    shown = [(place, show_book(dict(rows[place[2]]))) for place in wanted]
    return Found.within(window, shown, len(places))


def _ranked(connection: sqlite3.Connection, query: Query) -> list[Place]:
    """Return the places of the best books, RANKED at most, in order."""
    places: dict[int, Place] = {}
    asked: set[str] = set()
    for rank, match in enumerate(query.ranks()):
        if match in asked:
            continue
        asked.add(match)
        for number, length in connection.execute(_RANKED, (match, RANKED)):
            places.setdefault(number, (rank, length, number))
            if len(places) == RANKED:
                return sorted(places.values())
    return sorted(places.values())


def _places(
    connection: sqlite3.Connection, query: Query, ranked: Sequence[Place], window: Window
) -> Iterator[Place]:
    """Yield all places in the direction of `window`, from its edge on."""
    edge = window.edge
    if window.backwards:
        assert edge is not None
        if edge[0] == UNRANKED:
            yield from _unranked(connection, _BEFORE, query, ranked, edge[2])
        yield from (place for place in reversed(ranked) if place < edge)
    else:
        yield from (place for place in ranked if edge is None or place > edge)
        begin = edge[2] if edge is not None and edge[0] == UNRANKED else -1
        yield from _unranked(connection, _BEHIND, query, ranked, begin)


def _unranked(
    connection: sqlite3.Connection,
    sql: str,
    query: Query,
    ranked: Sequence[Place],
    begin: int,
) -> Iterator[Place]:
    """Yield the places of books without a rank, by number; they are read as they are wanted."""
    if len(ranked) < RANKED:
        return  # there are no others
    numbers = {number for *_, number in ranked}
    for (number,) in connection.execute(sql, (query.everything, begin)):
        if number not in numbers:
            yield UNRANKED, 0, number


# --- queries to FTS5 -----------------------------------------------------------------------------


class Query:
    """The queries to FTS5 for what was `typed`. Beginnings are looked up when they are needed:
    whole words may find enough."""

    def __init__(self, connection: sqlite3.Connection, typed: str) -> None:
        self._connection = connection
        self._phrases = letters.phrases(typed)
        self._begun: dict[tuple[Phrase, str], str] = {}
        self._title = _quoted(whole_title(letters.tokens(typed)))
        isbn = isbn13(typed)
        self._isbn = None if isbn is None else _quoted(ISBN + isbn)

    def ranks(self) -> Iterator[str]:
        """Yield one query for each rank, the best first."""
        if not self._phrases:
            return
        yield self._or_isbn(self._title)
        yield _all(_whole(phrase, TITLE) for phrase in self._phrases)
        yield _all(_any(_whole(one, mark) for mark in (TITLE, AUTHOR)) for one in self._phrases)
        yield _all(self._begins(phrase, TITLE) for phrase in self._phrases)
        yield self.everything

    @cached_property
    def everything(self) -> str:
        """The query for all books that are found, whatever their rank."""
        return self._or_isbn(
            _all(_any(self._begins(one, mark) for mark in (TITLE, AUTHOR)) for one in self._phrases)
        )

    def _or_isbn(self, query: str) -> str:
        return query if self._isbn is None else _any((query, self._isbn))

    def _begins(self, phrase: Phrase, mark: str) -> str:
        if (phrase, mark) not in self._begun:
            self._begun[phrase, mark] = self._beginning(phrase, mark)
        return self._begun[phrase, mark]

    def _beginning(self, phrase: Phrase, mark: str) -> str:
        """Return a query for the phrase with its last word begun, or for its joined word. FTS5
        reads all that a beginning finds before it returns any of it, unless it has a list of such
        beginnings, or the query names the words."""
        if phrase.joined is not None:
            return _any(
                (self._beginning(replace(phrase, joined=None), mark), _joined(phrase, mark))
            )
        beginning = mark + phrase.tokens[-1]
        text = _text(phrase, mark)
        if not phrase.open:
            return _quoted(text)
        if len(beginning) <= search_index.PREFIX:
            return _quoted(text) + " *"
        range_of = (beginning, f"{beginning}\U0010ffff", MOST_ENDINGS + 1)
        terms = [term for (term,) in self._connection.execute(_ENDINGS, range_of)]
        if len(terms) > MOST_ENDINGS:
            return _quoted(text) + " *"
        others = text.removesuffix(beginning)
        return _any(_quoted(others + term) for term in terms or [beginning])


def _quoted(text: str) -> str:
    return f'"{text}"'  # no token has a quotation mark


def _any(queries: Iterable[str]) -> str:
    """Return a query for books that one of these finds; each stands there once."""
    each = list(dict.fromkeys(queries))
    return each[0] if len(each) == 1 else f"({' OR '.join(each)})"


def _all(queries: Iterable[str]) -> str:
    return " AND ".join(queries)


def _text(phrase: Phrase, mark: str) -> str:
    return " ".join(mark + token for token in phrase.tokens)


def _whole(phrase: Phrase, mark: str) -> str:
    """Return a query for the phrase as it is, or joined; a single character of a run begins its
    pair."""
    whole = _quoted(_text(phrase, mark)) + (" *" if phrase.single else "")
    return whole if phrase.joined is None else _any((whole, _joined(phrase, mark)))


def _joined(phrase: Phrase, mark: str) -> str:
    return _quoted(f"{mark}{phrase.joined}")
