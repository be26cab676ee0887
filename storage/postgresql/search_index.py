"""The index beside `books`, by the words of their titles and authors, and what looks into it.

Each book has one list of terms (`storage/terms.py`), as a text, and its *keys* under a GIN index: a
tsvector whose lexemes are ours. They are its terms; each beginning of a term, with BEGUN in front;
and the *block* of numbers that its own lies in, for blocks of several sizes. Long terms are cut:
what a query is not sure of by the keys alone it looks up in the text.

A GIN index tells all books that have a key, and no order among them. So the functions here go
through it block by block, from a small one to larger ones, until they have enough: finding the
first books of a word costs the same however many have it. Their plans are pinned, as each of these
statements has one that is good in every shop.

The index is derived data, written where its rows are. Which version of `letters.py`, and of
Unicode, made it is told in `meta`: a program of another one finds nothing by it, and makes it anew,
in slices, once it leads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bazar.replication.messages import Entry
from storage import letters
from storage.catalog import SEARCHES
from storage.images import Image, Images
from storage.paging import UNRANKED
from storage.postgresql.books import BOOK, SCHEMA
from storage.postgresql.session import Statement
from storage.postgresql.state_tables import as_json, upsert
from storage.terms import AUTHOR, ISBN, WHOLE, terms_of

BEGUN = "^"
BLOCK = "~"
CUT = 24  # letters of a term, or of a beginning, that are in its key
BLOCKS = range(10, 22, 2)  # the bits of a number that the blocks of each size leave out

_BLOCK = f"''{BLOCK}%s:%s''"

COLUMNS = {"book": "bigint", "terms": "text", "keys": "tsvector"}

_MATCHES = f"""
CREATE FUNCTION {SCHEMA}.matches(
    query tsquery, patterns text[], start bigint, sign int, wanted bigint)
RETURNS bigint[] LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
-- Return the numbers of the first books from `start` on, upwards (`sign` 1) or downwards (-1), that
-- have the keys and all the patterns.
DECLARE
    size int := {BLOCKS[0]};
    highest bigint := (SELECT max(book) FROM {SCHEMA}.words);
    here bigint := CASE sign WHEN 1 THEN greatest(start, 0) ELSE least(start, highest) END;
    blocks tsquery;
    numbers bigint[] := '{{}}';
BEGIN
    WHILE here BETWEEN 0 AND highest AND cardinality(numbers) < wanted LOOP
        blocks := format('{_BLOCK} | {_BLOCK}', size, here >> size, size, (here >> size) + sign);
        numbers := numbers || ARRAY(
            SELECT book FROM {SCHEMA}.words
            WHERE keys @@ query AND keys @@ blocks AND terms ~ ALL (patterns)
            AND sign * book >= sign * here ORDER BY sign * book);
        here := CASE sign
            WHEN 1 THEN (here >> size) + 2 << size ELSE ((here >> size) - 1 << size) - 1 END;
        size := least(size + {BLOCKS.step}, {BLOCKS[-1]});
    END LOOP;
    RETURN numbers[:wanted];
END $$"""

_FIND = f"""
CREATE FUNCTION {SCHEMA}.find(
    queries tsquery[], ranks int[], patterns text[], most int,
    edge bigint[], behind bigint, sign int, skip int, wanted int)
RETURNS TABLE (
    made_by text, places int, rank bigint, length bigint, book bigint, title text, topic text,
    cost bigint, count bigint, catalog_id bigint, author text, isbn text)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
-- Return a page of the books that the last of the queries finds: those with a rank, `most` at most,
-- by rank, length and number, then all others by number. Begin at the place `edge`, and with the
-- others at the number `behind`, NULL where they don't come. There is one row at least, with the
-- version of the index and the number of books that have a rank.
#variable_conflict use_column
DECLARE
    width int := cardinality(patterns) / nullif(cardinality(queries), 0);
    last int := cardinality(queries);
    ranked bigint[] := '{{}}';  -- the books that have a rank, as they are found
    rank_of bigint[] := '{{}}';
    lengths bigint[];
    fresh bigint[];
    others bigint[];
