"""The beat and the mark of a group in a real database, and what is in doubt."""

from __future__ import annotations

import dataclasses
import unittest
from collections.abc import Callable, Sequence

from bazar.errors import FatalError, Unavailable
from bazar.replication.messages import Mark
from bazar.replication.shared.database import Beat, Word
from storage.catalog import Catalog
from storage.postgresql.catalog import CatalogRows
from storage.postgresql.link import Link
from storage.postgresql.register import PostgreSQLRegister
from storage.postgresql.schema import migrate
from storage.postgresql.session import Row, Statement
from tests.patience import PATIENCE_S
from tests.unit.storage.postgresql.database import CLUSTER, DatabaseCase, servers_of
from tests.unit.storage.postgresql.scripted import ScriptedServers

FIRST = Beat(1, "e1", "e1:0", False, "catalog-1", 250)
SECOND = Beat(2, "e2", "e2:0", False, "catalog-2", 250)
PLANNED = "SELECT count(*) FROM pg_prepared_statements"


class RegisterTest(DatabaseCase):
    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        await migrate(self.session, CatalogRows(Catalog()), CLUSTER)
        await self.ask("UPDATE bazar_catalog.mark SET number = 40")
        self.link = Link(servers_of(self._conninfo), PATIENCE_S)
        self.addAsyncCleanup(self.link.close)
        self.register = PostgreSQLRegister(self.link, "bazar_catalog", "catalog-1")

    async def take(self, new: Beat, before_commit: Callable[[], None] = lambda: None) -> Mark:
        """Take over from whoever leads."""
        seen = (await self.register.look()).beat
        mark = await self.register.take_over(seen, new, before_commit)
        assert mark is not None
        return mark

    async def beat(self, committed: int = 40) -> Sequence[Word]:
        return await self.register.beat("e1", "e1:1", committed, PATIENCE_S)

    async def test_p3_who_takes_over_has_the_beat_the_mark_and_the_history(self) -> None:
        self.assertEqual(await self.take(FIRST), Mark(40, "e1"))
        self.assertEqual((await self.register.look()).beat, FIRST)
        self.assertEqual(
            await self.ask("SELECT epoch_id, number FROM bazar_catalog.mark"), (("e1", 40),)
        )
        history = await self.ask("SELECT epoch, id, behind FROM bazar_catalog.history")
        self.assertEqual(history, ((1, "e1", 40),))

    async def test_p3_a_beat_that_has_gone_on_is_left_alone(self) -> None:
        seen = (await self.register.look()).beat
        await self.take(FIRST)
        self.assertIsNone(await self.register.take_over(seen, SECOND, lambda: None))
        self.assertEqual((await self.register.look()).beat, FIRST)
        # Nothing is open any more: what is said next is there at once.
        word = Word("catalog-2", "e1:0", 1)
        await self.register.leave_word(word)
        known = await self.ask("SELECT node, value, hears FROM bazar_catalog.waiting")
        self.assertEqual(known, (dataclasses.astuple(word),))

    async def test_whoever_is_late_before_the_commit_has_not_taken_over(self) -> None:
        def late() -> None:
            raise Unavailable("too late")

        with self.assertRaisesRegex(Unavailable, "too late"):
            await self.take(FIRST, late)
        self.register.disconnect()
        self.assertEqual((await self.register.look()).beat.epoch, 0)

    async def test_p7_a_beat_is_told_what_candidates_say_last(self) -> None:
        await self.take(FIRST)
        self.assertEqual(await self.beat(), [])
        for hears in (1, 2):
            await self.register.leave_word(Word("catalog-2", "e1:0", hears))
        self.assertEqual(await self.beat(), [Word("catalog-2", "e1:0", 2)])
        self.assertEqual((await self.register.look()).beat.value, "e1:1")

    async def test_p4_a_primary_ends_where_what_it_has_committed_is_lost(self) -> None:
        await self.take(FIRST)
        await self.beat(committed=40)
        with self.assertRaisesRegex(FatalError, "has lost the entries behind 40"):
            await self.beat(committed=41)

    async def test_a_primary_ends_where_another_has_taken_over_or_it_has_handed_over(self) -> None:
        await self.take(FIRST)
        await self.register.release("e1")
        self.assertTrue((await self.register.look()).beat.released)
        with self.assertRaisesRegex(FatalError, "another primary has taken over"):
            await self.beat()
        await self.take(SECOND)
        await self.register.release("e1")
        self.assertFalse((await self.register.look()).beat.released)
        with self.assertRaisesRegex(FatalError, "another primary has taken over"):
            await self.beat()

    async def test_p5_what_is_refused_is_in_doubt_and_done_over_another_connection(self) -> None:
        await self.ask("ALTER TABLE bazar_catalog.beat RENAME TO elsewhere")
        with self.assertRaisesRegex(Unavailable, "the beat can't be read: .*42P01"):
            await self.register.look()
        self.assertIsNone(self.link.server)
        await self.ask("ALTER TABLE bazar_catalog.elsewhere RENAME TO beat")
        self.assertEqual((await self.register.look()).connection, 2)

    async def test_it_gives_up_its_connection_at_once(self) -> None:
        await self.register.look()
        self.register.disconnect()
        self.assertIsNone(self.link.server)

    async def test_what_runs_with_each_beat_is_planned_once_a_session(self) -> None:
        await self.take(FIRST)
        for _ in range(2):
            await self.register.look()
            await self.beat()
        [result] = (await self.link.run(Statement(PLANNED))).results
        self.assertEqual(result.rows, ((4,),))  # the look; and the beat, the mark, the words


class ServerTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.in_recovery = False
        self.servers = ScriptedServers(["one"], self.answer)
        self.link = Link(self.servers, PATIENCE_S)
        self.register = PostgreSQLRegister(self.link, "shop", "catalog-1")

    def answer(self, server: str, statement: Statement) -> Sequence[Row]:
        if statement.sql == "SELECT pg_is_in_recovery()":
            return [(False,)]
        if "pg_is_in_recovery" in statement.sql:
            return [(self.in_recovery, *dataclasses.astuple(FIRST))]
        return [(40,)] if "shop.mark" in statement.sql else []

    async def test_p3_a_server_that_has_become_a_standby_is_left(self) -> None:
        """What it shows may be old."""
        self.assertEqual((await self.register.look()).beat, FIRST)
        self.in_recovery = True
        with self.assertRaisesRegex(Unavailable, "has become a standby"):
            await self.register.look()
        self.assertIsNone(self.link.server)

    async def test_a_beat_waits_as_long_as_it_is_told_and_is_sent_however_late_it_is(self) -> None:
        await self.register.beat("e1", "e1:1", 40, 7.0)
        await self.register.beat("e1", "e1:2", 40, -1.0)
        [session] = self.servers.opened
        asked, late = session.timeouts[-2:]
        self.assertEqual(asked, 7.0)
        self.assertTrue(0 < late < 1)
