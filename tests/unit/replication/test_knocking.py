"""Peers that are asked under which arbiter they are (A3)."""

from __future__ import annotations

import unittest

from bazar.config import NodeConfig
from bazar.errors import BazarError, FatalError, OtherToken, Unavailable
from bazar.replication.arbiter import Knock
from bazar.replication.knocking import Knocking
from bazar.replication.store import Answer
from tests.unit.replication.steps import HERE, THERE


class KnockingTest(unittest.IsolatedAsyncioTestCase):
    """A3, of a node that is about to lead."""

    peers = (NodeConfig("r-2", "catalog", 8002), NodeConfig("r-3", "catalog", 8003))

    async def alone(self, *answers: Knock | BazarError) -> None:
        """Raise FatalError unless these answers of its peers leave it alone."""
        said = dict(zip((peer.name for peer in self.peers), answers, strict=True))

        async def ask(peer: NodeConfig, ours: Answer) -> Answer:
            self.assertEqual(Knock.load(ours), Knock("r-1", HERE, None))
            answer = said[peer.name]
            if isinstance(answer, BazarError):
                raise answer
            return answer.plain()

        await Knocking("r-1", HERE, self.peers, ask).must_be_alone(founding=False)

    async def test_peers_of_its_own_or_out_of_reach_are_no_other_cluster(self) -> None:
        await self.alone(Knock("r-2", HERE, None), Unavailable("not there"))

    async def test_one_under_another_arbiter_is(self) -> None:
        with self.assertRaisesRegex(FatalError, THERE.place):
            await self.alone(Unavailable("not there"), Knock("r-3", THERE, 7))

    async def test_one_with_another_token_is(self) -> None:
        with self.assertRaisesRegex(FatalError, "r-3.* another token at http://127.0.0.1:8003"):
            await self.alone(Unavailable("not there"), OtherToken("r-3 does not know our token"))
