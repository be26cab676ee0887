"""Making and migrating a group's tables, and the index of words that is another program's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest

from bazar.errors import ConfigError, FatalError, Unavailable
from storage import letters
from storage.catalog import Catalog
from storage.orders import Orders
from storage.postgresql import books, learning, orders, schema, search_index
from storage.postgresql.catalog import CatalogRows, PostgreSQLCatalogReader
from storage.postgresql.orders import OrderRows
from storage.postgresql.session import Broken, Refused, Reply, Result, Statement
from storage.postgresql.transaction import BEGIN, COMMIT, check_committed
from storage.searches import Search
from tests.postgresql.servers import Server
from tests.unit.storage.operations import create, sell, update
from tests.unit.storage.postgresql.database import CLUSTER, TIMEOUT_S, DatabaseCase, Group
from tests.unit.storage.postgresql.test_catalog import CatalogTest

CATALOG = CatalogRows(Catalog())
VERSION = len(CATALOG.migrations)
# What stood in databases of the first version.
OLD_FUNCTIONS = (
    "CREATE FUNCTION bazar_catalog.matches(tsquery, text[], bigint, int, bigint)"
    " RETURNS bigint[] LANGUAGE sql AS 'SELECT NULL::bigint[]'",
    "CREATE FUNCTION bazar_catalog.find("
    "tsquery[], int[], text[], int, bigint[], bigint, int, int, int)"
    " RETURNS TABLE (made_by text, places int) LANGUAGE sql AS 'SELECT NULL, 0'",
)


class NewerRows(CatalogRows):
    migrations: Sequence[Sequence[str]] = (
        *CatalogRows.migrations,
        (
            "ALTER TABLE bazar_catalog.books ADD COLUMN pages bigint",
            "UPDATE bazar_catalog.books SET pages = 1",
        ),
    )


class MakingTest(DatabaseCase):
    async def test_any_number_of_nodes_may_try_at_the_same_time(self) -> None:
        sessions = [await self.connect() for _ in range(8)]
        models = (CATALOG, OrderRows(Orders()))
        ids = await asyncio.gather(
            *(
                schema.migrate(session, models[number % 2], CLUSTER)
                for number, session in enumerate(sessions)
            )
        )
        self.assertEqual(ids, ids[:2] * 4)  # one is drawn for each group
        for name in ("bazar_catalog", "bazar_order"):
            self.assertEqual(
                await self.ask(f"SELECT epoch, epoch_id, value, released, holder FROM {name}.beat"),
                ((0, "", "", True, None),),
            )
            self.assertEqual(
                await self.ask(f"SELECT epoch_id, number FROM {name}.mark"), (("", 0),)
            )
            for table in ("history", "waiting"):
                self.assertEqual(await self.ask(f"SELECT 1 FROM {name}.{table}"), ())

    async def test_each_of_two_protocol_rows_is_one(self) -> None:
        await schema.migrate(self.session, CATALOG, CLUSTER)
        for sql in (
            "INSERT INTO bazar_catalog.mark (epoch_id, number) VALUES ('', 1)",
            "INSERT INTO bazar_catalog.mark (one, epoch_id, number) VALUES (false, '', 1)",
        ):
            with self.assertRaises(Refused):
                await self.ask(sql)

    async def test_p6_another_cluster_is_refused(self) -> None:
        await schema.migrate(self.session, CATALOG, CLUSTER)
        for _ in range(2):
            with self.assertRaisesRegex(ConfigError, "bazar_catalog: belongs to another cluster"):
                await schema.migrate(self.session, CATALOG, "cluster-2")
        await schema.migrate(self.session, CATALOG, CLUSTER)

    async def test_a_schema_that_stands_ready_is_taken(self) -> None:
        """For a role that may not make one."""
        await self.ask("CREATE SCHEMA bazar_catalog")
        await schema.migrate(self.session, CATALOG, CLUSTER)
        self.assertEqual(await self.version(), VERSION)

    async def test_newer_tables_are_refused(self) -> None:
        await schema.migrate(self.session, NewerRows(Catalog()), CLUSTER)
        with self.assertRaisesRegex(
            ConfigError, f"has version {VERSION + 1}, and this program knows {VERSION}"
        ):
            await schema.migrate(self.session, CATALOG, CLUSTER)

    async def test_what_is_written_has_all_columns(self) -> None:
        """The columns that images are written to are those that the tables have."""
        for model, columns in (
            (CATALOG, {**books.COLUMNS, **search_index.COLUMNS}),
            (OrderRows(Orders()), orders.COLUMNS),
        ):
            await schema.migrate(self.session, model, CLUSTER)
            self.assertLessEqual(set(model.tables), set(columns))
            for table, named in columns.items():
                rows = await self.ask(
                    "SELECT column_name, data_type FROM information_schema.columns"
                    " WHERE table_schema = $1 AND table_name = $2",
                    *(model.schema, table),
                )
                self.assertEqual(dict(rows), named, table)

    async def test_texts_are_ordered_by_their_bytes(self) -> None:
        """Whatever the database's own order is; what is derived from the rows aside."""
        for model in (CATALOG, OrderRows(Orders())):
            await schema.migrate(self.session, model, CLUSTER)
        rows = await self.ask(
            "SELECT t.relname, a.attname FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid"
            " JOIN pg_attribute a ON a.attrelid = i.indexrelid"
            " WHERE t.relnamespace IN ('bazar_catalog'::regnamespace, 'bazar_order'::regnamespace)"
            " AND a.attcollation NOT IN (0, 'pg_catalog.\"C\"'::regcollation)"
            " AND t.relname NOT IN ('meta', 'waiting')"
        )
        self.assertEqual(rows, ())


