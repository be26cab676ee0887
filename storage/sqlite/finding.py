"""Searching by words: the best matches first, at a cost that does not grow with the shop.

All books that are found have all the words, so how rare a word is says nothing. What tells them
apart, best first: (0) the title is what was typed, or the ISBN; (1) all are words of the title;
(2) all are words of title or author; (3) the words of the title begin so; (4) those of title or
author do. Within a rank the shorter title comes first, as more of it was asked for, then the lower
number.

Of each rank at most RANKED books are looked at, those with the lowest numbers. If they are not all
that the words find, the others follow by number. FTS5's own bm25 counts all books of each word
first: over a second for a word that a million books have.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice

from storage import letters, words
from storage.catalog import show_book
from storage.isbn import isbn13
from storage.letters import Phrase
from storage.paging import RANKED, UNRANKED, Found, Place, Window
from storage.sqlite.books import BOOKS_BY_ID

MOST_ENDINGS = 24  # of a beginning that are looked up one by one

TITLE, AUTHOR = "", "@"  # what marks the tokens of each

_RANKED = (
    "SELECT w.rowid, length(b.title) FROM words w CROSS JOIN books b ON b.id = w.rowid"
    " WHERE words MATCH ? ORDER BY w.rowid LIMIT ?"
)
_BEHIND = "SELECT rowid FROM words WHERE words MATCH ? AND rowid > ? ORDER BY rowid"
_BEFORE = "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC"
_ENDINGS = "SELECT term FROM words_known WHERE term BETWEEN ? AND ? ORDER BY term LIMIT ?"


def find(connection: sqlite3.Connection, typed: str, window: Window) -> Found:
    """The books that have, for each word of `typed`, one in title or author that begins so, or that
    have this ISBN. To be called in a transaction: what it reads is of one moment."""
    query = Query(connection, typed)
    places = _ranked(connection, query)
    found = _places(connection, query, places, window)
    wanted = list(islice(found, window.skip, window.skip + window.limit + 1))
    numbers = json.dumps([number for *_, number in wanted])
    rows = {row["id"]: row for row in connection.execute(BOOKS_BY_ID, (numbers,))}
    shown = [(place, show_book(dict(rows[place[2]]))) for place in wanted]
    return Found.within(window, shown, len(places))


def _ranked(connection: sqlite3.Connection, query: Query) -> list[Place]:
    """The places of the best, RANKED of them if there are more."""
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
    """All places in the direction of `window`, from its edge on."""
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
    """Those by number. They are read one after the other, as far as they are wanted."""
    if len(ranked) < RANKED:
        return  # there are no others
    numbers = {number for *_, number in ranked}
    for (number,) in connection.execute(sql, (query.everything, begin)):
        if number not in numbers:
            yield UNRANKED, 0, number


# --- what FTS5 is asked --------------------------------------------------------------------------


class Query:
    """What FTS5 is asked where somebody has `typed` this. Beginnings are looked up when they are
    needed: the whole words may have found enough."""

    def __init__(self, connection: sqlite3.Connection, typed: str) -> None:
        self._connection = connection
        self._phrases = letters.phrases(typed)
        self._begun: dict[tuple[Phrase, str], str] = {}
        self._title = _quoted(words.whole(letters.tokens(typed)))
        isbn = isbn13(typed)
        self._isbn = None if isbn is None else _quoted(f"#{isbn}")

    def ranks(self) -> Iterator[str]:
        """One for each rank, the best first."""
        if not self._phrases:
            return
        yield self._or_isbn(self._title)
        yield _all(_whole(phrase, TITLE) for phrase in self._phrases)
        yield _all(_any(_whole(one, mark) for mark in (TITLE, AUTHOR)) for one in self._phrases)
        yield _all(self._begins(phrase, TITLE) for phrase in self._phrases)
        yield self.everything

    @cached_property
    def everything(self) -> str:
        """All that is found, whatever its rank."""
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
        """The phrase, its last word begun, or else joined. FTS5 reads all of what a beginning finds
        before it gives any of it; unless it has a list of such beginnings, or is told the words."""
        if phrase.joined is not None:
            return _any(
                (self._beginning(replace(phrase, joined=None), mark), _joined(phrase, mark))
            )
        beginning = mark + phrase.tokens[-1]
        text = _text(phrase, mark)
        if not phrase.open:
            return _quoted(text)
        if len(beginning) <= words.PREFIX:
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
    """One of these: each once."""
    each = list(dict.fromkeys(queries))
    return each[0] if len(each) == 1 else f"({' OR '.join(each)})"


def _all(queries: Iterable[str]) -> str:
    return " AND ".join(queries)


def _text(phrase: Phrase, mark: str) -> str:
    return " ".join(mark + token for token in phrase.tokens)


def _whole(phrase: Phrase, mark: str) -> str:
    """The phrase as it is, or joined; a single character of a run begins its pair."""
    whole = _quoted(_text(phrase, mark)) + (" *" if phrase.single else "")
    return whole if phrase.joined is None else _any((whole, _joined(phrase, mark)))


def _joined(phrase: Phrase, mark: str) -> str:
    return _quoted(f"{mark}{phrase.joined}")
