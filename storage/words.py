"""Finding books by the words of their title and author: a full-text index beside `books`.

It is derived data: triggers keep it in step with the rows, in the same transaction, so that it is
replicated with them without being replicated itself, and no part of what replicas compare.

Each book has one list of tokens (`storage/letters.py`), which FTS5 only splits at spaces: those of
the title, those of the author behind an `@`, `#` with its ISBN, and `=` with a hash of the whole
title. So each of these is a term of its own, and finding the first books of one costs the same
however many there are, in the title or elsewhere. Beginnings of up to PREFIX letters have lists of
their own for the same reason; longer ones are looked up in `words_known`, all longer words that
some book had since the index was made.

A file's index may be missing, or be made by another version of Unicode than ours: then `learn`
makes it anew, in slices, before anybody reads or writes. Triggers know only the books up to there.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Generator
from contextlib import closing
from typing import Any

from storage import letters

PREFIX = 3
SLICE_BOOKS = 5000
ALL = 2**63 - 1

_NEW, _OLD = (f"words_of({row}.title, {row}.author, {row}.isbn)" for row in ("new", "old"))
_FORGET = f"INSERT INTO words (words, rowid, tokens) VALUES ('delete', old.id, {_OLD})"
_TOKENIZE = "tokenize = \"ascii tokenchars '@#=+.'\""
_KNOW = (
    "INSERT OR IGNORE INTO words_known SELECT value FROM {rows} WHERE NOT EXISTS"
    " (SELECT 1 FROM words_known WHERE term = value)"
)
_LEARN = (
    f"INSERT INTO words (rowid, tokens) VALUES (new.id, {_NEW});"
    f" {_KNOW.format(rows=f'json_each(long_words({_NEW}))')}"
)
_MADE = "old.id <= (SELECT upto FROM words_made)"
_CHANGED = " OR ".join(f"old.{name} IS NOT new.{name}" for name in ("title", "author", "isbn"))

# Two older ones made indexes that the last one throws away. With a column more the checksum over
# the rows is another one: a process that ends before it is made anew must not leave the old one.
MIGRATIONS = (
    "",
    "",
    f"""
DROP TRIGGER IF EXISTS words_of_new;
DROP TRIGGER IF EXISTS words_of_old;
DROP TRIGGER IF EXISTS words_of_changed;
DROP TABLE IF EXISTS words;
DROP VIEW IF EXISTS spelled;
ALTER TABLE books ADD COLUMN isbn TEXT;
DELETE FROM meta WHERE name = 'checksum';
CREATE VIRTUAL TABLE words USING fts5 (
    tokens, content = '', columnsize = 0, prefix = '{" ".join(map(str, range(1, PREFIX + 1)))}',
    {_TOKENIZE});
