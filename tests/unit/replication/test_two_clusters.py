"""One configuration, two arbiters: neither takes anything from the other, and one ends (A1-A3)."""

from __future__ import annotations

import unittest
from unittest import mock

from bazar.replication import file_arbiter
from bazar.replication.arbiter import Knock
from bazar.replication.cache_subscriber import FAITHFUL_LEASES, CacheSubscriber
from bazar.replication.effects import Alert, Close, Send, Stop
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.messages import (
    CACHE,
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    ArbiterId,
    Grant,
    Hello,
    Mark,
    NotPrimary,
    Welcome,
)
from bazar.replication.replica_subscriber import ReplicaSubscriber
from bazar.replication.states import Life
from tests.files import FilesTestCase
from tests.unit.replication.steps import HERE, THERE, TIMING, sent
from tests.unit.replication.test_primary import PrimaryTest, of

FEED = 1


class IdTest(FilesTestCase):
    """A1, on real directories."""

    def test_all_who_have_the_same_directory_agree(self) -> None:
        ours = FileArbiter(self.directory, "catalog").id
        (self.directory / "link").symlink_to(self.directory)
        again = FileArbiter(self.directory / "link", "catalog").id
        self.assertEqual(ours, again)
        self.assertIn(str(self.directory), ours.place)

    def test_a_copy_in_its_place_is_another(self) -> None:
        before = self.directory / "data"
        before.mkdir()
        ours = FileArbiter(before, "catalog").id
        before.rename(self.directory / "old")
        before.mkdir()
        self.assertNotEqual(FileArbiter(before, "catalog").id, ours)
        self.assertEqual(FileArbiter(self.directory / "old", "catalog").id, ours)

    def test_a_clone_of_the_machine_is_another(self) -> None:
        ours = FileArbiter(self.directory, "catalog").id
        with mock.patch.object(file_arbiter, "this_machine", lambda: ("booted again", "clone")):
            self.assertNotEqual(FileArbiter(self.directory, "catalog").id, ours)

    def test_a_machine_without_a_boot_id_has_its_name(self) -> None:
        with mock.patch.object(file_arbiter, "BOOT", self.directory / "no such file"):
            machine, host = file_arbiter.this_machine()
        self.assertEqual(machine, host)


class PrimaryOfTwoTest(PrimaryTest):
    def hello_from(self, arbiter: ArbiterId | None, kind: str = REPLICA, epoch: int = 1) -> Hello:
        mark = self.committed
        return Hello(WIRE_VERSION, kind, "r-3", "run", "s3", epoch, mark, mark, "", arbiter)

    def test_a2_a_feed_from_another_is_refused_and_an_operator_told_once(self) -> None:
        for kind in (REPLICA, CACHE):
            primary = self.lead()
            for times in (1, 0):
                effects = primary.receive(7, self.hello_from(THERE, kind), 2.0)
                self.assertEqual(sent(effects, 7), [NotPrimary(2, None, HERE)])
                self.assertEqual(len(of(effects, Close)), 1)
                self.assertEqual(len(of(effects, Alert)), times)
            self.assertEqual(primary.feeds, {})

    def test_a2_a_higher_epoch_of_another_is_none_of_ours(self) -> None:
        primary = self.lead()
        effects = primary.receive(7, self.hello_from(THERE, epoch=9), 2.0)
        self.assertEqual(of(effects, Stop), [])
        self.assertFalse(primary.stopped)

    def test_a2_both_places_are_told(self) -> None:
        [alert] = of(self.lead().receive(7, self.hello_from(THERE), 2.0), Alert)
        for part in (HERE.place, THERE.place, "r-1", "r-3"):
            self.assertIn(part, str(alert))

    def test_a3_of_two_primaries_exactly_one_goes_on(self) -> None:
        for others in (2, 3, 4):
            one, two = self.lead(), self.lead()
            two.arbiter, two.committed = THERE, Mark(others, "else")
            knock, answer = one.knock(), two.knock()
            effects = [*one.meet(answer), *two.meet(knock)]
            self.assertEqual((len(of(effects, Stop)), len(of(effects, Alert))), (1, 1))
            self.assertNotEqual(one.stopped, two.stopped)
            if others != one.committed.seq:
                self.assertEqual(one.stopped, one.committed.seq < others)

    def test_a3_what_was_said_long_ago_stops_no_longer_log(self) -> None:
        """Or both might stop, each for what it had when it asked."""
        primary = self.lead()
        self.assertEqual(of(primary.meet(Knock("r-2", THERE, 2)), Stop), [])
        primary.committed = Mark(5, "five")
        self.assertEqual(primary.meet(Knock("r-2", THERE, 4)), [])
        self.assertEqual(len(of(primary.meet(Knock("r-2", THERE, 6)), Stop)), 1)

    def test_a3_who_does_not_lead_stops_nobody(self) -> None:
        primary = self.lead()
        effects = primary.meet(Knock("r-2", THERE, None))
        self.assertEqual(len(of(effects, Alert)), 1)
        self.assertFalse(primary.stopped)

    def test_a3_one_of_its_own_is_no_stranger(self) -> None:
        primary = self.lead()
        self.assertEqual(primary.meet(Knock("r-2", HERE, 99)), [])

    def test_a3_what_has_stopped_leads_nothing(self) -> None:
        primary = self.lead()
        self.assertEqual(primary.knock(), Knock("r-1", HERE, 3))
        primary.life = Life.STOPPED
        self.assertIsNone(primary.knock().leads)
        self.assertEqual(primary.meet(Knock("r-2", THERE, 2)), [])