class ServerCase(DatabaseCase):
    @pytest.fixture(autouse=True)
    def _server(self, postgresql_server: Server) -> None:
        self.server = postgresql_server

    async def test_a_database_that_lacks_most_scripts_is_refused(self) -> None:
        self.server.ask(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc"
            " LOCALE 'C'"
        )
        try:
            self._conninfo = self.server.database("latin")
            session = await self.connect()
            with self.assertRaisesRegex(ConfigError, "encoded in LATIN1"):
                await schema.migrate(session, CATALOG, CLUSTER)
            await session.close()
        finally:
            self.server.ask("DROP DATABASE latin WITH (FORCE)")


class UpgradingTest(CatalogTest):
    async def test_older_tables_are_brought_up_by_the_primary(self) -> None:
        await self.ask("UPDATE bazar_catalog.mark SET epoch_id = 'e7'")
        newer = NewerRows(Catalog())
        for _ in range(2):
            await schema.migrate(self.session, newer, CLUSTER)
            self.assertEqual(await self.version(), VERSION)
            with self.assertRaisesRegex(FatalError, "another epoch has begun"):
                await schema.upgrade(self.session, newer, "e6")
        await schema.upgrade(self.session, newer, "e7")
        await schema.migrate(self.session, newer, CLUSTER)
        self.assertEqual(await self.version(), VERSION + 1)
        self.assertEqual(await self.ask("SELECT DISTINCT pages FROM bazar_catalog.books"), ((1,),))
        await schema.upgrade(self.session, newer, "e7")  # nothing is missing
        with self.assertRaisesRegex(ConfigError, "the newer program"):
            await schema.upgrade(self.session, CatalogRows(Catalog()), "e7")

    async def test_nothing_is_written_meanwhile(self) -> None:
        """A batch that is under way ends first."""
        other = await self.connect()
        await self.group.execute([sell("k", (4, 1))])
        upgrade = asyncio.create_task(schema.upgrade(other, NewerRows(Catalog()), ""))
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        watch = await self.connect()
        while not (await watch.run(Statement(waits), timeout_s=TIMEOUT_S)).results[0].rows:
            self.assertFalse(upgrade.done())
        await self.group.rollback()
        await upgrade


class FirstVersionRows(CatalogRows):
    migrations: Sequence[Sequence[str]] = ((*CatalogRows.migrations[0], *OLD_FUNCTIONS),)


class FirstVersionTest(DatabaseCase):
    async def test_its_books_are_found_by_topic_and_in_every_order(self) -> None:
        group = await Group.make(self.session, FirstVersionRows(Catalog()))
        await self.ask(
            "INSERT INTO bazar_catalog.topics VALUES (1, 'Art', 'art'), (2, 'Sea', 'sea')"
        )
        await self.ask(
            "INSERT INTO bazar_catalog.books (id, title, catalog_id, cost, count)"
            " SELECT n, 'Many ' || n, 1 + n % 2, 10 - n, n % 3 FROM generate_series(1, 6) n"
        )
        await schema.upgrade(self.session, CATALOG, "")
        group.model = CATALOG
        reader = PostgreSQLCatalogReader(group)
        wanted = Search(9, q="many", topic="Sea", sort="price", in_stock=True)
        with self.assertRaisesRegex(Unavailable, "index of words"):
            await reader.search(wanted)
        self.assertTrue(await learning.learn(self.session, ""))
        self.assertEqual([book["id"] for book in (await reader.search(wanted)).books], [5, 1])
        with self.assertRaisesRegex(ConfigError, "start all nodes with the newer program"):
            await schema.migrate(self.session, FirstVersionRows(Catalog()), CLUSTER)


