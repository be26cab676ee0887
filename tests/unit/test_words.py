"""The index of words: what is found by it, and that it stays in step with the books."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from storage import log, words
from storage.catalog import Catalog
from storage.compare import damage
from storage.database import Database
from storage.log import ReplicatedStore
from storage.sqlite.catalog import SCHEMA, CatalogRows, SQLiteCatalogReader
from tests.unit.test_catalog import create, sell, update
from tests.unit.test_sqlite_catalog import CatalogTest


class WordsTest(CatalogTest):
    async def ids(self, q: str, limit: int = 100, offset: int = 0) -> list[int]:
        books, _ = await self.reader.find(q, limit, offset)
        return [book["id"] for book in books]

    def found_damaged(self) -> str | None:
        return damage(self.store.database.path, CatalogRows(Catalog()))

    async def test_every_word_matches_the_beginning_of_a_word(self) -> None:
        for q, ids in (
            ("cooking", [4]),
            ("IMPATIENT cook", [4]),
            ("impatient cooking undergrads", []),
            ("undergrad", [3, 4]),
            ("under", [3, 4]),
            ("grad", [1]),  # "grade" begins with it, "undergrad" does not
            ("40 dos", [1]),
            ("pioneer spring VALL", [7]),
        ):
            self.assertEqual(await self.ids(q), ids, q)

    async def test_case_accents_and_punctuation_make_no_difference(self) -> None:
        await self.batch(
            create("k", ("Émile, ou De l’éducation", "Jean-Jacques Rousseau", "Pedagogy")),
            create("l", ('C++ "and" (or) NOT * - NEAR: ^x', "O'Reilly", "Programs")),
            create("m", ("हिन्दी की किताब", "日本太郎", "Языки")),
        )
        for q, ids in (
            *(("emile", [8]), ("ÉMILE", [8]), ("emile\u0301 E\u0301duc", [8]), ("jean jac", [8])),
            *(("jean-jac", [8]), ("l'educ", [8]), ("rousseau émile", [8]), ("oreilly", [])),
            *(("o'rei", [9]), ('"and" not or', [9]), ("near", [9]), ("c++ ^x", [9])),
            *(("हिन्दी", [10]), ("日本", [10]), ("太郎", [])),
        ):
            self.assertEqual(await self.ids(q), ids, q)

    async def test_letters_that_few_keyboards_have(self) -> None:
        await self.batch(
            create("k", ("Die weiße Straße", "Jo Nesbø", "Krimi")),
            create("l", ("ŁÓDŹ, ÆSOP", "Þórr Đặng", "Travel")),
        )
        for q, ids in (
            *(("weisse strasse", [8]), ("WEIẞE", [8]), ("weiße", [8]), ("nesbo", [8])),
            *(("nesbø", [8]), ("lodz aesop", [9]), ("łódź", [9]), ("thorr dang", [9])),
        ):
            self.assertEqual(await self.ids(q), ids, q)
        await self.batch(update("m", 8, author="Søren"), update("n", 9, title="Œuvres"))
        for q, ids in (("nesbo", []), ("soren", [8]), ("oeuvres", [9]), ("lodz", [])):
            self.assertEqual(await self.ids(q), ids, q)
        self.assertIsNone(self.found_damaged())

    async def test_nothing_in_it_is_syntax(self) -> None:
        for q in (
            '"',
            '""',
            "title:how",
            "how OR",
            "NEAR(how to, 2)",
            "-how",
            "*",
            "{a b}",
            "a AND",
        ):
            await self.ids(q)
        self.assertEqual(await self.ids("title: how"), [])
        self.assertEqual(await self.ids("how NOT good"), [])

    async def test_pages_by_id(self) -> None:
        await self.batch(create("k", *((f"Many {n}", None, "Many") for n in range(20))))
        found: list[int] = []
        more = True
        while more:
            books, more = await self.reader.find("many", 7, len(found))
            found += [book["id"] for book in books]
        self.assertEqual(found, list(range(8, 28)))

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

    async def test_a_snapshot_brings_it_along(self) -> None:
        await self.batch(update("k1", 4, title="Baking for the Hasty"))
        other = await ReplicatedStore.open(self.directory / "two.db", CatalogRows(Catalog()), 1000)
        self.addAsyncCleanup(other.close)
        for _ in range(2):
            async for chunk in self.store.snapshot():
                await other.install(chunk)
        books, _ = await SQLiteCatalogReader(other.database).find("bak", 10, 0)
        self.assertEqual([book["id"] for book in books], [4])
        self.assertIsNone(damage(other.database.path, CatalogRows(Catalog())))

    async def test_a_file_from_before_it_gets_it(self) -> None:
        for version in range(len(words.MIGRATIONS)):
            path = self.directory / f"old-{version}.db"
            schema = (log.SCHEMA, SCHEMA, *words.MIGRATIONS[:version])
            old = await Database.open(path, schema)
            await old.writer.execute("INSERT INTO topics VALUES (1, 'T', 't')")
            await old.writer.execute("INSERT INTO books VALUES (5, 'An old book', 'Ænn', 1, 1, 1)")
            await old.close()
            store = await ReplicatedStore.open(path, CatalogRows(Catalog()), 1000)
            self.addAsyncCleanup(store.close)
            books, _ = await SQLiteCatalogReader(store.database).find("aenn old", 10, 0)
            self.assertEqual([book["id"] for book in books], [5])
            self.assertIsNone(damage(path, CatalogRows(Catalog())))

    async def test_an_index_that_is_not_that_of_the_books_is_damage(self) -> None:
        path = self.store.database.path
        await self.store.close()
        whole = path.read_bytes()
        for sql in (
            "INSERT INTO words (rowid, title, author) VALUES (99, 'ghost', '')",
            "INSERT INTO words (words, rowid, title, author)"
            " VALUES ('delete', 4, 'Cooking for the Impatient Undergrad', NULL)",
            "UPDATE words_data SET block = flipped(block) WHERE id > 10",
            "DELETE FROM words_data",
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

    def test_a_query_is_quoted(self) -> None:
        self.assertEqual(words.beginnings('a "b c'), '"a" * """b" * "c" *')
