"""The index of words: what is found by it, and that it stays in step with the books."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any
from unittest import mock

from bazar.errors import ConfigError
from bazar.replication.messages import Change
from storage import letters
from storage.catalog import Catalog
from storage.checksum import CHECKSUM
from storage.searches import Search
from storage.sqlite import log_table, search_index
from storage.sqlite.catalog import SCHEMA, CatalogRows, SQLiteCatalogReader
from storage.sqlite.database import Database
from storage.sqlite.history import HISTORY_SCHEMA
from storage.sqlite.integrity import find_damage
from storage.sqlite.replicated_store import ReplicatedStore
from storage.sqlite.search_index import ALL
from storage.terms import terms_of
from tests.unit.storage.operations import create, sell, update
from tests.unit.storage.sqlite.test_catalog import CatalogTest
from tests.unit.storage.sqlite.test_replicated_store import entries

# What stood in files before this index, as it was made then.
OLD_INDEX = """
CREATE VIRTUAL TABLE words USING fts5 (
    title, author, content = '{0}', content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2');
CREATE TRIGGER words_of_new AFTER INSERT ON books BEGIN
    INSERT INTO words (rowid, title, author) VALUES (new.id, new.title, new.author); END;
CREATE TRIGGER words_of_old AFTER DELETE ON books BEGIN
    INSERT INTO words (words, rowid, title, author)
    VALUES ('delete', old.id, old.title, old.author); END;
CREATE TRIGGER words_of_changed AFTER UPDATE OF title, author ON books
WHEN old.title IS NOT new.title OR old.author IS NOT new.author BEGIN
    INSERT INTO words (words, rowid, title, author)
    VALUES ('delete', old.id, old.title, old.author);
    INSERT INTO words (rowid, title, author) VALUES (new.id, new.title, new.author); END
"""
OLD_VIEW = f"""
CREATE VIEW spelled AS SELECT id, replace(title, 'ß', 'ss') AS title, author FROM books;
{OLD_INDEX.format("spelled")}"""

# What stood in files before books were found by their topic, too.
TOPICLESS = """
CREATE VIRTUAL TABLE words USING fts5 (
    tokens, content = '', columnsize = 0, prefix = '1 2 3',
    tokenize = "ascii tokenchars '@#=+.'");
CREATE TRIGGER words_of_new AFTER INSERT ON books BEGIN
    INSERT INTO words (rowid, tokens) VALUES (new.id, words_of(new.title, new.author, new.isbn));
    END;
CREATE TRIGGER words_of_old AFTER DELETE ON books BEGIN
    INSERT INTO words (words, rowid, tokens)
    VALUES ('delete', old.id, words_of(old.title, old.author, old.isbn)); END;
CREATE TRIGGER words_of_changed AFTER UPDATE OF title, author, isbn ON books
WHEN old.title IS NOT new.title BEGIN
    INSERT INTO words (words, rowid, tokens)
    VALUES ('delete', old.id, words_of(old.title, old.author, old.isbn));
    INSERT INTO words (rowid, tokens) VALUES (new.id, words_of(new.title, new.author, new.isbn));
    END"""


async def rows(store: ReplicatedStore, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await store.database.read(sql)]


class WordsTest(CatalogTest):
    async def ids(self, q: str) -> list[int]:
        found = await self.reader.search(Search(100, q=q))
        return [book["id"] for book in found.books]

    def found_damaged(self) -> str | None:
        return find_damage(self.store.database.path, CatalogRows(Catalog()))

    async def test_it_follows_the_books(self) -> None:
        await self.batch(update("k1", 4, title="Baking for the Hasty"))
        self.assertEqual((await self.ids("cooking"), await self.ids("hasty bak")), ([], [4]))
        await self.batch(update("k2", 4, author="Julia"), update("k3", 4, author=None))
        self.assertEqual(await self.ids("julia"), [])
        await self.batch(update("k4", 4, author="Child"))
        self.assertEqual(await self.ids("child bak"), [4])
        self.assertIsNone(self.found_damaged())

    async def test_a_sale_does_not_touch_it(self) -> None:
        def changes() -> int:
            connection = sqlite3.connect(self.store.database.path)
            [(blocks,)] = connection.execute("SELECT group_concat(hex(block)) FROM words_data")
            connection.close()
            return hash(blocks)

        before = changes()
        await self.batch(sell("k", (4, 2)))
        self.assertEqual(changes(), before)

    async def test_what_left_it_is_merged_away(self) -> None:
        """FTS5 keeps a note of each book that left, beside each of its words, until then."""

        async def size() -> int:
            [(size,)] = await rows(self.store, "SELECT sum(length(block)) FROM words_data")
            return int(size)

        async def state() -> tuple[int, ...]:
            [found] = await rows(self.store, "SELECT forgotten, merging, merges FROM words_made")
            return found

        await self.batch(create("k", *((f"Many {n}", None, "Many") for n in range(400))))
        full, merges = await size(), 0
        with mock.patch.multiple(search_index, MANY=100, MERGED_PAGES=1):
            for n in range(8, 400):
                await self.store.database.writer.execute("DELETE FROM books WHERE id = ?", (n,))
                await self.batch(sell(f"s{n}", (1, 0)))
                forgotten, _, merges = await state()
                self.assertLessEqual(forgotten, 100 + 100)  # while the last is merged
            self.assertIn(merges, (2, 3))
            while (await state())[1]:
                await self.batch(sell(f"s{self.committed_seq()}", (1, 0)))
        self.assertLess(await size(), full / 2)
        self.assertEqual(await self.ids("many"), list(range(400, 408)))

    async def test_after_many_merges_it_is_made_anew(self) -> None:
        path = self.store.database.path
        with mock.patch.multiple(search_index, MANY=1, MOST_MERGES=2):
            for n in range(9):
                await self.batch(update(f"t{n}", 4, title=f"Title {n}"))
            [(merges,)] = await rows(self.store, "SELECT merges FROM words_made")
            self.assertEqual(merges, 2)
            await self.store.close()
            self.store = await ReplicatedStore.open(path, CatalogRows(Catalog()), 1000)
        self.addAsyncCleanup(self.store.close)
        self.reader = SQLiteCatalogReader(self.store.database)
        made = await rows(self.store, "SELECT forgotten, merging, merges FROM words_made")
        self.assertEqual(made, [(0, 0, 0)])
        self.assertEqual(await self.ids("title 8"), [4])
        self.assertIsNone(self.found_damaged())

    async def test_a_snapshot_brings_it_along(self) -> None:
        await self.batch(update("k1", 4, title="Baking for the Hasty"))
        other = await ReplicatedStore.open(self.directory / "two.db", CatalogRows(Catalog()), 1000)
        self.addAsyncCleanup(other.close)
        for _ in range(2):
            async for chunk in self.store.snapshot():
                await other.install(chunk)
        found = await SQLiteCatalogReader(other.database).search(Search(10, q="bak"))
        self.assertEqual([book["id"] for book in found.books], [4])
        self.assertIsNone(find_damage(other.database.path, CatalogRows(Catalog())))

    async def test_a_file_from_before_it_gets_it(self) -> None:
        """As three older programs left it: without an index, and with two others."""
        for version, index in enumerate(("", OLD_INDEX.format("books"), OLD_VIEW)):
            path = self.directory / f"old-{version}.db"
            schema = (
                log_table.SCHEMA,
                SCHEMA,
                *("" if n < version else index for n in range(1, version + 1)),
            )
            old = await Database.open(path, schema)
            await old.writer.execute("INSERT INTO topics VALUES (1, 'T', 't')")
            await old.writer.execute("INSERT INTO books VALUES (5, 'An old book', 'Ænn', 1, 1, 1)")
            await old.close()
            self.assertIsNone(find_damage(path, CatalogRows(Catalog())))
            store = await ReplicatedStore.open(path, CatalogRows(Catalog()), 1000)
            self.addAsyncCleanup(store.close)
            self.assertTrue(store.derived)
            found = await SQLiteCatalogReader(store.database).search(Search(10, q="aenn old"))
            self.assertEqual([book["id"] for book in found.books], [5])
            self.assertEqual(await rows(store, "SELECT isbn, retired FROM books"), [(None, None)])
            self.assertIsNone(find_damage(path, CatalogRows(Catalog())))

    async def test_a_file_whose_books_are_not_found_by_topic_is_no_damage(self) -> None:
        path = self.directory / "old.db"
        made = f"UPDATE words_made SET by = '{letters.VERSION}', upto = {ALL}"
        known = "INSERT INTO words_known VALUES ('many')"
        schema = (log_table.SCHEMA, *CatalogRows.migrations[:-2])  # the next makes them anew
        old = await Database.open(
            path, (*schema[:-1], f"{schema[-1]}; {TOPICLESS}; {made}; {known}")
        )
        await old.writer.create_function("words_of", 3, lambda title, *_: f"{title.lower()} =x")
        for number, topic in enumerate(("Art", "Sea", "Art"), start=1):
            await old.writer.execute(
                "INSERT OR IGNORE INTO topics VALUES (?, ?, ?)", (number, topic, topic.lower())
            )
            await old.writer.execute(
                "INSERT INTO books (id, title, catalog_id, cost, count)"
                " VALUES (?, ?, (SELECT id FROM topics WHERE name = ?), ?, 1)",
                (number, f"Many {number}", topic, 10 - number),
            )
        await old.close()
        self.assertIsNone(find_damage(path, CatalogRows(Catalog())))
        store = await ReplicatedStore.open(path, CatalogRows(Catalog()), 1000)
        self.addAsyncCleanup(store.close)
        found = await SQLiteCatalogReader(store.database).search(
            Search(9, q="many", topic="Art", sort="price", in_stock=True)
        )
        self.assertEqual([book["id"] for book in found.books], [3, 1])
        self.assertIsNone(find_damage(path, CatalogRows(Catalog())))
        with self.assertRaisesRegex(ConfigError, f"program knows {len(schema)}"):
            await Database.open(path, schema)

    async def test_a_process_that_ends_in_the_middle_of_a_migration_leaves_no_damage(self) -> None:
        """Whatever older program has written the file, under whatever name it kept its checksum."""
        model = CatalogRows(Catalog())
        for version in range(1, len(model.migrations) - 1):  # the last leaves their sum as it is
            path = self.directory / f"old-{version}.db"
            schema = (log_table.SCHEMA, *model.migrations[:version])
            old = await Database.open(path, schema, model.teach)
            await old.writer.execute(
                "INSERT INTO books (id, title, catalog_id, cost, count) VALUES (5, 'Old', 1, 1, 1)"
            )
            name = CHECKSUM if HISTORY_SCHEMA in schema else "checksum"
            await old.writer.execute("INSERT INTO meta VALUES (?, 'of the rows then')", (name,))
            await old.close()
            half = await Database.open(path, (log_table.SCHEMA, *model.migrations), model.teach)
            await half.close()
            self.assertIsNone(find_damage(path, model), version)
            store = await ReplicatedStore.open(path, model, 1000)
            await store.close()
            self.assertIsNone(find_damage(path, model), version)

    async def test_rows_from_before_there_were_isbns_or_retired_books(self) -> None:
        """A log may hold images of both kinds, and have them applied at once."""
        await self.batch(update("a", 3, isbn="9780306406157"))
        before = self.store.committed
        old = {"id": 4, "title": "Old", "author": None, "catalog_id": 2, "cost": 1, "count": 1}
        new = {**old, "id": 5, "isbn": "9780306406157"}
        made = entries(
            before,
            *(Change((f"info_{row['id']}",), {"put": {"books": [row]}}) for row in (old, new)),
            Change(("info_3",), {"put": {"books": [{**old, "id": 3}]}}),
        )
        await self.store.persist(before, made)
        await self.store.apply(made[-1].mark)
        books = await self.reader.info([3, 4, 5])
        self.assertEqual([books[n].get("isbn") for n in (3, 4, 5)], [None, None, new["isbn"]])
        self.assertEqual(await self.ids("0306406152"), [5])
        self.assertIsNone(self.found_damaged())

    async def test_it_is_made_in_slices_that_stay(self) -> None:
        await self.batch(create("k", *((f"Many {n}", None, "Many") for n in range(30))))
        path = self.store.database.path
        with mock.patch.object(search_index, "SLICE_BOOKS", 10):
            await self.forget_version()
            self.assertIsNone(self.found_damaged())  # it is to be made anew
            seen = []
            for _ in range(4):  # 37 books; a process that ends after each slice
                store = await ReplicatedStore.open(path, CatalogRows(Catalog()), 1000, 0)
                self.assertFalse(store.derived)
                store.derived = await store.database.write(search_index.learn)
                seen += await rows(store, "SELECT upto FROM words_made")
                self.assertEqual(store.derived, seen[-1] == (search_index.ALL,))
                await store.close()
        self.assertEqual(seen, [(10,), (20,), (30,), (search_index.ALL,)])
        self.assertIsNone(self.found_damaged())

    async def test_books_beyond_what_is_made_are_left_to_it(self) -> None:
        await self.forget_version()
        path = self.store.database.path
        self.store = await ReplicatedStore.open(path, CatalogRows(Catalog()), 1000, 0)
        self.reader = SQLiteCatalogReader(self.store.database)
        self.addAsyncCleanup(self.store.close)
        with mock.patch.object(search_index, "SLICE_BOOKS", 3):
            await self.store.database.write(search_index.learn)
        await self.batch(update("k", 4, title="Baking"), update("l", 2, title="Roasting"))
        await self.batch(create("m", ("Frying", None, "New")))
        await self.store.derive()
        for q, found in (("baking", [4]), ("roasting", [2]), ("frying", [8]), ("cooking", [])):
            self.assertEqual(await self.ids(q), found, q)
        self.assertIsNone(self.found_damaged())

    async def forget_version(self) -> None:
        """As if another version of Unicode had made the index."""
        await self.store.database.writer.execute("UPDATE words_made SET by = 'another'")
        await self.store.close()

    async def test_an_index_that_is_not_that_of_the_books_is_damage(self) -> None:
        path = self.store.database.path
        await self.store.close()
        whole = path.read_bytes()
        title = terms_of("Cooking for the Impatient Undergrad", None, None, 2, None)
        for sql in (
            "INSERT INTO words (rowid, tokens) VALUES (99, 'ghost')",
            f"INSERT INTO words (words, rowid, tokens) VALUES ('delete', 4, '{title}')",
            "UPDATE words_data SET block = flipped(block) WHERE id > 10",
            "DELETE FROM words_data",
            "DELETE FROM words_known WHERE term = 'cooking'",
            "DELETE FROM titles WHERE book = 4",
            "UPDATE titles SET key = 'another' WHERE book = 4",
            "INSERT INTO titles VALUES ('another', 4)",
        ):
            with self.subTest(sql):
                self.assertIsNone(self.found_damaged())
                connection = sqlite3.connect(path)
                connection.create_function(
                    "flipped", 1, lambda block: block.replace(b"ooki", b"oaki")
                )
                connection.execute(sql)
                connection.commit()
                connection.close()
                self.assertIsNotNone(self.found_damaged())
                path.write_bytes(whole)

    async def test_beginnings_that_lead_elsewhere_are_damage(self) -> None:
        path = self.store.database.path
        await self.store.close()
        title = terms_of("Cooking for the Impatient Undergrad", None, None, 2, None)
        # It is learned anew without beginnings of three letters.
        for sql, lengths in (
            ("INSERT INTO words (words, rowid, tokens) VALUES ('delete', 4, ?)", ("1 2 3", "1 2")),
            ("INSERT INTO words (rowid, tokens) VALUES (4, ?)", ("1 2", "1 2 3")),
        ):
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(sql, (title,))
                connection.execute("PRAGMA writable_schema = ON")
                connection.execute(
                    "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'words'",
                    lengths,
                )
                connection.commit()
        self.assertIn("other books by the beginning", self.found_damaged() or "")

    async def test_an_index_that_leads_elsewhere_is_damage(self) -> None:
        titles = ((f"{number:x} {number**3:x}", None, "Numbers") for number in range(2000))
        await self.batch(create("k", *titles))
        path = self.store.database.path
        await self.store.close()
        self.assertIsNone(self.found_damaged())
        with closing(sqlite3.connect(path)) as connection:
            # Where pages begin: this one is said to begin later than it does.
            changed = connection.execute(
                "UPDATE words_idx SET term = term || x'7a' WHERE (segid, term) ="
                " (SELECT segid, term FROM words_idx WHERE length(term) > 1 LIMIT 1)"
            )
            self.assertEqual(changed.rowcount, 1)
            connection.commit()
        self.assertIn("index of words", self.found_damaged() or "")