class LearningTest(CatalogTest):
    async def ids(self, q: str) -> list[int]:
        return [book["id"] for book in (await self.reader.search(Search(100, q=q))).books]

    async def index(self) -> list[Any]:
        return list(
            await self.ask("SELECT book, terms, keys::text FROM bazar_catalog.words ORDER BY book")
        )

    async def test_an_index_that_another_program_made_is_made_anew_in_slices(self) -> None:
        await self.batch(create("k", *((f"Many {n}", "A. Nobody", "Many") for n in range(30))))
        before = await self.index()
        self.assertEqual(len(before), 37)
        await self.ask("UPDATE bazar_catalog.words SET terms = ' old ', keys = '''old'''")
        await self.ask("UPDATE bazar_catalog.meta SET value = 'another' WHERE name = 'words'")
        await self.ask("UPDATE bazar_catalog.mark SET epoch_id = 'e7'")
        with mock.patch.object(learning, "SLICE_BOOKS", 10):
            for number in range(4):
                with self.assertRaisesRegex(Unavailable, "index of words"):
                    await self.ids("many")
                self.assertEqual(await learning.learn(self.session, "e7"), number == 3)
                if number == 1:
                    await self.batch(
                        update("l", 3, title="Baking"), update("m", 30, title="Frying")
                    )
        self.assertEqual(await self.ids("many"), [*range(8, 30), *range(31, 38)])
        self.assertEqual((await self.ids("baking"), await self.ids("frying")), ([3], [30]))
        after = await self.index()
        self.assertEqual(
            [row for row in after if row[0] not in (3, 30)],
            [row for row in before if row[0] not in (3, 30)],
        )
        self.assertTrue(await learning.learn(self.session, "e7"))

    async def test_only_who_leads_makes_it(self) -> None:
        await self.ask("UPDATE bazar_catalog.meta SET value = 'another' WHERE name = 'words'")
        with self.assertRaises(FatalError):
            await learning.learn(self.session, "e7")
        self.assertTrue(await learning.learn(self.session, ""))
        known = await self.ask("SELECT value FROM bazar_catalog.meta WHERE name = 'words'")
        self.assertEqual(known, ((letters.VERSION,),))

    async def test_only_what_changes_its_words_writes_a_books_index(self) -> None:
        async def versions() -> list[Any]:
            return list(
                await self.ask("SELECT book, xmin::text FROM bazar_catalog.words ORDER BY book")
            )

        before = await versions()
        await self.batch(sell("a", (4, 1)), update("b", 4, cost=7))
        await self.batch(update("c", 4, topic="Another"), update("d", 4, title="Same"))
        changed = [one for one in await versions() if one not in before]
        self.assertEqual([book for book, _ in changed], [4])
        before = await versions()
        await self.batch(sell("e", (4, 1)), update("f", 5, cost=1, count=0))
        self.assertEqual(await versions(), before)

    async def test_what_stays_in_the_index_is_not_written_again(self) -> None:
        """Each version of a row is one more that the server finds, until it is vacuumed."""

        async def versions(table: str) -> dict[int, str]:
            return dict(await self.ask(f"SELECT book, xmin::text FROM bazar_catalog.{table}"))

        words, titles = await versions("words"), await versions("titles")
        [(title,)] = await self.ask("SELECT title FROM bazar_catalog.books WHERE id = 4")
        await self.batch(update("louder", 4, title=title.upper()))  # the same words, and order
        self.assertEqual((await versions("words"), await versions("titles")), (words, titles))
        await self.batch(update("author", 4, author="Somebody Else"))
        self.assertNotEqual((await versions("words"))[4], words[4])
        self.assertEqual(await versions("titles"), titles)
        await self.batch(update("title", 4, title="Another Title"))
        self.assertNotEqual((await versions("titles"))[4], titles[4])

    async def test_the_last_title_of_a_batch_counts(self) -> None:
        await self.batch(
            update("a", 4, title="First"), update("b", 4, title="Second"), sell("c", (4, 1))
        )
        self.assertEqual((await self.ids("first"), await self.ids("second")), ([], [4]))


class CommitTest(DatabaseCase):
    async def test_p5_only_a_clean_commit_is_one(self) -> None:
        begin = await self.session.run(*BEGIN, Statement("SELECT 1"), timeout_s=TIMEOUT_S)
        self.assertEqual(begin.warnings, ())
        check_committed(await self.session.run(COMMIT, timeout_s=TIMEOUT_S))
        with self.assertRaises(Refused):
            await self.session.run(*BEGIN, Statement("SELECT 1/0"), timeout_s=TIMEOUT_S)
        with self.assertRaisesRegex(Broken, "ROLLBACK"):
            check_committed(await self.session.run(COMMIT, timeout_s=TIMEOUT_S))
        warned = Reply((Result("COMMIT"),), ("WARNING: canceling wait",))
        with self.assertRaisesRegex(Broken, "canceling wait"):
            check_committed(warned)
