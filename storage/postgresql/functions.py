"""What finds books in the database: functions, whose plans are pinned, as each of their statements
has one that is good in every shop. (OFFSET 0 has a row looked up for each that there is.)

A GIN index tells all books that have a key, and no order among them. So `matches` goes through it
block by block (`search_index.py`), from a small one to larger ones, until it has enough: finding
the first books of a word costs the same however many have it. For a list in another order there are
the two ways of `storage/sqlite/matches.py`: a few books are `sorted`, and where there are many the
index of that order is `walked`, which has what is on sale.
"""

from __future__ import annotations

from storage.paging import UNRANKED
from storage.postgresql.books import BOOK, SCHEMA
from storage.terms import TOPIC

BLOCK = "~"
BLOCKS = range(10, 22, 2)  # the bits of a number that the blocks of each size leave out

NEAR = 10  # this part of what may be looked at is looked at first

_BLOCK = f"''{BLOCK}%s:%s''"
_PINNED = "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off"
_ROW_BY_ROW = f"{_PINNED} SET enable_bitmapscan = off SET enable_sort = off"
_BOOKS = f"JOIN {SCHEMA}.books b ON b.id = s.book"

MATCHES = f"""
CREATE FUNCTION {SCHEMA}.matches(
    query tsquery, patterns text[], in_stock boolean, start bigint, sign int, wanted bigint,
    looked bigint, OUT numbers bigint[], OUT stopped bigint)
LANGUAGE plpgsql STABLE {_PINNED} AS $$
-- Look at the first books from `start` on, upwards (`sign` 1) or downwards (-1), that have the keys
-- and all the patterns. Return the numbers of those that are in stock, or of all; and the last one
-- that was looked at, if that is why there are no more.
DECLARE
    size int := {BLOCKS[0]};
    highest bigint := (SELECT max(book) FROM {SCHEMA}.words);
    here bigint := CASE sign WHEN 1 THEN greatest(start, 0) ELSE least(start, highest) END;
    blocks tsquery;
    last bigint;
    seen bigint := 0;
    found bigint[];
BEGIN
    numbers := '{{}}';
    WHILE here BETWEEN 0 AND highest AND cardinality(numbers) < wanted LOOP
        blocks := format('{_BLOCK} | {_BLOCK}', size, here >> size, size, (here >> size) + sign);
        found := ARRAY(
            SELECT book FROM {SCHEMA}.words
            WHERE keys @@ query AND keys @@ blocks AND terms ~ ALL (patterns)
            AND sign * book >= sign * here ORDER BY sign * book LIMIT looked - seen + 1);
        IF cardinality(found) > looked - seen THEN
            found := found[:looked - seen];
            stopped := COALESCE(found[looked - seen], last);
        END IF;
        seen := seen + cardinality(found);
        last := COALESCE(found[cardinality(found)], last);
        numbers := numbers || CASE WHEN in_stock THEN ARRAY(
            SELECT s.book FROM unnest(found) WITH ORDINALITY AS s(book, place) CROSS JOIN LATERAL (
                SELECT FROM {SCHEMA}.books b WHERE b.id = s.book AND b.count > 0 OFFSET 0) b
            ORDER BY place) ELSE found END;
        EXIT WHEN stopped IS NOT NULL;
        here := CASE sign
            WHEN 1 THEN (here >> size) + 2 << size ELSE ((here >> size) - 1 << size) - 1 END;
        size := least(size + {BLOCKS.step}, {BLOCKS[-1]});
    END LOOP;
    IF cardinality(numbers) >= wanted THEN
        stopped := NULL;
    END IF;
    numbers := numbers[:wanted];
END $$"""