BEGIN
    FOR n IN 1 .. last LOOP
        fresh := {SCHEMA}.matches(
            queries[n], patterns[(n - 1) * width + 1 : n * width], 0, 1, most);
        fresh := ARRAY(
            SELECT unnest(fresh) EXCEPT SELECT unnest(ranked)
            ORDER BY 1 LIMIT most - cardinality(ranked));
        ranked := ranked || fresh;
        rank_of := rank_of || array_fill(ranks[n]::bigint, ARRAY[cardinality(fresh)]);
        EXIT WHEN cardinality(ranked) = most;
    END LOOP;
    lengths := ARRAY(
        SELECT length(b.title) FROM unnest(ranked) WITH ORDINALITY AS r(number, place)
        JOIN {SCHEMA}.books b ON b.id = r.number ORDER BY r.place);
    IF cardinality(ranked) = most AND behind IS NOT NULL AND (sign = -1 OR skip + wanted > (
        SELECT count(*) FROM unnest(rank_of, lengths, ranked) AS r(rank, length, number)
        WHERE (rank, length, number) > (edge[1], edge[2], edge[3])))
    THEN
        others := {SCHEMA}.matches(
            queries[last], patterns[(last - 1) * width + 1 : last * width],
            behind, sign, most + skip + wanted);
    END IF;
    RETURN QUERY
    WITH places AS (
        SELECT rank, length, number FROM unnest(rank_of, lengths, ranked) r(rank, length, number)
        WHERE (sign * rank, sign * length, sign * number)
            > (sign * edge[1], sign * edge[2], sign * edge[3])
        UNION ALL
        SELECT {UNRANKED}, 0, number FROM (
            SELECT unnest(others) AS number EXCEPT SELECT unnest(ranked)) unranked
    ), page AS MATERIALIZED (
        SELECT * FROM places
        ORDER BY sign * rank, sign * length, sign * number LIMIT wanted OFFSET skip
    )
    SELECT made.value, cardinality(ranked), page.rank, page.length, {BOOK}
    FROM (SELECT value FROM {SCHEMA}.meta WHERE name = 'words') made
    LEFT JOIN (page JOIN {SCHEMA}.books b ON b.id = page.number
        JOIN {SCHEMA}.topics t ON t.id = b.catalog_id) ON true;
END $$"""

TABLES = (
    f"""CREATE TABLE {SCHEMA}.words (
        book bigint PRIMARY KEY REFERENCES {SCHEMA}.books ON DELETE CASCADE,
        terms text COLLATE "C" NOT NULL, keys tsvector NOT NULL)""",
    f"CREATE INDEX words_by_keys ON {SCHEMA}.words USING gin (keys) WITH (fastupdate = off)",
    _MATCHES,
    _FIND,
    f"INSERT INTO {SCHEMA}.meta (name, value) VALUES ('words', '{letters.VERSION}')",
)

PUT = upsert(f"{SCHEMA}.words", "book", COLUMNS)
PUT += f" WHERE {SCHEMA}.words.terms <> excluded.terms OR {SCHEMA}.words.keys <> excluded.keys"


def begin_key(beginning: str) -> str:
    """Return the key of all terms that begin so, or begin with its first letters."""
    return BEGUN + beginning[:CUT]


def key(term: str) -> str:
    """Return the key of a term, or of all that have the same first letters."""
    return term[:CUT]


def keys(book: int, terms: str) -> set[str]:
    """Return the keys of a book that has these terms.

    >>> sorted(keys(5000, "an @a #1"))[:5]
    ['#1', '@a', '^@a', '^a', '^an']
    """
    found = {f"{BLOCK}{size}:{book >> size}" for size in BLOCKS}
    for term in set(terms.split()):
        found.add(key(term))
        if term[0] not in (WHOLE, ISBN):
            shortest = 2 if term[0] == AUTHOR else 1
            found.update(begin_key(term[:end]) for end in range(shortest, len(term[:CUT]) + 1))
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
    rows = []
    for row in books:
        terms = terms_of(row["title"], row["author"], row["isbn"])
        lexemes = " ".join(map(quoted, keys(row["id"], terms)))
        rows.append({"book": row["id"], "terms": f" {terms} ", "keys": lexemes})
    return [Statement(PUT, (as_json(rows),))] if rows else []
