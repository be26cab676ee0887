"""Peers that are asked under which arbiter they are (A3)."""

from __future__ import annotations

import unittest

from bazar.config import NodeConfig
from bazar.errors import BazarError, FatalError, OtherToken, Unavailable
from bazar.replication.arbiter import Knock
from bazar.replication.effects import Effect, Stop
from bazar.replication.knocking import BEGINNING_S, Knocking
from bazar.replication.messages import GENESIS, REPLICA, WIRE_VERSION, Hello
from bazar.replication.store import Answer
from tests.unit.replication.steps import HERE, THERE, lone_primary
from tests.world.lab import Lab
from tests.world.world import Process

PEERS = (NodeConfig("r-2", "catalog", 8002), NodeConfig("r-3", "catalog", 8003))


class KnockingTest(unittest.IsolatedAsyncioTestCase):
    """A3, of a node that is about to lead."""

    async def alone(self, *answers: Knock | BazarError) -> None:
        """Raise FatalError unless these answers of its peers leave it alone."""
        said = dict(zip((peer.name for peer in PEERS), answers, strict=True))

        async def ask(peer: NodeConfig, ours: Answer) -> Answer:
            self.assertEqual(Knock.load(ours), Knock("r-1", HERE, None))
            answer = said[peer.name]
            if isinstance(answer, BazarError):
                raise answer
            return answer.plain()

        await Knocking("r-1", HERE, PEERS, ask).must_be_alone(founding=False)

    async def test_peers_of_its_own_or_out_of_reach_are_no_other_cluster(self) -> None:
        await self.alone(Knock("r-2", HERE, None), Unavailable("not there"))

    async def test_one_under_another_arbiter_is(self) -> None:
        with self.assertRaisesRegex(FatalError, THERE.place):
            await self.alone(Unavailable("not there"), Knock("r-3", THERE, 7))

    async def test_one_with_another_token_is(self) -> None:
        with self.assertRaisesRegex(FatalError, "r-3.* another token at http://127.0.0.1:8003"):
            await self.alone(Unavailable("not there"), OtherToken("r-3 does not know our token"))


class Turns(unittest.TestCase):
    """When which peer is asked, by a clock of the test's own. From `listens` on a peer answers."""

    def setUp(self) -> None:
        self.lab = self.enterContext(Lab())
        self.asked: list[tuple[float, str]] = []
        self.listens = {"r-2": 0.0, "r-3": 0.0}
        self.home = {"r-2": HERE, "r-3": HERE}

    async def ask(self, peer: NodeConfig, ours: Answer) -> Answer:
        self.asked.append((round(self.lab.now, 2), peer.name))
        if self.lab.now < self.listens[peer.name]:
            raise Unavailable("not there")
        return Knock(peer.name, self.home[peer.name], 7).plain()


class TurnsTest(Turns):
    """A3, of a node that is about to lead."""

    def begin(self, *, founding: bool) -> list[str]:
        """Return why the node may not lead."""
        failed: list[str] = []

        async def alone(process: Process) -> None:
            try:
                await Knocking("r-1", HERE, PEERS, self.ask).must_be_alone(founding)
            except FatalError as error:
                failed.append(str(error))
            self.lab.note(f"{self.lab.now:.2f}")

        self.lab.start(alone)
        self.lab.run(10.0)
        return failed

    def test_who_begins_anew_asks_those_again_that_did_not_listen_yet(self) -> None:
        self.listens["r-3"], self.home["r-3"] = 0.9 * BEGINNING_S, THERE
        [failed] = self.begin(founding=True)
        self.assertIn(THERE.place, failed)
        self.assertEqual(self.asked, [(0.0, "r-2"), (0.0, "r-3"), (BEGINNING_S, "r-3")])

    def test_but_once_only(self) -> None:
        self.listens["r-3"] = 99.0
        self.assertEqual(self.begin(founding=True), [])
        self.assertEqual(self.asked[2:], [(BEGINNING_S, "r-3")])

    def test_who_has_heard_all_does_not_wait(self) -> None:
        self.assertEqual(self.begin(founding=True), [])
        self.assertEqual((self.asked, self.lab.notes), ([(0.0, "r-2"), (0.0, "r-3")], ["0.00"]))

    def test_who_takes_over_asks_once(self) -> None:
        """Whoever led before it has been there for long."""
        self.listens["r-3"] = 0.1
        self.assertEqual(self.begin(founding=False), [])
        self.assertEqual((self.asked, self.lab.notes), ([(0.0, "r-2"), (0.0, "r-3")], ["0.00"]))


class LookingTest(Turns):
    """A3, of a primary: `r-2` follows it."""

    def test_a_primary_asks_those_again_and_again_that_do_not_follow_it(self) -> None:
        primary = lone_primary()
        hello = Hello(WIRE_VERSION, REPLICA, "r-2", "run", "s2", 1, GENESIS, GENESIS, "")
        primary.receive(1, hello, 0.0)
        self.listens["r-3"], self.home["r-3"] = 3.0, THERE
        performed: list[Effect] = []

        async def look(process: Process) -> None:
            knocking = Knocking("r-1", HERE, PEERS, self.ask)
            await knocking.look_for_others(primary, performed.extend, 2.0)

        self.lab.start(look)
        self.lab.run(5.0)
        self.assertEqual(self.asked, [(0.0, "r-3"), (2.0, "r-3"), (4.0, "r-3")])
        [stop] = performed
        self.assertIsInstance(stop, Stop)