FIND = f"""
CREATE FUNCTION {SCHEMA}.find(
    queries tsquery[], ranks int[], patterns text[], topic text, in_stock boolean, most int,
    counted int, looked int, edge bigint[], behind bigint, sign int, skip int, wanted int)
RETURNS TABLE (
    made_by text, books bigint, more boolean, stopped_key text, stopped bigint, rank bigint,
    length bigint, book bigint, title text, topic_name text, cost bigint, count bigint,
    catalog_id bigint, author text, isbn text, retired bigint)
LANGUAGE plpgsql STABLE {_PINNED} AS $$
-- Return a page of the books that the last of the queries finds: those with a rank, `most` at most,
-- by rank, length and number, then all others by number. Begin at the place `edge`, and with the
-- others at the number `behind`, NULL where they don't come. There is one row at least, with the
-- version of the index, how many books there are, and where the look at them has ended.
#variable_conflict use_column
DECLARE
    width int := cardinality(patterns) / nullif(cardinality(queries), 0);
    last int := cardinality(queries);
    everything tsquery;
    patterns_of_all text[] := patterns[(last - 1) * width + 1 : last * width];
    ranked bigint[] := '{{}}';  -- the books that have a rank, as they are found
    rank_of bigint[] := '{{}}';
    lengths bigint[];
    found bigint[];
    others bigint[];
    has_others boolean;
    how_many bigint := 0;
    is_more boolean := false;
    stop bigint;
BEGIN
    IF topic IS NOT NULL THEN
        queries := ARRAY(
            SELECT q && format('''{TOPIC}%s''', t.id)::tsquery
            FROM unnest(queries) WITH ORDINALITY u(q, place), {SCHEMA}.topics t
            WHERE t.name = topic ORDER BY place);
        last := cardinality(queries);
    END IF;
    everything := queries[last];
    FOR n IN 1 .. last LOOP
        found := (SELECT numbers FROM {SCHEMA}.matches(
            queries[n], patterns[(n - 1) * width + 1 : n * width], in_stock, 0, 1,
            greatest(most, counted) + 1, CASE WHEN in_stock THEN looked ELSE most + counted END));
        how_many := greatest(how_many, cardinality(found));
        found := ARRAY(
            SELECT unnest(found[:most]) EXCEPT SELECT unnest(ranked)
            ORDER BY 1 LIMIT most - cardinality(ranked));
        ranked := ranked || found;
        rank_of := rank_of || array_fill(ranks[n]::bigint, ARRAY[cardinality(found)]);
        EXIT WHEN cardinality(ranked) = most;
    END LOOP;
    has_others := cardinality(ranked) = most OR (in_stock AND last > 0 AND cardinality((
        SELECT numbers FROM {SCHEMA}.matches(
            everything, patterns_of_all, false, 0, 1, looked + 1, looked + 1))) > looked);
    IF NOT has_others THEN
        how_many := cardinality(ranked);
    ELSIF in_stock OR how_many <= counted THEN
        SELECT cardinality(numbers), stopped IS NOT NULL INTO how_many, is_more
        FROM {SCHEMA}.matches(everything, patterns_of_all, in_stock, 0, 1, counted + 1, looked);
    END IF;
    lengths := ARRAY(
        SELECT length(b.title) FROM unnest(ranked) WITH ORDINALITY AS s(book, place) {_BOOKS}
        ORDER BY place);
    IF has_others AND behind IS NOT NULL AND (sign = -1 OR skip + wanted > (
        SELECT count(*) FROM unnest(rank_of, lengths, ranked) AS r(rank, length, number)
        WHERE (rank, length, number) > (edge[1], edge[2], edge[3])))
    THEN
        SELECT numbers, stopped INTO others, stop FROM {SCHEMA}.matches(
            everything, patterns_of_all, in_stock, behind, sign, most + skip + wanted, looked);
    END IF;
    RETURN QUERY
    WITH places AS (
        SELECT rank, length, number FROM unnest(rank_of, lengths, ranked) r(rank, length, number)
        WHERE (sign * rank, sign * length, sign * number)
            > (sign * edge[1], sign * edge[2], sign * edge[3])
            AND (sign = 1 OR stop IS NULL)
        UNION ALL
        SELECT {UNRANKED}, 0, number FROM (
            SELECT unnest(others) AS number EXCEPT SELECT unnest(ranked)) unranked
    ), page AS MATERIALIZED (
        SELECT * FROM places
        ORDER BY sign * rank, sign * length, sign * number LIMIT wanted OFFSET skip
    )
    SELECT made.value, least(how_many, counted), is_more OR how_many > counted, NULL, stop,
        page.rank, page.length, {BOOK}
    FROM (SELECT value FROM {SCHEMA}.meta WHERE name = 'words') made
    LEFT JOIN (page JOIN {SCHEMA}.books b ON b.id = page.number
        JOIN {SCHEMA}.topics t ON t.id = b.catalog_id) ON true;
END $$"""

