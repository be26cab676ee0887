"""A follower by its rules: small direct steps. The simulation does the rest."""

from __future__ import annotations

import unittest
from collections.abc import Sequence

from bazar.errors import Unavailable
from bazar.replication.effects import Apply, Close, Effect, Install, Persist, Send
from bazar.replication.messages import (
    GENESIS,
    Ack,
    Commit,
    Grant,
    Hello,
    Mark,
    NotPrimary,
    Prepare,
    Release,
    Renew,
    Revoke,
    Snapshot,
    Tail,
    Welcome,
)
from bazar.replication.replica_subscriber import ReplicaSubscriber
from bazar.replication.subscriber import QUESTIONS_KEPT
from tests.unit.replication.steps import HERE, TIMING, log, sent

EPOCH_ID = "e1"
FEED = 1


class ReplicaTest(unittest.TestCase):
    def setUp(self) -> None:
        self.log = log(GENESIS, "a", "b", "c")

    def replica(self, committed: int = 0, pending: int = 0, epoch: int = 1) -> ReplicaSubscriber:
        mark = self.log[committed - 1].mark if committed else GENESIS
        behind = self.log[committed : committed + pending]
        return ReplicaSubscriber("r-2", "store", "run", epoch, "", TIMING, mark, behind, HERE)

    def welcomed(self, replica: ReplicaSubscriber, tail: Mark | None = None) -> ReplicaSubscriber:
        replica.connected(FEED, 0.0)
        tail = tail or replica.last
        replica.receive(FEED, Welcome(1, tail, replica.committed, False, EPOCH_ID, HERE), 0.0)
        return replica

    def granted(self, replica: ReplicaSubscriber, at: float = 0.0) -> ReplicaSubscriber:
        replica.connected(FEED, at)
        replica.receive(
            FEED, Welcome(1, replica.last, replica.committed, False, EPOCH_ID, HERE), at
        )
        replica.receive(FEED, Grant(1, 1, 1.0), at)
        return replica

    def store(self, replica: ReplicaSubscriber, effects: Sequence[Effect]) -> list[Effect]:
        """The disk has done what was asked."""
        more: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Persist | Apply | Install):
                more += replica.stored(effect, 0.0)
        return more

    def test_j1_hello_tells_where_it_stands(self) -> None:
        replica = self.replica(committed=1, pending=2)
        hello, renew = sent(replica.connected(FEED, 0.0))
        assert isinstance(hello, Hello)
        self.assertEqual((hello.committed, hello.last), (self.log[0].mark, self.log[2].mark))
        self.assertEqual((hello.node, hello.store, hello.run), ("r-2", "store", "run"))
        self.assertIsInstance(renew, Renew)

    def test_l1_one_without_a_feed_asks_nobody_for_a_lease(self) -> None:
        replica = self.replica()
        self.assertEqual(replica.tick(0.0), [])
        self.granted(replica)
        replica.disconnected(FEED)
        self.assertEqual(replica.tick(10.0), [])

    def test_h4_another_epoch_is_another_primary(self) -> None:
        """Even where its number is the same, or lower: the files were put back."""
        for epoch, name, stays in ((1, EPOCH_ID, True), (1, "x", False), (0, "x", False)):
            replica = self.welcomed(self.replica())
            replica.receive(FEED, Grant(1, 1, 1.0), 0.1)
            self.assertTrue(replica.lease_valid(0.2))
            replica.connected(2, 0.2)
            replica.receive(
                2, Welcome(epoch, replica.last, replica.committed, False, name, HERE), 0.2
            )
            self.assertEqual(replica.lease_valid(0.2), stays)
            [hello, _] = sent(replica.connected(3, 0.3))
            assert isinstance(hello, Hello)
            self.assertEqual((hello.epoch, hello.epoch_id), (epoch, name))

    def test_j1_what_a_replaced_feed_brings_is_not_processed(self) -> None:
        replica = self.welcomed(self.replica())
        replica.connected(2, 0.0)
        self.assertEqual(replica.receive(FEED, Prepare(self.log), 0.0), [])
        self.assertEqual(replica.pending, [])

    def test_j1_one_that_is_not_primary_says_who_is(self) -> None:
        replica = self.replica()
        replica.connected(FEED, 0.0)
        [effect] = replica.receive(FEED, NotPrimary(1, "r-1", HERE), 0.0)
        self.assertIsInstance(effect, Close)
        self.assertEqual(replica.hint, "r-1")
        self.assertFalse(replica.welcomed)

    def test_j1_a_hint_of_an_epoch_that_is_over_is_none(self) -> None:
        replica = self.replica(epoch=5)
        replica.connected(FEED, 0.0)
        replica.receive(FEED, NotPrimary(4, "r-1", HERE), 0.0)
        self.assertIsNone(replica.hint)

    def test_j1_who_refuses_later_is_no_primary_any_more(self) -> None:
        replica = self.welcomed(self.replica())
        replica.receive(FEED, Commit(Mark(9, "else")), 0.0)
        self.assertFalse(replica.welcomed)

    def test_j1_a_hello_waits_for_what_the_last_feed_left_to_the_disk(self) -> None:
        """It would name a state that is about to change."""
        replica = self.welcomed(self.replica())
        [persist] = replica.receive(FEED, Prepare(self.log), 0.0)
        replica.disconnected(FEED)
        self.assertEqual(replica.connected(2, 0.1), [])
        [hello, _] = sent(self.store(replica, [persist]))
        assert isinstance(hello, Hello)
        self.assertEqual(hello.last, self.log[2].mark)

    def test_j1_a_hello_waits_for_all_of_it(self) -> None:
        replica = self.welcomed(self.replica())
        [first] = replica.receive(FEED, Prepare(self.log[:2]), 0.0)
        [second] = replica.receive(FEED, Prepare(self.log[2:]), 0.0)
        self.assertEqual(replica.connected(2, 0.1), [])
        self.assertEqual(self.store(replica, [first]), [])
        self.assertEqual(len(sent(self.store(replica, [second]), 2)), 2)

    def test_j1_what_an_earlier_feed_was_owed_is_acknowledged_to_no_other(self) -> None:
        """The next primary may have another log: it is told how far that agrees."""
        replica = self.welcomed(self.replica())
        [persist] = replica.receive(FEED, Prepare(self.log), 0.0)
        replica.connected(2, 0.1)
        self.store(replica, [persist])
        replica.receive(2, Welcome(1, replica.last, GENESIS, False, EPOCH_ID, HERE), 0.2)
        apply = replica.receive(2, Commit(self.log[0].mark), 0.2)
        self.assertEqual(self.store(replica, apply), [])

    def test_j1_the_end_of_an_earlier_feed_ends_no_other(self) -> None:
        replica = self.replica()
        self.assertFalse(replica.welcomed)
        replica.connected(FEED, 0.0)
        replica.connected(2, 0.1)
        replica.disconnected(FEED)
        replica.receive(2, Welcome(1, replica.last, GENESIS, False, EPOCH_ID, HERE), 0.2)
        self.assertTrue(replica.welcomed)

    def test_j1_without_a_connection_nothing_is_said(self) -> None:
        replica = self.welcomed(self.replica())
        [persist] = replica.receive(FEED, Prepare(self.log), 0.0)
        replica.disconnected(FEED)
        self.assertEqual(self.store(replica, [persist]), [])
        replica = self.welcomed(self.replica())
        [persist] = replica.receive(FEED, Prepare(self.log), 0.0)
        replica.connected(2, 0.1)
        replica.disconnected(2)
        self.assertEqual(self.store(replica, [persist]), [])

    def test_r2_it_acknowledges_what_is_durable_and_not_before(self) -> None:
        replica = self.welcomed(self.replica())
        effects = replica.receive(FEED, Prepare(self.log), 0.0)
        self.assertEqual(effects, [Persist(GENESIS, self.log)])
        self.assertEqual(sent(self.store(replica, effects)), [Ack(self.log[2].mark)])

    def test_r2_what_it_is_sent_again_is_not_durable_for_that(self) -> None:
        replica = self.welcomed(self.replica())
        first = replica.receive(FEED, Prepare(self.log[:2]), 0.0)
        second = replica.receive(FEED, Prepare(self.log[2:]), 0.0)
        self.assertEqual(replica.receive(FEED, Prepare(self.log[:2]), 0.0), [])
        self.assertEqual(sent(self.store(replica, first)), [Ack(self.log[1].mark)])
        self.assertEqual(sent(self.store(replica, second)), [])  # it is acknowledged already

    def test_r2_one_acknowledgement_each(self) -> None:
        replica = self.welcomed(self.replica())
        self.store(replica, replica.receive(FEED, Prepare(self.log), 0.0))
        effects = replica.receive(FEED, Commit(self.log[2].mark), 0.0)
        self.assertEqual(self.store(replica, effects), [])

    def test_r2_it_tells_how_far_its_log_agrees_when_it_is_sent_nothing(self) -> None:
        replica = self.welcomed(self.replica(committed=1, pending=2))
        effects = replica.receive(FEED, Prepare(()), 0.0)
        self.assertEqual(effects, [Send(FEED, Ack(self.log[0].mark))])

    def test_r2_entries_behind_what_is_applied_are_taken(self) -> None:
        for pending in (0, 1):
            replica = self.welcomed(self.replica(committed=1, pending=pending))
            effects = replica.receive(FEED, Prepare(self.log[1:]), 0.0)
            after = self.log[pending].mark
            self.assertEqual(effects, [Persist(after, self.log[1 + pending :])])

    def test_r2_what_is_applied_already_ends_the_feed(self) -> None:
        for committed in (1, 3):
            replica = self.welcomed(self.replica(committed))
            [effect] = replica.receive(FEED, Prepare(self.log[:1]), 0.0)
            self.assertIsInstance(effect, Close)

    def test_r2_keys_are_dirty_on_receipt(self) -> None:
        replica = self.granted(self.replica())
        replica.receive(FEED, Prepare(self.log[:2]), 0.0)
        self.assertEqual(replica.read(frozenset({"b"}), 0.1), 2)
        self.assertEqual(replica.read(frozenset({"z"}), 0.1), 0)
        self.assertEqual(replica.read(None, 0.1), 2)

    def test_r2_an_entry_must_extend_the_digest_before_it(self) -> None:
        for entries in (self.log[1:], log(Mark(0, "else"), "a"), log(Mark(7, ""), "h")):
            replica = self.welcomed(self.replica())
            [effect] = replica.receive(FEED, Prepare(entries), 0.0)
            self.assertIsInstance(effect, Close)
            self.assertEqual(replica.pending, [])

    def test_r6_commit_applies_what_is_on_its_log(self) -> None:
        replica = self.welcomed(self.replica(pending=3))
        effects = replica.receive(FEED, Commit(self.log[1].mark), 0.0)
        self.assertEqual(effects, [Apply(self.log[1].mark)])
        self.assertEqual(replica.committed, GENESIS)  # not yet on disk
        self.store(replica, effects)
        self.assertEqual(replica.committed, self.log[1].mark)
        self.assertEqual(replica.pending, [self.log[2]])

    def test_r6_a_digest_that_does_not_match_means_hello_anew(self) -> None:
        for mark in (Mark(1, "else"), Mark(2, "else"), Mark(9, self.log[1].digest), GENESIS):
            replica = self.welcomed(self.replica(committed=1, pending=2))
            [effect] = replica.receive(FEED, Commit(mark), 0.0)
            self.assertIsInstance(effect, Close)

    def test_r6_what_is_applied_is_not_applied_again(self) -> None:
        replica = self.welcomed(self.replica(committed=1, pending=2))
        self.assertEqual(replica.receive(FEED, Commit(self.log[0].mark), 0.0), [])

    def test_r6_an_older_commit_takes_nothing_back(self) -> None:
        replica = self.welcomed(self.replica(pending=3))
        for mark in (self.log[1].mark, self.log[0].mark):  # before the disk is done with either
            effects = replica.receive(FEED, Commit(mark), 0.0)
            self.assertEqual(effects, [Apply(mark)])
        self.store(replica, [Apply(self.log[1].mark), Apply(self.log[0].mark)])
        self.assertEqual((replica.committed, replica.pending), (self.log[1].mark, [self.log[2]]))

    def test_r6_it_counts_only_after_the_welcome(self) -> None:
        replica = self.replica(pending=3)
        replica.connected(FEED, 0.0)
        [effect] = replica.receive(FEED, Commit(self.log[1].mark), 0.0)
        self.assertIsInstance(effect, Close)

    def test_l1_a_lease_counts_from_when_it_was_asked_for(self) -> None:
        replica = self.replica()
        replica.connected(FEED, 10.0)
        replica.receive(FEED, Welcome(1, GENESIS, GENESIS, False, EPOCH_ID, HERE), 10.7)
        replica.receive(FEED, Grant(1, 1, 1.0), 10.8)
        self.assertTrue(replica.lease_valid(10.999))
        self.assertFalse(replica.lease_valid(11.0))

    def test_l1_a_grant_of_another_epoch_or_question_renews_nothing(self) -> None:
        for grant in (Grant(2, 1, 1.0), Grant(0, 1, 1.0), Grant(1, 7, 1.0)):
            replica = self.welcomed(self.replica())
            replica.receive(FEED, grant, 0.1)
            self.assertFalse(replica.lease_valid(0.2), grant)

    def test_l1_it_renews_every_third_with_a_number_never_used_twice(self) -> None:
        replica = self.granted(self.replica())
        self.assertEqual(replica.tick(0.3), [])
        numbers = {1}
        for third in range(1, 6):
            [renew] = sent(replica.tick(third * 0.34))
            assert isinstance(renew, Renew)
            self.assertNotIn(renew.number, numbers)
            numbers.add(renew.number)

    def test_l1_it_renews_every_third_of_what_it_was_granted(self) -> None:
        """Configurations may disagree about how long a lease is."""
        replica = self.welcomed(self.replica())
        replica.receive(FEED, Grant(1, 1, 3 * TIMING.lease_s), 0.1)
        self.assertEqual(sent(replica.tick(0.5)), [Renew(2)])
        self.assertEqual(replica.tick(1.25), [])
        self.assertEqual(sent(replica.tick(1.5)), [Renew(3)])

    def test_l1_only_the_last_questions_can_be_answered(self) -> None:
        """What is kept of them is bounded, however long a primary is silent."""
        replica = self.welcomed(self.replica())
        for number in range(2, QUESTIONS_KEPT + 2):
            self.assertEqual(sent(replica.tick(float(number))), [Renew(number)])
        replica.receive(FEED, Grant(1, 1, 100.0), 10.0)
        self.assertFalse(replica.lease_valid(10.0))
        replica.receive(FEED, Grant(1, 2, 100.0), 10.0)
        self.assertTrue(replica.lease_valid(10.0))

    def test_l3_who_has_released_asks_for_nothing_until_its_next_hello(self) -> None:
        replica = self.granted(self.replica())
        replica.receive(FEED, Revoke(), 0.1)
        self.assertEqual(replica.tick(5.0), [])
        self.assertIsInstance(sent(replica.connected(2, 6.0))[1], Renew)

    def test_l4_it_has_followed_once_it_was_granted_a_lease(self) -> None:
        replica = self.welcomed(self.replica())
        self.assertFalse(replica.followed)
        replica.receive(FEED, Grant(0, 1, 1.0), 0.1)
        self.assertFalse(replica.followed)
        self.assertTrue(self.granted(self.replica()).followed)

    def test_l2_no_read_without_a_lease(self) -> None:
        replica = self.granted(self.replica(committed=3))
        self.assertEqual(replica.read(frozenset({"a"}), 0.999), 0)
        with self.assertRaises(Unavailable):
            replica.read(frozenset({"a"}), 1.0)

    def test_l3_a_closed_connection_ends_no_lease_and_a_release_does(self) -> None:
        replica = self.granted(self.replica())
        replica.disconnected(FEED)
        self.assertTrue(replica.lease_valid(0.5))
        self.assertFalse(replica.welcomed)
        self.welcomed(replica)  # by the same primary
        self.assertTrue(replica.lease_valid(0.5))
        replica = self.granted(self.replica())
        self.assertEqual(sent(replica.tick(0.4)), [Renew(2)])
        self.assertEqual(sent(replica.receive(FEED, Revoke(), 0.5)), [Release()])
        self.assertFalse(replica.lease_valid(0.5))
        replica.receive(FEED, Grant(1, 2, 1.0), 0.6)  # was under way
        self.assertFalse(replica.lease_valid(0.6))

    def test_l3_one_without_a_feed_releases_to_nobody(self) -> None:
        replica = self.granted(self.replica())
        replica.disconnected(FEED)
        self.assertEqual(replica.release(), [])
        self.assertFalse(replica.lease_valid(0.5))

    def test_j2_where_an_entry_meets_another_epoch_its_own_go(self) -> None:
        theirs = log(self.log[0].mark, "x", epoch=2)
        replica = self.replica(pending=3)
        replica.connected(FEED, 0.0)
        welcome = Welcome(2, theirs[-1].mark, GENESIS, False, EPOCH_ID, HERE)
        effects = replica.receive(FEED, welcome, 0.0)
        self.assertEqual(effects, [Persist(self.log[1].mark, ())])  # beyond the primary's tail
        self.store(replica, effects)
        effects = replica.receive(FEED, Prepare((self.log[0], *theirs)), 0.0)
        self.assertEqual(effects, [Persist(self.log[0].mark, theirs)])
        self.assertEqual(sent(self.store(replica, effects)), [Ack(theirs[-1].mark)])
        self.assertEqual(replica.pending, [self.log[0], *theirs])

    def test_j2_all_of_its_own_goes_behind_where_they_part(self) -> None:
        theirs = log(self.log[0].mark, "x", "y", epoch=2)
        replica = self.welcomed(self.replica(pending=3), theirs[-1].mark)
        effects = replica.receive(FEED, Prepare((self.log[0], *theirs)), 0.0)
        self.assertEqual(effects, [Persist(self.log[0].mark, theirs)])
        self.assertEqual(replica.pending, [self.log[0], *theirs])

    def test_j2_what_was_replaced_on_its_way_to_the_disk_is_not_acknowledged(self) -> None:
        theirs = log(self.log[0].mark, "x", epoch=2)
        replica = self.welcomed(self.replica())
        first = replica.receive(FEED, Prepare(self.log), 0.0)
        second = replica.receive(FEED, Prepare(theirs), 0.0)
        self.assertEqual(second, [Persist(self.log[0].mark, theirs)])
        self.assertEqual(self.store(replica, first), [])
        self.assertEqual(sent(self.store(replica, second)), [Ack(theirs[-1].mark)])

    def test_j2_what_it_has_already_is_acknowledged_at_once(self) -> None:
        replica = self.welcomed(self.replica(pending=3))
        effects = replica.receive(FEED, Prepare(self.log), 0.0)
        self.assertEqual(effects, [Send(FEED, Ack(self.log[2].mark))])

    def test_t3_a_longer_tail_is_offered_while_the_primary_adopts(self) -> None:
        replica = self.replica(pending=3)
        replica.connected(FEED, 0.0)
        effects = replica.receive(
            FEED, Welcome(2, self.log[0].mark, GENESIS, True, EPOCH_ID, HERE), 0.0
        )
        self.assertEqual(effects, [Send(FEED, Tail(self.log[1:]))])
        self.assertEqual(len(replica.pending), 3)

    def test_t3_no_tail_is_offered_to_a_log_that_is_not_ours(self) -> None:
        replica = self.replica(pending=3)
        replica.connected(FEED, 0.0)
        welcome = Welcome(2, Mark(1, "else"), GENESIS, True, EPOCH_ID, HERE)
        self.assertEqual(replica.receive(FEED, welcome, 0.0), [])

    def test_j3_a_snapshot_replaces_everything_with_its_final_chunk(self) -> None:
        replica = self.granted(self.replica(pending=3))
        mark = Mark(50, "fifty")
        effects = replica.receive(FEED, Snapshot(mark, {}, True, False), 0.1)
        self.assertEqual(sent(self.store(replica, effects)), [])
        self.assertEqual((replica.committed, len(replica.pending)), (GENESIS, 3))
        effects = replica.receive(FEED, Snapshot(mark, {}, False, True), 0.1)
        self.assertEqual(sent(self.store(replica, effects)), [Ack(mark)])
        self.assertEqual((replica.committed, replica.pending), (mark, []))
