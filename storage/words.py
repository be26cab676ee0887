"""Finding books by the words of their title and author: a full-text index beside `books`.

It is derived data: triggers keep it in step with the rows, in the same transaction, so that it is
replicated with them without being replicated itself, and no part of what replicas compare.
"""

from __future__ import annotations

import itertools
import sqlite3

# What is a word, and which letters are the same in two of them, is SQLite's to say (FTS5's
# unicode61): words are runs of letters and digits; case and accents make no difference.
_TOKENS = "tokenize = 'unicode61 remove_diacritics 2'"
_FORGET = "INSERT INTO words (words, rowid, title, author)"
_FORGET += " VALUES ('delete', old.id, old.title, old.author)"
_LEARN = "INSERT INTO words (rowid, title, author) VALUES (new.id, new.title, new.author)"

# A sale writes a book's whole row: the index hears only of what it shows.
SCHEMA = f"""
CREATE VIRTUAL TABLE words USING fts5 (
    title, author, content = 'books', content_rowid = 'id', {_TOKENS});
CREATE TRIGGER words_of_new AFTER INSERT ON books BEGIN {_LEARN}; END;
CREATE TRIGGER words_of_old AFTER DELETE ON books BEGIN {_FORGET}; END;
CREATE TRIGGER words_of_changed AFTER UPDATE OF title, author ON books
WHEN old.title IS NOT new.title OR old.author IS NOT new.author BEGIN {_FORGET}; {_LEARN}; END;
INSERT INTO words (words) VALUES ('rebuild')
"""


def beginnings(words: str) -> str:
    """The FTS5 query for all books that have, for each of `words`, one that begins with it.

    >>> beginnings('imp "cook')
    '"imp" * \"\"\"cook" *'
    """
    return " ".join('"' + word.replace('"', '""') + '" *' for word in words.split())


def fault(connection: sqlite3.Connection) -> str | None:
    """What is wrong with the index of a file, if there is one. It is only read: the index is made
    anew from the rows, and compared. (FTS5's own check wants to write.)"""
    if not connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'words'").fetchall():
        return None
    connection.execute(
        f"CREATE VIRTUAL TABLE temp.again USING fts5 (title, author, content = '', {_TOKENS})"
    )
    connection.execute(
        "INSERT INTO temp.again (rowid, title, author) SELECT id, title, author FROM main.books"
    )
    for name, schema, table in (("have", "main", "words"), ("want", "temp", "again")):
        connection.execute(
            f"CREATE VIRTUAL TABLE temp.{name} USING fts5vocab ({schema}, {table}, instance)"
        )
    have, want = (
        connection.execute(f"SELECT term, doc, col, offset FROM temp.{name}")
        for name in ("have", "want")
    )
    try:
        for one, other in itertools.zip_longest(map(tuple, have), map(tuple, want)):
            if one != other:
                return f"the index of words is not that of the books, at {other or one}"
        return None
    finally:
        have.close()
        want.close()
        for name in ("have", "want", "again"):
            connection.execute(f"DROP TABLE temp.{name}")
