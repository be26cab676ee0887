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
from dataclasses import dataclass
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
_NEXT_TERM = "SELECT term FROM words_terms WHERE term >= ? LIMIT 1"


@dataclass(frozen=True, slots=True)
class Queries:
    """What FTS5 is asked: for each rank, and for everything."""

    ranks: Sequence[str]
    all: str


def find(connection: sqlite3.Connection, typed: str, window: Window) -> Found:
    """The books that have, for each word of `typed`, one in title or author that begins so, or that
    have this ISBN. To be called in a transaction: what it reads is of one moment."""
    queries = _queries(connection, typed)
    if queries is None:
        return Found([], None, None, 0)
    places = _ranked(connection, queries)
    found = _places(connection, queries, places, window)
    wanted = list(islice(found, window.skip, window.skip + window.limit + 1))
    numbers = json.dumps([number for *_, number in wanted])
    rows = {row["id"]: row for row in connection.execute(BOOKS_BY_ID, (numbers,))}
    shown = [(place, show_book(dict(rows[place[2]]))) for place in wanted]
    return Found.within(window, shown, len(places))


def _ranked(connection: sqlite3.Connection, queries: Queries) -> list[Place]:
    """The places of the best, RANKED of them if there are more."""
    places: dict[int, Place] = {}
    asked: set[str] = set()
    for rank, query in enumerate(queries.ranks):
        if query in asked:
            continue
        asked.add(query)
        for number, length in connection.execute(_RANKED, (query, RANKED)):
            if len(places) == RANKED:
                return sorted(places.values())
            places.setdefault(number, (rank, length, number))
    return sorted(places.values())


def _places(
    connection: sqlite3.Connection, queries: Queries, ranked: Sequence[Place], window: Window
) -> Iterator[Place]:
    """All places in the direction of `window`, from its edge on."""
    edge = window.edge
    if window.backwards:
        assert edge is not None
        if edge[0] == UNRANKED:
            yield from _unranked(connection, _BEFORE, queries, ranked, edge[2])
        yield from (place for place in reversed(ranked) if place < edge)
    else:
        yield from (place for place in ranked if edge is None or place > edge)
        begin = edge[2] if edge is not None and edge[0] == UNRANKED else -1
        yield from _unranked(connection, _BEHIND, queries, ranked, begin)


def _unranked(
    connection: sqlite3.Connection,
    sql: str,
    queries: Queries,
    ranked: Sequence[Place],
    begin: int,
) -> Iterator[Place]:
    """Those by number. They are read one after the other, as far as they are wanted."""
    if len(ranked) < RANKED:
        return  # there are no others
    numbers = {number for *_, number in ranked}
    for (number,) in connection.execute(sql, (queries.all, begin)):
        if number not in numbers:
            yield UNRANKED, 0, number


# --- what FTS5 is asked --------------------------------------------------------------------------


def _queries(connection: sqlite3.Connection, typed: str) -> Queries | None:
    """None if nothing was typed that could be found."""
    phrases = letters.phrases(typed)
    if not phrases:
        return None
    in_title = [_whole(phrase, TITLE) for phrase in phrases]
    anywhere = [_any((_whole(phrase, TITLE), _whole(phrase, AUTHOR))) for phrase in phrases]
    title_begins = [_begins(connection, phrase, TITLE) for phrase in phrases]
    author_begins = [_begins(connection, phrase, AUTHOR) for phrase in phrases]
    either_begins = [_any(pair) for pair in zip(title_begins, author_begins, strict=True)]
    exact, everything = _quoted(words.whole(letters.tokens(typed))), _all(either_begins)
    number = isbn13(typed)
    if number is not None:
        exact, everything = (_any((query, _quoted(f"#{number}"))) for query in (exact, everything))
    ranks = (exact, _all(in_title), _all(anywhere), _all(title_begins), everything)
    return Queries(ranks, everything)


def _quoted(text: str) -> str:
    return f'"{text}"'  # no token has a quotation mark


def _any(queries: Iterable[str]) -> str:
    """One of these: each once."""
    return "(" + " OR ".join(dict.fromkeys(queries)) + ")"


def _all(queries: Iterable[str]) -> str:
    return " AND ".join(queries)


def _text(phrase: Phrase, mark: str) -> str:
    return " ".join(mark + token for token in phrase.tokens)


def _whole(phrase: Phrase, mark: str) -> str:
    """Ask for the phrase as it is; a single character of a run begins its pair."""
    return _quoted(_text(phrase, mark)) + (" *" if phrase.single else "")


def _begins(connection: sqlite3.Connection, phrase: Phrase, mark: str) -> str:
    """Ask for the phrase, its last word begun. FTS5 reads all of what a beginning finds before it
    gives any of it; unless it has a list of such beginnings, or is told the words."""
    beginning = mark + phrase.tokens[-1]
    if not phrase.open or len(beginning) <= words.PREFIX:
        return _quoted(_text(phrase, mark)) + (" *" if phrase.open else "")
    terms = list(islice(_terms(connection, beginning), MOST_ENDINGS + 1))
    if len(terms) > MOST_ENDINGS:
        return _quoted(_text(phrase, mark)) + " *"
    others = _text(phrase, mark).removesuffix(beginning)
    return _any(_quoted(others + term) for term in terms or [beginning])


def _terms(connection: sqlite3.Connection, beginning: str) -> Iterator[str]:
    """The words in the index that begin so, in order."""
    term = beginning
    while True:
        row = connection.execute(_NEXT_TERM, (term,)).fetchone()
        if row is None or not row[0].startswith(beginning):
            return
        yield row[0]
        term = row[0] + "\x01"  # behind it, before all that begin with it