WALKED = f"""
CREATE FUNCTION {SCHEMA}.walked(
    query tsquery, patterns text[], topics bigint[], in_stock boolean, by text, sign int, key text,
    start bigint, wanted bigint, looked bigint,
    OUT numbers bigint[], OUT stopped_key text, OUT stopped bigint)
LANGUAGE plpgsql STABLE {_ROW_BY_ROW} AS $$
-- Look at the first books behind the key and the number `start`, in the order of an index. Return
-- the numbers of those that are right, and the last one that was looked at, if that is why there
-- are no more.
DECLARE
    way text := CASE sign WHEN 1 THEN 'ASC' ELSE 'DESC' END;
    source text := CASE by
        WHEN 'title' THEN 'SELECT key, book FROM {SCHEMA}.titles
            WHERE (key, book) %1$s ($1, $2) ORDER BY key %2$s, book %2$s'
        WHEN 'cost' THEN 'SELECT cost AS key, id AS book FROM {SCHEMA}.books
            WHERE retired IS NULL AND (cost, id) %1$s ($1::bigint, $2)
            ORDER BY retired %2$s, cost %2$s, id %2$s'
        ELSE 'SELECT 0 AS key, id AS book FROM {SCHEMA}.books
            WHERE retired IS NULL AND id %1$s $2 ORDER BY retired %2$s, id %2$s' END;
    places text := CASE by WHEN 'number' THEN 's.book %1$s' ELSE 's.key %1$s, s.book %1$s' END;
    words text := CASE WHEN query IS NULL THEN '' ELSE 'JOIN {SCHEMA}.words w
        ON w.book = b.id AND w.keys @@ $7 AND w.terms ~ ALL ($8)' END;
    ends bigint[];
    keys text[];
BEGIN
    source := format(source, CASE sign WHEN 1 THEN '>' ELSE '<' END, way);
    EXECUTE format(
        'SELECT ARRAY(SELECT s.book FROM (%s LIMIT $3) s CROSS JOIN LATERAL (
            SELECT FROM {SCHEMA}.books b %s WHERE b.id = s.book AND (NOT $4 OR b.count > 0)
            AND ($5 IS NULL OR b.catalog_id = ANY ($5)) OFFSET 0) b ORDER BY %s LIMIT $6)',
        source, words, format(places, way))
        INTO numbers USING key, start, looked, in_stock, topics, wanted, query, patterns;
    IF cardinality(numbers) < wanted THEN
        EXECUTE format(
            'SELECT array_agg(s.key::text), array_agg(s.book)
                FROM (%s LIMIT 2 OFFSET $3 - 1) s', source)
            INTO keys, ends USING key, start, looked;
        IF cardinality(ends) = 2 THEN
            stopped_key := keys[1];
            stopped := ends[1];
        END IF;
    END IF;
END $$"""

SORTED = f"""
CREATE FUNCTION {SCHEMA}.sorted(
    few bigint[], in_stock boolean, by text, sign int, key text, start bigint, wanted bigint)
RETURNS bigint[] LANGUAGE plpgsql STABLE {_PINNED} SET enable_bitmapscan = off AS $$
-- Put these books in order, and return the numbers of the first behind the key and the number
-- `start`.
DECLARE
    keys text := CASE by
        WHEN 'title' THEN '(SELECT o.key FROM {SCHEMA}.titles o WHERE o.book = b.id), $3'
        WHEN 'cost' THEN 'b.cost, $3::bigint' ELSE '0, 0' END;
    numbers bigint[];
BEGIN
    EXECUTE format(
        'SELECT ARRAY(SELECT b.book FROM unnest($1) s(book) CROSS JOIN LATERAL (
            SELECT b.id, %s FROM {SCHEMA}.books b
            WHERE b.id = s.book AND (NOT $2 OR b.count > 0) OFFSET 0) b(book, key, edge)
            WHERE (b.key, b.book) %s (b.edge, $4) ORDER BY b.key %3$s, b.book %3$s LIMIT $5)',
        keys, CASE sign WHEN 1 THEN '>' ELSE '<' END, CASE sign WHEN 1 THEN 'ASC' ELSE 'DESC' END)
        INTO numbers USING few, in_stock, key, start, wanted;
    RETURN numbers;
END $$"""

