"""A primary that hands over by its rules: whom it waits for, and what it leaves."""

from __future__ import annotations

from bazar.errors import Unavailable
from bazar.replication.arbiter import Knock
from bazar.replication.effects import Apply, Confirm, Record, Send, Stop
from bazar.replication.messages import Ack, Commit, Membership, Release, Renew, Revoke
from tests.unit.replication.steps import THERE, TIMING, sent
from tests.unit.replication.test_primary import CACHE_FEED, ME, OTHER, REPLICA_FEED, PrimaryTest, of


class HandingOverTest(PrimaryTest):
    def test_t5_it_hands_over_when_every_lease_is_given_back(self) -> None:
        primary = self.ready()
        effects = primary.retire(2.1)
        for feed in (REPLICA_FEED, CACHE_FEED):
            self.assertEqual(sent(effects, feed), [Revoke()])
        self.assertEqual(of(effects, Record), [])
        self.assertFalse(primary.begin(2.1))
        self.assertEqual(primary.receive(CACHE_FEED, Renew(2), 2.1), [])
        primary.receive(CACHE_FEED, Release(), 2.1)
        [record] = of(primary.receive(REPLICA_FEED, Release(), 2.1), Record)
        assert isinstance(record, Record)
        self.assertTrue(record.membership.clean)
        self.assertEqual(record.membership.members, {ME, OTHER})
        [stop] = of(primary.recorded(2.1), Stop)
        assert isinstance(stop, Stop)
        self.assertTrue(stop.clean)
        with self.assertRaises(Unavailable):  # its successor may have committed already
            primary.read(None, 2.1)

    def test_t5_it_finishes_its_batch_first(self) -> None:
        """Who gives its lease back before it has acknowledged the batch would be passed over."""
        primary = self.ready()
        [entry] = self.propose(primary, "x", at=2.1)
        self.assertEqual(primary.retire(2.1), [])
        for feed in (REPLICA_FEED, CACHE_FEED):
            self.assertEqual(of(primary.receive(feed, Ack(entry.mark), 2.1), Send), [])
        effects = primary.stored(Apply(entry.mark), 2.1)
        for feed in (REPLICA_FEED, CACHE_FEED):
            self.assertEqual(sent(effects, feed), [Commit(entry.mark), Revoke()])

    def test_t5_it_asks_for_its_leases_once(self) -> None:
        primary = self.ready()
        self.assertEqual(len(sent(primary.retire(2.1))), 2)
        self.assertEqual(sent(primary.tick(2.2)), [])
        self.assertEqual(sent(primary.retire(2.2)), [])

    def test_t5_it_asks_those_that_have_one(self) -> None:
        primary = self.lead()
        self.far(primary, 2.0)
        [record] = primary.retire(2.0)
        self.assertIsInstance(record, Record)

    def test_t5_a_lease_that_is_not_given_back_is_waited_for(self) -> None:
        primary = self.ready()
        primary.retire(2.1)
        over = 2.0 + TIMING.counted_s(1.0)
        self.assertEqual(primary.due(2.1), over)
        self.assertEqual(primary.tick(over - 0.001), [Confirm()])
        [_, record] = primary.tick(over)
        self.assertEqual(record, Record(Membership(2, frozenset({ME, OTHER}), 1.0, clean=True)))
        self.assertEqual(primary.tick(over), [Confirm()])  # it is being recorded already

    def test_t5_leases_of_the_epoch_before_are_waited_for_too(self) -> None:
        """Or its successor would not wait for them."""
        primary = self.lead()
        self.assertEqual(primary.retire(0.5), [])
        over = TIMING.surely_over_s(1.0)
        self.assertEqual(primary.tick(over - 0.001), [Confirm()])
        self.assertEqual(len(of(primary.tick(over), Record)), 1)

    def test_t5_a_newcomer_that_is_being_recorded_is_in_the_set_that_it_leaves(self) -> None:
        primary = self.lead()
        self.far(primary, 2.0)
        self.assertEqual(len(primary.receive(REPLICA_FEED, Ack(self.committed), 2.0)), 1)
        self.assertEqual(primary.retire(2.0), [])
        [record] = of(primary.recorded(2.0), Record)
        self.assertEqual(record, Record(Membership(2, frozenset({ME, OTHER}), 1.0, clean=True)))

    def test_t5_what_has_stopped_hands_nothing_over(self) -> None:
        primary = self.lead()
        primary.meet(Knock("r-9", THERE, 99))
        self.assertEqual(primary.retire(2.0), [])
        self.assertTrue(primary.stopped)
