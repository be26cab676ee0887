"""What is told of a database's servers, by what each of them says."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Sequence

from storage.postgresql.session import Row, Statement
from storage.postgresql.standbys import AGAIN_S, ServerStanding, Standbys
from tests.patience import until
from tests.unit.storage.postgresql.scripted import REFUSED, ScriptedServers


class StandbysTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.says: dict[
            str, Row
        ] = {  # whether it is in recovery, where it is, and for whom it waits
            "one": (False, 100, "two"),
            "two": (True, 70, ""),
            "three": (True, 100, ""),
        }
        self.servers = ScriptedServers([*self.says], self.answer)
        self.standbys = Standbys(self.servers, lambda: self.now)

    def answer(self, server: str, statement: Statement) -> Sequence[Row]:
        self.asked.append(server)
        if server not in self.says:
            raise REFUSED
        return [self.says[server]]

    async def lags(self) -> list[int | None]:
        return [one.lag for one in await self.standbys.look()]

    async def test_each_is_told_as_it_stands_to_the_one_that_takes_writes(self) -> None:
        self.assertEqual(
            await self.standbys.look(),
            [
                ServerStanding("one", True, 0, "two"),
                ServerStanding("two", False, 30),
                ServerStanding("three", False, 0),
            ],
        )

    async def test_one_that_has_gone_on_since_the_other_was_asked_is_not_behind(self) -> None:
        self.says["two"] = (True, 120, "")
        self.assertEqual(await self.lags(), [0, 0, 0])

    async def test_of_two_that_take_writes_one_is_behind(self) -> None:
        """As while one of them was deposed, and does not know."""
        self.says["two"] = (False, 70, "")
        self.assertEqual(await self.lags(), [0, 30, 0])

    async def test_one_that_does_not_answer_is_told_so_and_takes_no_writes(self) -> None:
        self.servers.gone.add("two")
        del self.says["three"]
        one, *others = await self.standbys.look()
        self.assertEqual((one.writes, one.lag), (True, 0))
        self.assertEqual([(each.writes, each.lag) for each in others], [(False, None)] * 2)
        self.assertEqual([each.trouble for each in others], ["two is gone", str(REFUSED)])
        self.assertEqual([each.plain()["answers"] for each in (one, *others)], [True, False, False])

    async def test_nobody_knows_how_far_behind_they_are_where_none_takes_writes(self) -> None:
        self.servers.gone.add("one")
        self.assertEqual(await self.lags(), [None, None, None])

    async def test_a_session_is_kept_until_it_breaks(self) -> None:
        for _ in range(2):
            await self.standbys.look()
        self.assertEqual([each.server for each in self.servers.opened], ["one", "two", "three"])
        self.servers.opened[1].broken = True
        self.assertEqual(await self.lags(), [0, 30, 0])
        self.assertEqual([each.server for each in self.servers.opened[3:]], ["two"])

    async def test_what_was_seen_is_shown_and_looked_at_again_after_a_while(self) -> None:
        self.assertEqual(self.standbys.seen(), ())
        self.standbys.seen()  # it looks already
        await until(self.standbys.seen, "it has looked")
        self.assertEqual(len(self.asked), 3)
        self.says["two"] = (True, 90, "")
        self.now = AGAIN_S
        self.assertEqual([one.lag for one in self.standbys.seen()], [0, 30, 0])
        await until(lambda: self.standbys.seen()[1].lag == 10, "it has looked again")
        self.assertEqual(len(self.asked), 6)
        self.now = 3 * AGAIN_S
        self.standbys.seen()
        await until(lambda: self.standbys.seen() and len(self.asked) == 9, "and again")

    async def test_it_ends_all_sessions_and_the_look_that_is_under_way(self) -> None:
        await self.standbys.look()
        self.standbys.seen()
        await self.standbys.close()
        self.assertEqual(asyncio.all_tasks(), {asyncio.current_task()})
        self.assertEqual([each.closed for each in self.servers.opened], [True] * 3)
        self.assertEqual(len(self.asked), 3)

    async def test_one_that_never_looked_ends_too(self) -> None:
        await self.standbys.close()
        self.assertEqual(self.servers.opened, [])
