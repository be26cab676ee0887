"""Finding books by the words of their title and author: a full-text index beside `books`.

It is derived data: triggers keep it in step with the rows, in the same transaction, so that it is
replicated with them without being replicated itself, and no part of what replicas compare.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

# What is a word, and which letters are the same in two of them, is SQLite's to say (FTS5's
# unicode61): words are runs of letters and digits; case and accents make no difference.
_TOKENS = "tokenize = 'unicode61 remove_diacritics 2'"

# These have no accent that can be taken off, but most people's keyboards do not have them.
_SPELLED = {
    **{"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"},
    **{"ẞ": "ss", "Æ": "ae", "Œ": "oe", "Ø": "o", "Ł": "l", "Đ": "d", "Ð": "d", "Þ": "th"},
    "ı": "i",
}
_TRANSLATION = str.maketrans(_SPELLED)


def _spelled(column: str) -> str:
    for letter, others in _SPELLED.items():
        column = f"replace({column}, '{letter}', '{others}')"
    return column


def _index(content: str, spelled: Callable[[str], str]) -> str:
    """An index of the rows of `content`, with the books' columns as they are `spelled`."""
    new, old = (f"{row}.id, {spelled(f'{row}.title')}, {spelled(f'{row}.author')}"
                for row in ("new", "old"))  # fmt: skip
    learn = f"INSERT INTO words (rowid, title, author) VALUES ({new})"
    forget = f"INSERT INTO words (words, rowid, title, author) VALUES ('delete', {old})"
    # A sale writes a book's whole row: the index hears only of what it shows.
    return f"""
CREATE VIRTUAL TABLE words USING fts5 (
    title, author, content = '{content}', content_rowid = 'id', {_TOKENS});
CREATE TRIGGER words_of_new AFTER INSERT ON books BEGIN {learn}; END;
CREATE TRIGGER words_of_old AFTER DELETE ON books BEGIN {forget}; END;
CREATE TRIGGER words_of_changed AFTER UPDATE OF title, author ON books
WHEN old.title IS NOT new.title OR old.author IS NOT new.author BEGIN {forget}; {learn}; END;
INSERT INTO words (words) VALUES ('rebuild')
"""


MIGRATIONS = (
    _index("books", str),
    f"""
DROP TRIGGER words_of_new; DROP TRIGGER words_of_old; DROP TRIGGER words_of_changed;
DROP TABLE words;
CREATE VIEW spelled AS
SELECT id, {_spelled("title")} AS title, {_spelled("author")} AS author FROM books;
{_index("spelled", _spelled)}""",
)


def beginnings(words: str) -> str:
    """The FTS5 query for all books that have, for each of `words`, one that begins with it.

    >>> beginnings('imp "cook')
    '"imp" * \"\"\"cook" *'
    """
    spelled = words.translate(_TRANSLATION)
    return " ".join('"' + word.replace('"', '""') + '" *' for word in spelled.split())


def fault(connection: sqlite3.Connection) -> str | None:
    """What is wrong with the index of a file, if there is one. It is only read: the index is made
    anew from the rows, and compared; then each of its words is looked for. (FTS5's own check wants
    to write.)"""
    if not connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'spelled'").fetchall():
        return None  # it is made anew when the file is opened to write
    connection.execute(
        f"CREATE VIRTUAL TABLE temp.again USING fts5 (title, author, content = '', {_TOKENS})"
    )
    connection.execute(
        "INSERT INTO temp.again (rowid, title, author) SELECT id, title, author FROM main.spelled"
    )
    have = _vocabulary(connection, "main", "words", "instance")
    want = _vocabulary(connection, "temp", "again", "instance")
    terms = _vocabulary(connection, "main", "words", "row")
    try:
        with closing(have), closing(want):
            for one, other in itertools.zip_longest(have, want):
                if one != other:
                    return f"the index of words is not that of the books, at {other or one}"
        # So far the index was read from end to end, as no search does.
        with closing(terms):
            for term, books, _ in terms:
                [(found,)] = connection.execute(
                    "SELECT count(*) FROM main.words WHERE words MATCH ?", (f'"{term}"',)
                )
                if found != books:
                    return f"the index of words finds {found} books by {term!r}, not {books}"
        return None
    finally:
        connection.execute("DROP TABLE temp.again")


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
