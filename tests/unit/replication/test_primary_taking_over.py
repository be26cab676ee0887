"""A primary that takes over by its rules: whom it waits for, and what it owes its predecessor."""

from __future__ import annotations

from bazar.errors import Unavailable
from bazar.replication.effects import (
    Apply,
    Confirm,
    LogPage,
    Record,
    SendSnapshot,
)
from bazar.replication.messages import (
    CACHE,
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Ack,
    Change,
    Grant,
    Hello,
    Mark,
    Member,
    Membership,
    Renew,
)
from bazar.replication.primary import Primary
from bazar.replication.timing import Timing
from tests.unit.replication.steps import HERE, TIMING, log, sent
from tests.unit.replication.test_primary import (
    BEGUN,
    CACHE_FEED,
    ME,
    OTHER,
    REPLICA_FEED,
    PrimaryTest,
    of,
)


class TakingOverTest(PrimaryTest):
    def test_t0_the_first_epoch_has_itself_as_its_only_member(self) -> None:
        primary, effects = Primary.take_over(
            ME, None, GENESIS, (), 5.0, TIMING, **BEGUN, restarted=True, arbiter=HERE
        )
        self.assertEqual(effects, [Record(Membership(1, frozenset({ME}), 1.0))])
        with self.assertRaises(Unavailable):
            primary.read(None, 5.0)
        self.assertFalse(primary.begin(5.0))
        primary.recorded(5.0)
        primary.confirmed(5.0)
        self.assertEqual(primary.read(None, 5.0), 0)
        self.assertTrue(primary.begin(5.0))

    def test_t2_before_its_epoch_is_on_record_it_does_nothing(self) -> None:
        """Another may have recorded one, whatever the arbiter has said when it was asked."""
        primary, _ = Primary.take_over(
            *(ME, None, GENESIS, (), 0.0, TIMING), **BEGUN, restarted=False, arbiter=HERE
        )
        primary.confirmed(0.0)
        with self.assertRaises(Unavailable):
            primary.read(None, 0.1)
        self.assertFalse(primary.begin(0.1))
        self.assertEqual(primary.tick(0.1), [])

    def test_t2_its_epoch_is_above_the_one_on_record_and_any_that_its_log_knows(self) -> None:
        for recorded, known in ((3, 7), (7, 3)):
            before = Membership(recorded, frozenset({ME}), 1.0)
            primary, _ = Primary.take_over(
                *(ME, before, self.committed, (), 0.0, TIMING),
                **{**BEGUN, "known": known},
                restarted=False,
                arbiter=HERE,
            )
            self.assertEqual(primary.epoch, 8)

    def test_t2_shorter_leases_than_its_own_are_over_earlier(self) -> None:
        """Their length is on record. After a restart that counts for nothing."""
        before = Membership(1, frozenset({ME}), 0.5)
        primary, _ = Primary.take_over(
            *(ME, before, self.committed, (), 0.0, TIMING), **BEGUN, restarted=False, arbiter=HERE
        )
        primary.recorded(0.0)
        self.assertFalse(primary.begin(0.504))
        self.assertTrue(primary.begin(0.505))
        before, timing = Membership(1, frozenset({ME}), 5.0, clean=True), Timing(lease_s=0.5)
        _, [record] = Primary.take_over(
            *(ME, before, self.committed, (), 0.0, timing), **BEGUN, restarted=False, arbiter=HERE
        )
        self.assertEqual(record, Record(Membership(2, frozenset({ME}), 0.5)))

    def test_t2_nothing_is_committed_before_old_leases_are_over(self) -> None:
        primary = self.lead()
        self.assertFalse(primary.begin(1.009))
        self.assertTrue(primary.begin(1.01))

    def test_t2_the_longest_lease_on_record_counts(self) -> None:
        before = Membership(1, frozenset({ME}), 5.0)
        primary, _ = Primary.take_over(
            ME, before, self.committed, (), 0.0, TIMING, **BEGUN, restarted=False, arbiter=HERE
        )
        primary.recorded(0.0)
        self.assertFalse(primary.begin(5.0))
        self.assertTrue(primary.begin(5.05))

    def test_t2_the_longest_lease_stays_on_record_until_it_is_over(self) -> None:
        """Should this primary die within the wait, its successor must wait for those leases."""
        for clean, at_first in ((False, 5.0), (True, 1.0)):
            before = Membership(1, frozenset({ME}), 5.0, clean)
            primary, effects = Primary.take_over(
                ME, before, self.committed, (), 0.0, TIMING, **BEGUN, restarted=False, arbiter=HERE
            )
            self.assertEqual(effects, [Record(Membership(2, frozenset({ME}), at_first))])
        for now, recorded in ((2.0, 5.0), (5.05, 1.0)):
            before = Membership(1, frozenset({ME}), 5.0)
            primary, _ = Primary.take_over(
                ME, before, self.committed, (), 0.0, TIMING, **BEGUN, restarted=False, arbiter=HERE
            )
            primary.recorded(0.0)
            primary.receive(REPLICA_FEED, self.hello(REPLICA), now)
            primary.log_read(REPLICA_FEED, LogPage(self.committed, (), end=True), now)
            effects = primary.receive(REPLICA_FEED, Ack(self.committed), now)
            record = Record(Membership(2, frozenset({ME, OTHER}), recorded))
            self.assertEqual(of(effects, Record), [record], now)

    def test_t3_pending_entries_keep_their_place_and_commit_first(self) -> None:
        pending = log(self.committed, "p", "q")
        primary = self.lead(pending=pending)
        self.assertFalse(primary.begin(1.02))
        self.assertEqual(primary.read(frozenset({"q"}), 0.5), 5)
        self.assertEqual(primary.read(frozenset({"z"}), 0.5), 0)
        self.assertEqual(of(primary.tick(1.0), Apply), [])
        [apply] = of(primary.tick(1.02), Apply)
        self.assertEqual(apply, Apply(pending[-1].mark))
        primary.stored(Apply(pending[-1].mark), 1.02)
        self.assertTrue(primary.begin(1.02))
        [entry] = primary.extend([Change(("x",), None)])
        self.assertEqual((entry.seq, entry.epoch), (6, 2))

    def test_t4_a_member_that_has_not_joined_is_removed(self) -> None:
        primary = self.lead(OTHER)
        [entry] = self.propose(primary, "x", at=1.1)
        [record] = of(self.effects, Record)
        assert isinstance(record, Record)
        self.assertEqual(record.membership.members, {ME})
        self.assertEqual(of(primary.recorded(1.1), Apply), [Apply(entry.mark)])

    def test_t5_a_successor_that_finds_clean_need_not_wait(self) -> None:
        self.assertTrue(self.lead(clean=True).begin(0.0))

    def test_t5_one_that_was_restarted_waits_as_long_as_its_own_leases(self) -> None:
        """What is on record may have been put back."""
        before = Membership(1, frozenset({ME}), 0.5, clean=True)
        primary, _ = Primary.take_over(
            ME, before, self.committed, (), 0.0, TIMING, **BEGUN, restarted=True, arbiter=HERE
        )
        primary.recorded(0.0)
        self.assertFalse(primary.begin(1.009))
        self.assertTrue(primary.begin(1.01))

    def test_t5_its_own_epoch_is_not_clean(self) -> None:
        self.assertFalse(self.lead(clean=True).membership.clean)

    def test_l4_one_that_was_restarted_waits_for_its_members(self) -> None:
        primary = self.lead(OTHER, restarted=True)
        with self.assertRaises(Unavailable):
            primary.read(None, 0.5)
        self.join_replica(primary, 0.5)
        primary.tick(0.5)
        self.assertEqual(primary.read(None, 0.5), 0)
        primary = self.lead(OTHER, restarted=True)
        primary.tick(1.02)
        primary.confirmed(1.02)
        self.assertEqual(primary.read(None, 1.02), 0)  # T2's wait is over

    def test_l4_it_grants_nothing_before_the_last_of_them_has_joined(self) -> None:
        third, at = Member("r-3", "s3"), self.committed
        primary = self.lead(OTHER, third, restarted=True)
        hello = Hello(WIRE_VERSION, REPLICA, third.node, "run", third.store, 1, at, at, "")
        primary.receive(3, hello, 0.1)
        primary.receive(3, Renew(1), 0.1)
        primary.log_read(3, LogPage(at, (), end=True), 0.1)
        self.assertEqual(primary.receive(3, Ack(at), 0.1), [])
        self.assertEqual(primary.receive(3, Renew(2), 0.2), [])
        effects = self.join_replica(primary, 0.3)
        self.assertEqual(sent(effects, 3), [Grant(2, 2, 1.0)])
        self.assertEqual(sent(effects, REPLICA_FEED), [Grant(2, 1, 1.0)])

    def test_l4_it_lets_nobody_new_in_before_that(self) -> None:
        """A member may be about to show what its disk has lost (J5)."""
        primary = self.lead(Member("r-3", "s3"), restarted=True)
        primary.receive(REPLICA_FEED, self.hello(REPLICA), 0.1)
        primary.log_read(REPLICA_FEED, LogPage(self.committed, (), end=True), 0.1)
        self.assertEqual(primary.receive(REPLICA_FEED, Ack(self.committed), 0.1), [])
        late = TIMING.surely_over_s(1.0)
        self.assertEqual(len(of(primary.tick(late), Record)), 1)

    def test_l4_of_those_that_have_said_hello_it_waits_for_members_only(self) -> None:
        late = TIMING.surely_over_s(1.0)
        for members, begins in (((), True), ((OTHER,), False)):
            primary = self.lead(*members, Member("r-3", "s3"), restarted=True)
            primary.receive(REPLICA_FEED, self.hello(REPLICA), late)  # our log is read for it
            self.assertEqual(primary.tick(late), [Confirm()])
            self.assertEqual(primary.begin(late), begins)

    def test_l4_its_wait_does_not_end_before_it_is_on_record(self) -> None:
        """Whoever says hello until then is heard, too."""
        before, late = Membership(1, frozenset({ME, OTHER}), 1.0), TIMING.surely_over_s(1.0)
        primary, _ = Primary.take_over(
            *(ME, before, self.committed, (), 0.0, TIMING), **BEGUN, restarted=True, arbiter=HERE
        )
        primary.receive(CACHE_FEED, self.hello(CACHE), late)
        primary.receive(REPLICA_FEED, self.hello(REPLICA), late)
        primary.recorded(late)
        self.assertFalse(primary.begin(late))

    def test_l4_a_member_that_has_gone_again_is_not_waited_for(self) -> None:
        primary = self.lead(OTHER, restarted=True)
        primary.receive(REPLICA_FEED, self.hello(REPLICA), 0.5)
        primary.disconnected(REPLICA_FEED, 0.6)  # before our log was read for it
        primary.tick(1.02)
        primary.confirmed(1.02)
        self.assertEqual(primary.read(None, 1.02), 0)

    def test_l4_while_a_member_is_heard_nothing_pending_is_committed(self) -> None:
        """It may be about to show that our disk has lost what it acknowledged (J5)."""
        primary = self.lead(OTHER, pending=log(self.committed, "p"), restarted=True)
        primary.receive(REPLICA_FEED, self.hello(REPLICA), 1.0)
        self.assertEqual(primary.tick(1.02), [Confirm()])
        primary.log_read(REPLICA_FEED, LogPage(self.committed, (), end=True), 1.02)
        self.assertEqual(len(of(primary.tick(1.02), Record)), 1)  # without it, it is now T4's

    def test_j3_a_newcomer_gets_its_snapshot_within_the_wait(self) -> None:
        """A member must not: it would lose entries that may have been acknowledged."""
        for members, sends in (((), True), ((OTHER,), False)):
            primary = self.lead(*members)
            primary.receive(REPLICA_FEED, self.hello(REPLICA, GENESIS), 0.1)
            effects = primary.log_read(REPLICA_FEED, LogPage(None, (), end=False), 0.1)
            self.assertEqual(of(effects, SendSnapshot), [SendSnapshot(REPLICA_FEED)] * sends)
            self.assertEqual(of(effects, Record), [])

    def test_j3_a_member_gets_it_once_what_is_pending_has_committed_without_it(self) -> None:
        pending, late = log(self.committed, "p"), TIMING.surely_over_s(1.0)
        primary = self.lead(OTHER, pending=pending, restarted=True)
        primary.receive(REPLICA_FEED, self.hello(REPLICA, GENESIS), late)
        effects = primary.log_read(REPLICA_FEED, LogPage(None, (), end=False), late)
        self.assertEqual(effects, [])
        effects = primary.tick(late)
        self.assertEqual(effects, [Confirm(), Record(Membership(2, frozenset({ME}), 1.0))])
        self.assertEqual(of(primary.recorded(late), Apply), [Apply(pending[-1].mark)])
        effects = primary.stored(Apply(pending[-1].mark), late)
        self.assertEqual(of(effects, SendSnapshot), [SendSnapshot(REPLICA_FEED)])

    def test_j5_a_member_shows_what_it_has_before_anybody_new_is_let_in(self) -> None:
        before = Membership(1, frozenset({ME, OTHER}), 1.0)
        primary, _ = Primary.take_over(
            ME, before, self.committed, (), 0.0, TIMING, **BEGUN, restarted=True, arbiter=HERE
        )
        ahead = log(self.committed, "lost")[-1].mark
        newcomer = Hello(WIRE_VERSION, REPLICA, "r-3", "run", "s3", 1, GENESIS, GENESIS, "")
        primary.receive(3, newcomer, 0.1)
        primary.log_read(3, LogPage(None, (), end=False), 0.1)
        primary.receive(REPLICA_FEED, self.hello(REPLICA, ahead), 0.1)
        primary.log_read(REPLICA_FEED, LogPage(None, (), end=True), 0.1)
        effects = primary.recorded(0.2)
        self.assertEqual([type(effect) for effect in effects], [Confirm, Record])  # without us

    def test_j5_a_member_with_another_history_shows_that_ours_is_wrong(self) -> None:
        primary = self.lead(OTHER, restarted=True)
        primary.receive(REPLICA_FEED, self.hello(REPLICA, Mark(3, "else")), 0.5)
        effects = primary.log_read(REPLICA_FEED, LogPage(self.committed, (), end=True), 0.5)
        self.assertEqual(effects, [Record(Membership(2, frozenset({OTHER}), 1.0))])

    def test_j5_so_does_one_that_has_committed_another_entry_where_ours_is_pending(self) -> None:
        pending = log(self.committed, "p")
        primary = self.lead(OTHER, pending=pending)
        primary.receive(REPLICA_FEED, self.hello(REPLICA, Mark(4, "else")), 0.5)
        effects = primary.log_read(REPLICA_FEED, LogPage(pending[0].mark, (), end=True), 0.5)
        self.assertEqual(effects, [Record(Membership(2, frozenset({OTHER}), 1.0))])

    def test_j5_from_then_on_it_answers_no_read(self) -> None:
        primary = self.lead(OTHER)
        self.assertEqual(primary.read(None, 0.4), 0)
        ahead = log(self.committed, "lost")[-1].mark
        primary.receive(REPLICA_FEED, self.hello(REPLICA, ahead), 0.5)
        primary.log_read(REPLICA_FEED, LogPage(None, (), end=True), 0.5)
        with self.assertRaises(Unavailable):  # not even before it is recorded
            primary.read(None, 0.5)