LISTED = f"""
CREATE FUNCTION {SCHEMA}.listed(
    query tsquery, patterns text[], topic text, in_stock boolean, by text, sign int, key text,
    start bigint, counted int, looked int, skip int, wanted int)
RETURNS TABLE (
    made_by text, books bigint, more boolean, stopped_key text, stopped bigint,
    book bigint, title text, topic_name text, cost bigint, count bigint, catalog_id bigint,
    author text, isbn text, retired bigint)
LANGUAGE plpgsql STABLE {_PINNED} AS $$
-- Return a page of the books that have the words and the topic: next to words its name, alone a
-- part of it. Begin behind the key and the number `start`. There is one row at least, as of `find`.
#variable_conflict use_column
DECLARE
    topics bigint[];
    few bigint[];  -- all that are found, or one more than are looked at
    page bigint[] := '{{}}';
    how_many bigint := 0;
    is_more boolean := false;
    stop_key text;
    stop bigint;
BEGIN
    IF topic <> '' THEN
        topics := ARRAY(
            SELECT id FROM {SCHEMA}.topics t
            WHERE CASE WHEN query IS NULL THEN strpos(t.folded, topic) > 0 ELSE t.name = topic END);
        query := query && format('''{TOPIC}%s''', topics[1])::tsquery;
    END IF;
    IF topics = '{{}}' THEN
        NULL;
    ELSIF query IS NOT NULL AND by = 'number' THEN
        SELECT numbers[skip + 1:], stopped INTO page, stop FROM {SCHEMA}.matches(
            query, patterns, in_stock, start + sign, sign, skip + wanted, looked);
        SELECT cardinality(numbers), stopped IS NOT NULL INTO how_many, is_more
        FROM {SCHEMA}.matches(query, patterns, in_stock, 0, 1, counted + 1, looked);
    ELSE
        IF query IS NOT NULL THEN
            few := (SELECT numbers FROM {SCHEMA}.matches(
                query, patterns, false, 0, 1, counted + 1, counted + 1));
            IF cardinality(few) > counted THEN
                -- Most often the next is so near that nobody needs to know how many there are.
                page := (SELECT numbers FROM {SCHEMA}.walked(
                    query, patterns, topics, in_stock, by, sign, key, start, wanted,
                    greatest(looked / {NEAR}, 1)));
            END IF;
            IF cardinality(few) > counted AND cardinality(page) < wanted THEN
                few := (SELECT numbers FROM {SCHEMA}.matches(
                    query, patterns, false, 0, 1, looked + 1, looked + 1));
            END IF;
        ELSIF topics IS NOT NULL THEN
            few := ARRAY(
                SELECT id FROM {SCHEMA}.books WHERE catalog_id = ANY (topics) AND retired IS NULL
                LIMIT looked + 1);
        END IF;
        IF cardinality(page) = wanted THEN
            NULL;
        ELSIF cardinality(few) <= looked THEN
            page := {SCHEMA}.sorted(few, in_stock, by, sign, key, start, wanted);
        ELSE
            SELECT numbers, stopped_key, stopped INTO page, stop_key, stop FROM {SCHEMA}.walked(
                query, patterns, topics, in_stock, by, sign, key, start, wanted, looked);
        END IF;
        IF NOT in_stock THEN
            how_many := COALESCE(cardinality(few), (
                SELECT count(*) FROM (
                    SELECT 1 FROM {SCHEMA}.books WHERE retired IS NULL ORDER BY retired, id
                    LIMIT counted + 1) b));
        ELSIF query IS NOT NULL THEN
            SELECT cardinality(numbers), stopped IS NOT NULL INTO how_many, is_more
            FROM {SCHEMA}.matches(query, patterns, true, 0, 1, counted + 1, looked);
        ELSIF cardinality(few) <= looked THEN
            how_many := cardinality(
                {SCHEMA}.sorted(few, true, 'number', 1, '', -1, counted + 1));
        ELSE
            SELECT cardinality(numbers), stopped IS NOT NULL INTO how_many, is_more
            FROM {SCHEMA}.walked(
                NULL, NULL, topics, true, 'number', 1, '', -1, counted + 1, looked);
        END IF;
    END IF;
    RETURN QUERY
    SELECT made.value, least(how_many, counted), is_more OR how_many > counted, stop_key, stop,
        {BOOK}
    FROM (SELECT value FROM {SCHEMA}.meta WHERE name = 'words') made
    LEFT JOIN (unnest(page) WITH ORDINALITY s(book, place) {_BOOKS}
        JOIN {SCHEMA}.topics t ON t.id = b.catalog_id) ON true
    ORDER BY s.place;
END $$"""

ALL = {"matches": MATCHES, "find": FIND, "walked": WALKED, "sorted": SORTED, "listed": LISTED}
"""By their names."""
