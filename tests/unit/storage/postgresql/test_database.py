"""A group's database as one node reaches it: what it opens, what it does after trouble, its end."""

from __future__ import annotations

import unittest
from collections.abc import Sequence

from bazar.errors import ConfigError, Unavailable
from storage.catalog import Catalog
from storage.postgresql.catalog import CatalogRows
from storage.postgresql.database import SYNCHRONOUS, PostgreSQLDatabase
from storage.postgresql.link import IN_RECOVERY
from storage.postgresql.model import Model
from storage.postgresql.schema import FOUND, migrate
from storage.postgresql.servers import PostgreSQLServers
from storage.postgresql.session import Row
from storage.postgresql.standbys import Standbys
from tests.patience import PATIENCE_S, until
from tests.unit.storage.postgresql.database import CLUSTER, DatabaseCase, parts_of
from tests.unit.storage.postgresql.scripted import ScriptedServers
from tests.unit.storage.postgresql.test_schema import CATALOG, VERSION, NewerRows

PAGES = "ALTER TABLE bazar_catalog.books {} COLUMN pages"


class DatabaseTest(DatabaseCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        server, self.dsn = parts_of(self._conninfo)
        _, _, port = server.rpartition(":")
        self.names = [server, f"localhost:{port}"]

    def database(
        self, model: Model = CATALOG, servers: int = 1, *, may_lose_commits: bool = False
    ) -> PostgreSQLDatabase:
        """What reaches the one server under so many names."""
        found = PostgreSQLServers(self.names[:servers], self.dsn)
        made = PostgreSQLDatabase(
            *(found, model, "catalog-1", CLUSTER, PATIENCE_S),
            may_lose_commits=may_lose_commits,
            standbys=Standbys(found, lambda: 0.0),
        )
        self.addAsyncCleanup(made.close)
        return made

    async def test_several_servers_that_replicate_asynchronously_are_refused(self) -> None:
        """A failover would lose sales that were acknowledged."""
        name = await self.database().open()
        self.assertEqual(await self.database(servers=2, may_lose_commits=True).open(), name)
        refused = self.database(servers=2)
        before = await self.other_sessions()
        with self.assertRaisesRegex(ConfigError, "replicates asynchronously"):
            await refused.open()
        await self.until_others(before)

    async def test_it_opens_once_what_was_in_the_way_is_gone(self) -> None:
        await self.ask("CREATE SCHEMA bazar_catalog")
        await self.ask("CREATE TABLE bazar_catalog.beat (n int)")
        database = self.database()
        with self.assertRaisesRegex(Unavailable, "the database is not open: .*42P07"):
            await database.open()
        await self.ask("DROP TABLE bazar_catalog.beat")
        await database.open()

    async def test_it_upgrades_once_what_was_in_the_way_is_gone(self) -> None:
        await migrate(self.session, CATALOG, CLUSTER)
        database = self.database(NewerRows(Catalog()))
        await database.open()
        await self.ask(PAGES.format("ADD") + " bigint")
        with self.assertRaisesRegex(Unavailable, "the tables are not upgraded: .*42701"):
            await database.upgrade("")
        self.assertEqual(await self.version(), VERSION)
        await self.ask(PAGES.format("DROP"))
        await database.upgrade("")
        self.assertEqual(await self.version(), VERSION + 1)

    async def test_it_derives_once_what_was_in_the_way_is_gone(self) -> None:
        database = self.database()
        await database.open()
        await self.ask("UPDATE bazar_catalog.meta SET value = 'another' WHERE name = 'words'")
        await self.ask("ALTER TABLE bazar_catalog.books RENAME TO elsewhere")
        with self.assertRaisesRegex(Unavailable, "nothing is derived from the rows: .*42P01"):
            await database.derive("")
        await self.ask("ALTER TABLE bazar_catalog.elsewhere RENAME TO books")
        self.assertTrue(await database.derive(""))

    async def test_it_leaves_no_session_behind(self) -> None:
        database = self.database(CatalogRows(Catalog()))
        await database.open()
        await database.register.look()
        await database.derive("")
        await until(lambda: database.status()["standing"], "it has looked at the servers")
        self.assertEqual(await self.other_sessions(), 4)
        await database.close()
        await self.until_others()


class SynchronousTest(unittest.IsolatedAsyncioTestCase):
    async def test_several_servers_that_wait_for_each_other_are_taken(self) -> None:
        known = [("version", str(VERSION)), ("cluster", CLUSTER), ("database", "drawn")]
        answers: dict[str, Sequence[Row]] = {
            IN_RECOVERY.sql: [(False,)],
            SYNCHRONOUS.sql: [("two",)],
            FOUND.format(s="bazar_catalog"): [(True, True, "UTF8")],
            "SELECT name, value FROM bazar_catalog.meta": known,
        }
        servers = ScriptedServers(["one", "two"], lambda server, asked: answers[asked.sql])
        database = PostgreSQLDatabase(
            *(servers, CATALOG, "catalog-1", CLUSTER, PATIENCE_S),
            may_lose_commits=False,
            standbys=Standbys(servers, lambda: 0.0),
        )
        self.assertEqual(await database.open(), "drawn")
        await database.close()
        self.assertEqual([each.closed for each in servers.opened], [True])
