"""What books are found by beside `books`: the full-text index of their terms, and their titles in
order.

It is derived data: triggers keep it in step with the rows, in the same transaction. So each replica
makes its own, and it is no part of what replicas compare.

Each book has one list of terms (`storage/terms.py`), which FTS5 only splits at spaces. So finding
the first books of a term costs the same however many have it, in the title or elsewhere. Beginnings
of up to PREFIX letters have lists of their own for the same reason; longer ones are looked up in
`words_known`, which holds all longer words that some book has had since the index was made.
`titles` has the sort key of each title that is on sale (`letters.py`), for lists in their order.

A book that leaves a term's list - it is retired, or has another title - leaves a note there, and
each search for that term goes through those notes until FTS5 has merged what it holds. So after
some thousands all of it is merged, a slice with each commit.

A file's index may be missing, or be made by another version of Unicode than ours: then `learn`
makes it anew, in slices, before anything is read or written. Until it is done, triggers leave out
the books that it has not come to.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Generator
from contextlib import closing
from typing import Any

from storage import letters
from storage.terms import FIELDS, is_whole, terms_of

PREFIX = 3
SLICE_BOOKS = 5000
ALL = 2**63 - 1
MANY = 10_000  # books that leave, before all is merged
MERGED_PAGES = 64  # with each commit
MOST_MERGES = 500  # then it is made anew: each leaves FTS5 two levels more, of the 2,000 it takes

_TOKENIZE = "tokenize = \"ascii tokenchars '@#=$!+.'\""
_OF = f"words_of({', '.join(FIELDS)})"
_NEW, _OLD = (
    f"words_of({', '.join(f'{row}.{name}' for name in FIELDS)})" for row in ("new", "old")
)
_FORGET = (
    f"INSERT INTO words (words, rowid, tokens) VALUES ('delete', old.id, {_OLD});"
    " DELETE FROM titles WHERE key = sort_key(old.title) AND book = old.id;"
    " UPDATE words_made SET forgotten = forgotten + 1"
)
_KNOW = (
    "INSERT OR IGNORE INTO words_known SELECT value FROM {rows} WHERE NOT EXISTS"
    " (SELECT 1 FROM words_known WHERE term = value)"
)
_LEARN = (
    f"INSERT INTO words (rowid, tokens) VALUES (new.id, {_NEW});"
    f" {_KNOW.format(rows=f'json_each(long_words({_NEW}))')};"
    " INSERT INTO titles SELECT sort_key(new.title), new.id WHERE new.retired IS NULL"
)
_MADE = "old.id <= (SELECT upto FROM words_made)"
_CHANGED = " OR ".join(f"old.{name} IS NOT new.{name}" for name in FIELDS)
_MERGE = "INSERT INTO words (words, rank) VALUES ('merge', ?)"

# Older ones made indexes that the next one drops, and those are dropped by the last. With one more
# column the checksum over the rows is another one: a process that ends before it is made anew must
# not leave the old one.
_DROP = """
DROP TRIGGER IF EXISTS words_of_new;
DROP TRIGGER IF EXISTS words_of_old;
DROP TRIGGER IF EXISTS words_of_changed;
DROP TABLE IF EXISTS words;"""
MIGRATIONS = (
    "",
    "",
    f"""{_DROP}
