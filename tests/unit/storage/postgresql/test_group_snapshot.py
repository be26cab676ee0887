"""A group's tables as of one moment: what is read of them, and what is refused."""

from __future__ import annotations

from typing import Any

from bazar.errors import ConfigError, NotFound, Unavailable
from storage.catalog import Catalog
from storage.history import number_of
from storage.moving import ARRIVED, GONE, Note, Standing
from storage.postgresql.books import COLUMNS
from storage.postgresql.catalog import CatalogRows
from storage.postgresql.group_snapshot import GroupSnapshot, PostgreSQLSnapshot
from storage.postgresql.session import Statement
from tests.unit.storage.operations import sell, update
from tests.unit.storage.postgresql.database import CLUSTER, servers_of
from tests.unit.storage.postgresql.test_catalog import CatalogTest

NOTE = "INSERT INTO bazar_catalog.meta (name, value) VALUES ('moved', $1)"
IDLE = "idle_in_transaction_session_timeout"
NO_WRITE = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RAISE EXCEPTION ''no write''; END'",
    "CREATE TRIGGER refuse BEFORE UPDATE ON bazar_catalog.meta EXECUTE FUNCTION refuse()",
)


class SnapshotTest(CatalogTest):
    def snapshot(self) -> GroupSnapshot:
        model = CatalogRows(Catalog())
        made = GroupSnapshot(servers_of(self._conninfo), model, COLUMNS, CLUSTER)
        self.addAsyncCleanup(made.close)
        return made

    async def looked(self) -> GroupSnapshot:
        found = self.snapshot()
        await found.look()
        return found

    async def hold(self) -> None:
        """Hold the shop for a backup."""
        await PostgreSQLSnapshot("here", {"catalog": self.snapshot()}).hold()

    async def test_all_is_read_as_it_was_at_one_moment(self) -> None:
        await self.batch(sell("a", (4, 1)))
        await self.ask("UPDATE bazar_catalog.mark SET epoch_id = 'e7'")
        expected = {table: await self.rows(table) for table in ("books", "sales")}
        found = await self.looked()
        await self.ask("UPDATE bazar_catalog.mark SET epoch_id = 'e8'")
        await self.batch(sell("b", (5, 1)), update("c", 4, title="Another"))
        for table, rows in expected.items():
            read: list[Any] = []
            async for some in found.rows(table):
                read += some
            self.assertEqual(read, rows)
        self.assertEqual((found.number, found.epoch_id, found.note), (2, "e7", None))
        self.assertEqual((await found.standing()).number, 2)

    async def test_no_timeout_ends_it_while_another_group_is_read(self) -> None:
        name = (await self.ask("SELECT current_database()"))[0][0]
        await self.ask(f"ALTER DATABASE {name} SET {IDLE} = '1h'")
        found = await self.looked()
        shown = await found.rows_of(Statement(f"SELECT current_setting('{IDLE}')"))
        self.assertEqual(shown, (("0",),))

    async def test_it_has_come_as_far_as_the_highest_epoch_that_anything_knows_of(self) -> None:
        await self.ask("UPDATE bazar_catalog.beat SET epoch = 3")
        self.assertEqual(await (await self.looked()).standing(), Standing(3, 1))
        await self.ask("INSERT INTO bazar_catalog.history VALUES (4, 'e4', 0)")
        self.assertEqual(await (await self.looked()).standing(), Standing(4, 1))
        await self.batch(sell("a", (4, 1)))
        await self.ask("UPDATE bazar_catalog.sales SET seq = $1", number_of(5, 2))
        self.assertEqual(await (await self.looked()).standing(), Standing(5, 2))

    async def test_what_is_no_shop_or_has_never_begun_is_not_found(self) -> None:
        await self.ask("UPDATE bazar_catalog.mark SET number = 0")
        found = await self.looked()
        with self.assertRaisesRegex(NotFound, "no shop in bazar_catalog that has begun"):
            await found.standing()
        await found.close()
        await self.ask("DROP SCHEMA bazar_catalog CASCADE")
        with self.assertRaisesRegex(NotFound, "has no shop in bazar_catalog"):
            await self.looked()

    async def test_tables_of_an_older_version_are_refused(self) -> None:
        await self.ask("UPDATE bazar_catalog.meta SET value = '0' WHERE name = 'version'")
        with self.assertRaisesRegex(ConfigError, "is of an older version: start the shop first"):
            await self.looked()

    async def test_a_shop_that_was_moved_away_is_no_origin(self) -> None:
        await self.hold()
        note = Note("move-1", GONE, "elsewhere")
        await self.ask(NOTE, note.text)
        self.assertEqual((await self.looked()).note, note)
        with self.assertRaisesRegex(ConfigError, "bazar_catalog: this shop was moved to elsewhere"):
            await self.hold()
        arrived = Note("move-1", ARRIVED, "elsewhere").text
        await self.ask("UPDATE bazar_catalog.meta SET value = $1 WHERE name = 'moved'", arrived)
        await self.hold()

    async def test_p5_a_server_that_confirms_no_write_is_no_origin(self) -> None:
        for sql in NO_WRITE:
            await self.ask(sql)
        with self.assertRaisesRegex(Unavailable, "bazar_catalog: confirms no write, .*no write"):
            await self.hold()

    async def test_it_leaves_no_session_behind(self) -> None:
        shop = PostgreSQLSnapshot("here", {"catalog": self.snapshot()})
        await shop.hold()
        self.assertEqual(await self.other_sessions(), 2)
        await shop.close()
        await self.until_others()
