"""Reads of one moment, at whichever server answers."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Sequence

from bazar.errors import Unavailable
from bazar.replication.messages import Mark
from storage.catalog import Catalog
from storage.postgresql.catalog import CatalogRows
from storage.postgresql.reading import ReadSessions
from storage.postgresql.schema import migrate
from storage.postgresql.session import Row, Statement
from tests.unit.storage.postgresql.database import CLUSTER, DatabaseCase, servers_of
from tests.unit.storage.postgresql.scripted import REFUSED, ScriptedServers

WHERE = Statement("where")
NAMES = ["one", "two", "three"]


class ReadSessionsTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.refusing: set[str] = set()
        self.asked: list[str] = []
        self.servers = ScriptedServers(NAMES, self.answer)
        self.sessions = ReadSessions(self.servers, "shop")

    def answer(self, server: str, statement: Statement) -> Sequence[Row]:
        if statement.sql.startswith("BEGIN"):
            self.asked.append(server)
            if server in self.refusing:
                raise REFUSED
        if statement is WHERE:
            return [(server,)]
        return [("e7", 40)] if "shop.mark" in statement.sql else []

    async def where(self, looks: int = 0) -> str:
        """Which server is read at by who has looked so often."""
        mark, [[(server,)]] = await self.sessions.look(looks, [WHERE])
        self.assertEqual(mark, Mark(40, "e7"))
        return str(server)

    def opened(self) -> list[str]:
        return [each.server for each in self.servers.opened]

    async def test_a_session_is_used_again(self) -> None:
        self.assertEqual([await self.where() for _ in range(3)], ["one"] * 3)
        self.assertEqual(self.opened(), ["one"])

    async def test_each_look_is_at_the_next_server(self) -> None:
        """Else who was shown too little would ask the same one again."""
        found = [await self.where(looks) for looks in range(4)]
        self.assertEqual(found, ["one", "two", "three", "one"])

    async def test_a_server_that_fails_is_asked_last_from_then_on(self) -> None:
        self.servers.gone.add("one")
        self.assertEqual(await self.where(), "two")
        self.servers.gone.clear()
        self.assertEqual([await self.where(looks) for looks in range(3)], ["two", "three", "one"])

    async def test_it_goes_back_by_one_place_however_many_fail_there_at_once(self) -> None:
        self.refusing.add("one")
        found = await asyncio.gather(*(self.where() for _ in range(3)))
        self.assertEqual(found, ["two"] * 3)
        self.assertEqual(self.asked, ["one"] * 3 + ["two"] * 3)
        self.assertEqual(await self.where(), "two")

    async def test_another_one_that_fails_changes_nothing(self) -> None:
        self.servers.gone.add("two")
        self.assertEqual(await self.where(1), "three")
        self.assertEqual(await self.where(), "one")

    async def test_where_none_answers_it_says_why_of_each(self) -> None:
        self.servers.gone |= {"one", "three"}
        self.refusing.add("two")
        with self.assertRaisesRegex(Unavailable, "one: one is gone; two: not now.*; three: three"):
            await self.where()

    async def test_what_has_broken_one_session_may_have_broken_all(self) -> None:
        await asyncio.gather(*(self.where() for _ in range(3)))
        self.assertEqual(self.opened(), ["one"] * 3)
        self.refusing.add("one")
        self.assertEqual(await self.where(), "two")
        self.assertEqual([each.broken for each in self.servers.opened], [True] * 3 + [False])

    async def test_one_that_broke_while_nobody_used_it_is_passed_over(self) -> None:
        await asyncio.gather(*(self.where() for _ in range(2)))
        ended = self.servers.opened[1]
        ended.broken = True
        aborted: list[bool] = []
        ended.abort = lambda: aborted.append(True)  # type: ignore[method-assign]
        self.assertEqual(await self.where(), "one")
        self.assertEqual((self.opened(), aborted), (["one"] * 2, [True]))

    async def test_a_read_that_is_given_up_leaves_no_session_to_others(self) -> None:
        reading = asyncio.create_task(self.where())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        self.assertEqual([each.broken for each in self.servers.opened], [True])
        await self.where()
        self.assertEqual(self.opened(), ["one"] * 2)

    async def test_it_ends_all_sessions(self) -> None:
        await asyncio.gather(self.where(), self.where(), self.where(1))
        await self.sessions.close()
        self.assertEqual([each.closed for each in self.servers.opened], [True] * 3)


class PlannedTest(DatabaseCase):
    async def test_what_runs_with_each_read_is_planned_once_a_session(self) -> None:
        await migrate(self.session, CatalogRows(Catalog()), CLUSTER)
        sessions = ReadSessions(servers_of(self._conninfo), "bazar_catalog")
        planned = Statement("SELECT statement FROM pg_prepared_statements")
        _, [[(statement,)]] = await sessions.look(0, [planned])
        self.assertIn("bazar_catalog.mark", statement)
        await sessions.close()