DROP VIEW IF EXISTS spelled;
ALTER TABLE books ADD COLUMN isbn TEXT;
DELETE FROM meta WHERE name = 'checksum';
CREATE TABLE words_known (term TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE words_made (by TEXT NOT NULL, upto INTEGER NOT NULL)""",
)
LAST = f"""{_DROP}
DROP TABLE IF EXISTS titles;
DROP TABLE words_made;
CREATE TABLE titles (key TEXT, book INTEGER, PRIMARY KEY (key, book)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (
    tokens, content = '', columnsize = 0, prefix = '{" ".join(map(str, range(1, PREFIX + 1)))}',
    {_TOKENIZE});
CREATE TABLE words_made (
    by TEXT NOT NULL, upto INTEGER NOT NULL, forgotten INTEGER NOT NULL, merging INTEGER NOT NULL,
    merges INTEGER NOT NULL);
INSERT INTO words_made VALUES ('', 0, 0, 0, 0);
CREATE TRIGGER words_of_new AFTER INSERT ON books WHEN {_MADE.replace("old", "new")}
BEGIN {_LEARN}; END;
CREATE TRIGGER words_of_old AFTER DELETE ON books WHEN {_MADE}
BEGIN {_FORGET}; END;
CREATE TRIGGER words_of_changed AFTER UPDATE OF {", ".join(FIELDS)} ON books
WHEN ({_CHANGED}) AND {_MADE}
BEGIN {_FORGET}; {_LEARN}; END"""


def long_words(tokens: str) -> str:
    """Return the terms whose beginnings have no lists of their own, as JSON."""
    return json.dumps([token for token in dict.fromkeys(tokens.split()) if _is_long(token)])


def _is_long(token: str) -> bool:
    return len(token) > PREFIX and not is_whole(token)


def teach(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that triggers call."""
    connection.create_function("words_of", len(FIELDS), terms_of, deterministic=True)
    connection.create_function("sort_key", 1, letters.sort_key, deterministic=True)
    connection.create_function("long_words", 1, long_words, deterministic=True)


def learn(connection: sqlite3.Connection) -> bool:
    """Make the index of the next SLICE_BOOKS books, in the open transaction, if it is not that of
    all of them. Return whether it is then."""
    [(by, upto, merges)] = connection.execute("SELECT by, upto, merges FROM words_made")
    if merges >= MOST_MERGES:
        by = ""
    if (by, upto) == (letters.VERSION, ALL):
        return True
    if by != letters.VERSION:
        upto = 0
        connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
        for table in ("words_known", "titles"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("UPDATE words_made SET forgotten = 0, merging = 0, merges = 0")
    ids = "SELECT id FROM books WHERE id > ? ORDER BY id LIMIT ?"
    [(count, last)] = connection.execute(
        f"SELECT count(*), max(id) FROM ({ids})", (upto, SLICE_BOOKS)
    )
    if count:
        part = "FROM books WHERE id > ? AND id <= ?"
        terms = f"SELECT id, {_OF} AS tokens {part} ORDER BY id"
        known = _KNOW.format(rows=f"({terms}), json_each(long_words(tokens))")
        for into in (
            f"INSERT INTO words (rowid, tokens) {terms}",
            known,
            f"INSERT INTO titles SELECT sort_key(title), id {part} AND retired IS NULL",
        ):
            connection.execute(into, (upto, last))
    done = bool(count < SLICE_BOOKS)
    connection.execute(
        "UPDATE words_made SET by = ?, upto = ?", (letters.VERSION, ALL if done else last)
    )
    return done


def compact(connection: sqlite3.Connection) -> None:
    """Merge a slice of the index, in the open transaction, if many books have left it
    (https://sqlite.org/fts5.html, section 6.8)."""
    [(forgotten, merging, merges)] = connection.execute(
        "SELECT forgotten, merging, merges FROM words_made"
    )
    if merging:
        before = connection.total_changes
        connection.execute(_MERGE, (MERGED_PAGES,))
        if connection.total_changes - before < 2:  # by which FTS5 says that nothing is left to do
            connection.execute("UPDATE words_made SET merging = 0")
    elif forgotten >= MANY and merges < MOST_MERGES:
        connection.execute(_MERGE, (-MERGED_PAGES,))  # a negative number begins with all of it
        connection.execute("UPDATE words_made SET forgotten = 0, merging = 1, merges = merges + 1")


def fault(connection: sqlite3.Connection) -> str | None:
    """Return what is wrong with the index of a file, None if nothing is, or there is no index. The
    file is only read: an index is made anew beside it, from the rows, and compared; then each word,
    and each beginning, is searched for. (FTS5's own check needs to write.)"""
    made = "SELECT 1 FROM pragma_table_info('words_made') WHERE name = 'merges'"
    if not connection.execute(made).fetchall():
        return None  # it will be made when the file is opened to write
    [(by, upto)] = connection.execute("SELECT by, upto FROM words_made")
    if (by, upto) != (letters.VERSION, ALL):
        return None  # it will be made anew
    teach(connection)
    connection.execute(
        f"CREATE VIRTUAL TABLE temp.again USING fts5 (tokens, content = '', {_TOKENIZE})"
    )
    connection.execute(f"INSERT INTO temp.again (rowid, tokens) SELECT id, {_OF} FROM main.books")
    have = _vocabulary(connection, "main", "words", "instance")
    want = _vocabulary(connection, "temp", "again", "instance")
    try:
        with closing(have), closing(want):
            for one, other in itertools.zip_longest(have, want):
                if one != other:
                    return f"the index of words is not that of the books, at {other or one}"
        return _astray(connection) or _out_of_order(connection)
    finally:
        connection.execute("DROP TABLE temp.again")


def _astray(connection: sqlite3.Connection) -> str | None:
    """Return what a search does not find: no search reads the index from end to end, as `fault`
    has."""
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


def _out_of_order(connection: sqlite3.Connection) -> str | None:
    """Return what a list by titles leaves out, or shows twice."""
    missing = (
        "SELECT id FROM main.books b WHERE retired IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM titles WHERE key = sort_key(b.title) AND book = b.id) LIMIT 1"
    )
    for (number,) in connection.execute(missing):
        return f"the order of titles has book {number} at another place, or not at all"
    counts = (
        "SELECT (SELECT count(*) FROM titles),"
        " (SELECT count(*) FROM main.books WHERE retired IS NULL)"
    )
    [(have, want)] = connection.execute(counts)
    return (
        None if have == want else f"the order of titles has {have} titles of {want} books on sale"
    )


def _vocabulary(
    connection: sqlite3.Connection, schema: str, table: str, kind: str
) -> Generator[tuple[Any, ...], None, None]:
    """Yield all that an index has, in order (https://sqlite.org/fts5.html, section 8)."""
    name = f"temp.{schema}_{table}_{kind}"
    connection.execute(f"CREATE VIRTUAL TABLE {name} USING fts5vocab ({schema}, {table}, {kind})")
    rows = connection.execute(f"SELECT * FROM {name}")
    try:
        yield from map(tuple, rows)
    finally:
        rows.close()
        connection.execute(f"DROP TABLE {name}")