class FollowerOfTwoTest(unittest.TestCase):
    def setUp(self) -> None:
        self.replica = ReplicaSubscriber("r-2", "s2", "run", 1, "", TIMING, GENESIS, (), HERE)
        [hello, _] = self.replica.connected(FEED, 0.0)
        assert isinstance(hello, Send)
        self.hello = hello.message

    def test_a1_its_hello_names_its_arbiter(self) -> None:
        assert isinstance(self.hello, Hello)
        self.assertEqual(self.hello.arbiter, HERE)

    def test_a2_it_stops_and_says_where_both_are(self) -> None:
        for answer in (
            Welcome(9, GENESIS, GENESIS, False, "e", THERE),
            NotPrimary(1, None, THERE),
        ):
            self.setUp()
            effects = self.replica.receive(FEED, answer, 0.1)
            [stop] = of(effects, Stop)
            for part in (HERE.place, THERE.place, "r-2"):
                self.assertIn(part, str(stop))
            self.assertFalse(self.replica.welcomed)
            self.assertEqual(self.replica.epoch, 1)

    def test_a2_its_own_is_followed(self) -> None:
        self.replica.receive(FEED, Welcome(1, GENESIS, GENESIS, False, "e", HERE), 0.1)
        self.assertTrue(self.replica.welcomed)


class CacheOfTwoTest(unittest.TestCase):
    """It is granted a lease at 0.1 under HERE, which is over at 1.0."""

    def setUp(self) -> None:
        self.cache = CacheSubscriber("f-1", "run", TIMING)
        self.cache.connected(FEED, 0.0)
        self.assertTrue(self.welcomed(HERE, 0.1))
        self.cache.receive(FEED, Grant(1, 1, 1.0), 0.1)
        self.cache.disconnected(FEED)

    def welcomed(self, arbiter: ArbiterId, now: float) -> bool:
        self.cache.receive(FEED, Welcome(1, GENESIS, GENESIS, False, "e", arbiter), now)
        return self.cache.welcomed

    def test_a2_it_stays_with_the_one_that_granted_it_leases(self) -> None:
        self.cache.connected(FEED, FAITHFUL_LEASES + 0.9)
        self.assertFalse(self.welcomed(THERE, FAITHFUL_LEASES + 0.9))
        self.assertTrue(self.cache.lease_valid(0.5))

    def test_a2_it_takes_another_when_that_one_has_been_gone_for_long(self) -> None:
        self.cache.connected(FEED, FAITHFUL_LEASES + 1.0)
        self.assertTrue(self.welcomed(THERE, FAITHFUL_LEASES + 1.0))

    def test_a2_its_own_is_always_welcome(self) -> None:
        self.cache.connected(FEED, 2.0)
        self.assertTrue(self.welcomed(HERE, 2.0))
