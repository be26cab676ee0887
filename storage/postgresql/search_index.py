"""What books are found by beside `books`: the index of their terms, and their titles in order.

Each book has one list of terms (`storage/terms.py`), as a text, and its *keys* under a GIN index: a
tsvector whose lexemes are ours. They are its terms; each beginning of a term, with BEGUN in front;
and the *block* of numbers that its own lies in, for blocks of several sizes. Long terms are cut:
what a query is not sure of by the keys alone it looks up in the text.

`titles` has the sort key of each title that is on sale (`letters.py`), for lists in their order.

The index is derived data, written where its rows are. Which version of `letters.py`, and of
Unicode, made it is told in `meta`: a program of another one finds nothing by it, and makes it anew,
in slices, once it leads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate

from bazar.replication.messages import Entry
from storage import letters
from storage.images import Image, Images
from storage.postgresql import functions
from storage.postgresql.books import SCHEMA
from storage.postgresql.functions import BLOCK, BLOCKS
from storage.postgresql.session import Statement
from storage.postgresql.state_tables import as_json, upsert
from storage.tags import SEARCHES
from storage.terms import AUTHOR, FIELDS, RETIRED, is_whole, terms_of

BEGUN = "^"
CUT = 24  # letters of a term, or of a beginning, that are in its key

COLUMNS = {
    "words": {"book": "bigint", "terms": "text", "keys": "tsvector"},
    "titles": {"book": "bigint", "key": "text"},
}

TABLES = (
    f"""CREATE TABLE {SCHEMA}.words (
        book bigint PRIMARY KEY REFERENCES {SCHEMA}.books ON DELETE CASCADE,
        terms text COLLATE "C" NOT NULL, keys tsvector NOT NULL)""",
    f"CREATE INDEX words_by_keys ON {SCHEMA}.words USING gin (keys) WITH (fastupdate = off)",
    f"INSERT INTO {SCHEMA}.meta (name, value) VALUES ('words', '{letters.VERSION}')",
)

# Of books that are there already the index is made anew: their terms lack the topic.
LAST = (
    f"DROP TABLE IF EXISTS {SCHEMA}.titles",
    f"""CREATE TABLE {SCHEMA}.titles (
        book bigint PRIMARY KEY REFERENCES {SCHEMA}.books ON DELETE CASCADE,
        key text COLLATE "C" NOT NULL)""",
    f"CREATE INDEX titles_by_key ON {SCHEMA}.titles (key, book)",
    *(f"DROP FUNCTION IF EXISTS {SCHEMA}.{name}" for name in functions.ALL),
    *functions.ALL.values(),
    f"UPDATE {SCHEMA}.meta SET value = '' WHERE name = 'words'"
    f" AND EXISTS (SELECT FROM {SCHEMA}.books)",
)

PUT = upsert(f"{SCHEMA}.words", "book", COLUMNS["words"])
PUT += f" WHERE {SCHEMA}.words.terms <> excluded.terms OR {SCHEMA}.words.keys <> excluded.keys"
PUT_TITLES = upsert(f"{SCHEMA}.titles", "book", COLUMNS["titles"])
PUT_TITLES += f" WHERE {SCHEMA}.titles.key <> excluded.key"
DELETE_TITLES = f"DELETE FROM {SCHEMA}.titles WHERE book = ANY($1::bigint[])"


def begin_key(beginning: str) -> str:
    """Return the key of all terms that begin so, or begin with its first letters."""
    return BEGUN + beginning[:CUT]


def key(term: str) -> str:
    """Return the key of a term, or of all that have the same first letters."""
    return term[:CUT]


def keys(book: int, terms: str) -> set[str]:
    """Return the keys of a book that has these terms.

    >>> sorted(keys(5000, "an @a #1 $2"))[:6]
    ['#1', '$2', '@a', '^@a', '^a', '^an']
    """
    found = {f"{BLOCK}{size}:{book >> size}" for size in BLOCKS}
    for term in set(terms.split()):
        found.add(key(term))
        if not is_whole(term):
            typed = term.removeprefix(RETIRED).removeprefix(AUTHOR)
            _, *begun = accumulate(typed[:CUT], initial=term.removesuffix(typed))
            found.update(map(begin_key, begun))
    return found


def quoted(lexeme: str) -> str:
    """Return a key as it stands in a tsvector or a tsquery."""
    return f"'{lexeme}'"  # none has a quotation mark, or a backslash


def writes(entries: Iterable[Entry], images: Mapping[str, Images]) -> list[Statement]:
    """Return what writes the index of the books whose words may have changed: an entry that changes
    them drops all searches (C5)."""
    touched = {
        row["id"]
        for entry in entries
        if SEARCHES in entry.tags
        for row in entry.effects["put"].get("books", ())
    }
    return put([row for row in images["books"].put if row["id"] in touched]) if touched else []


def put(books: Iterable[Image]) -> list[Statement]:
    """Return what writes the index of these books."""
    words, titles, retired = [], [], []
    for row in books:
        terms = terms_of(*(row[name] for name in FIELDS))
        lexemes = " ".join(map(quoted, keys(row["id"], terms)))
        words.append({"book": row["id"], "terms": f" {terms} ", "keys": lexemes})
        if row["retired"]:
            retired.append(row["id"])
        else:
            titles.append({"book": row["id"], "key": letters.sort_key(row["title"])})
    puts = ((PUT, words), (PUT_TITLES, titles))
    statements = [Statement(put, (as_json(rows),)) for put, rows in puts if rows]
    return statements + ([Statement(DELETE_TITLES, (retired,))] if retired else [])