CREATE TABLE words_known (term TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE words_made (by TEXT NOT NULL, upto INTEGER NOT NULL);
INSERT INTO words_made VALUES ('', 0);
CREATE TRIGGER words_of_new AFTER INSERT ON books WHEN {_MADE.replace("old", "new")}
BEGIN {_LEARN}; END;
CREATE TRIGGER words_of_old AFTER DELETE ON books WHEN {_MADE}
BEGIN {_FORGET}; END;
CREATE TRIGGER words_of_changed AFTER UPDATE OF title, author, isbn ON books
WHEN {_MADE} AND ({_CHANGED})
BEGIN {_FORGET}; {_LEARN}; END""",
)


def whole(tokens: list[str]) -> str:
    """The token of a whole title."""
    return "=" + hashlib.blake2b(" ".join(tokens).encode(), digest_size=6).hexdigest()


def words_of(title: str, author: str | None, isbn: str | None) -> str:
    """What a book is found by.

    >>> words_of("Émile", "J.-J. Rousseau", "9780306406157")
    'emile =fd9275c3e043 @j @j @rousseau #9780306406157'
    """
    tokens = letters.tokens(title)
    found = [*tokens, *letters.joined(title), whole(tokens)]
    if author is not None:
        found += [f"@{token}" for token in letters.tokens(author) + letters.joined(author)]
    if isbn is not None:
        found.append(f"#{isbn}")
    return " ".join(found)


def long_words(tokens: str) -> str:
    """Those whose beginnings have no lists of their own, as JSON."""
    return json.dumps([token for token in dict.fromkeys(tokens.split()) if _is_long(token)])


def _is_long(token: str) -> bool:
    return len(token) > PREFIX and token[0] not in "=#"


def teach(connection: sqlite3.Connection) -> None:
    """Let a connection know what triggers call."""
    connection.create_function("words_of", 3, words_of, deterministic=True)
    connection.create_function("long_words", 1, long_words, deterministic=True)


def learn(connection: sqlite3.Connection) -> bool:
    """Make the index of some more books, in the open transaction, if it is not that of all of them.
    Returns whether it is then."""
    [(by, upto)] = connection.execute("SELECT by, upto FROM words_made")
    if (by, upto) == (letters.VERSION, ALL):
        return True
    if by != letters.VERSION:
        upto = 0
        connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
        connection.execute("DELETE FROM words_known")
    ids = "SELECT id FROM books WHERE id > ? ORDER BY id LIMIT ?"
    [(count, last)] = connection.execute(
        f"SELECT count(*), max(id) FROM ({ids})", (upto, SLICE_BOOKS)
    )
    if count:
        slice_of = "SELECT id, words_of(title, author, isbn) AS tokens FROM books"
        slice_of += " WHERE id > ? AND id <= ? ORDER BY id"
        connection.execute(f"INSERT INTO words (rowid, tokens) {slice_of}", (upto, last))
        known = _KNOW.format(rows=f"({slice_of}), json_each(long_words(tokens))")
        connection.execute(known, (upto, last))
    done = bool(count < SLICE_BOOKS)
    connection.execute(
        "UPDATE words_made SET by = ?, upto = ?", (letters.VERSION, ALL if done else last)
    )
    return done


def fault(connection: sqlite3.Connection) -> str | None:
    """What is wrong with the index of a file, if there is one. It is only read: the index is made
    anew from the rows, and compared; then each of its words, and of their beginnings, is looked
    for. (FTS5's own check wants to write.)"""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'words_made'").fetchall():
        return None  # it is made anew when the file is opened to write
    [(by, upto)] = connection.execute("SELECT by, upto FROM words_made")
    if (by, upto) != (letters.VERSION, ALL):
        return None  # here as well
    teach(connection)
    connection.execute(
        f"CREATE VIRTUAL TABLE temp.again USING fts5 (tokens, content = '', {_TOKENIZE})"
    )
    connection.execute(
        "INSERT INTO temp.again (rowid, tokens)"
        " SELECT id, words_of(title, author, isbn) FROM main.books"
    )
    have = _vocabulary(connection, "main", "words", "instance")
    want = _vocabulary(connection, "temp", "again", "instance")
    try:
        with closing(have), closing(want):
            for one, other in itertools.zip_longest(have, want):
                if one != other:
                    return f"the index of words is not that of the books, at {other or one}"
        return _astray(connection)
    finally:
        connection.execute("DROP TABLE temp.again")


def _astray(connection: sqlite3.Connection) -> str | None:
    """What a search does not find: so far the index was read from end to end, as none does."""
    found = "SELECT count(*), total(rowid) FROM main.words WHERE words MATCH ?"
    begin = "SELECT count(*), total(rowid) FROM temp.again WHERE again MATCH ?"
    beginnings: set[str] = set()
    with closing(_vocabulary(connection, "main", "words", "row")) as terms:
        for term, books, _ in terms:
            [(count, _)] = connection.execute(found, (f'"{term}"',))
            if count != books:
                return f"the index of words finds {count} books by {term!r}, not {books}"
            known = "SELECT 1 FROM main.words_known WHERE term = ?"
            if _is_long(term) and not connection.execute(known, (term,)).fetchall():
                return f"the index of words does not know {term!r}"
            beginnings.update(term[:length] for length in range(1, PREFIX + 1))
    for beginning in sorted(beginnings):
        query = (f'"{beginning}" *',)
        have, want = (list(connection.execute(sql, query)) for sql in (found, begin))
        if list(map(tuple, have)) != list(map(tuple, want)):
            return f"the index of words finds other books by the beginning {beginning!r}"
    return None


def _vocabulary(
    connection: sqlite3.Connection, schema: str, table: str, kind: str
) -> Generator[tuple[Any, ...], None, None]:
    """All that an index has, in order (https://sqlite.org/fts5.html, section 8)."""
    name = f"temp.{schema}_{table}_{kind}"
    connection.execute(f"CREATE VIRTUAL TABLE {name} USING fts5vocab ({schema}, {table}, {kind})")
    rows = connection.execute(f"SELECT * FROM {name}")
    try:
        yield from map(tuple, rows)
    finally:
        rows.close()
        connection.execute(f"DROP TABLE {name}")
