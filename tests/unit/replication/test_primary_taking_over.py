"""A primary that takes over by its rules: whom it waits for, and what it owes its predecessor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bazar.errors import Unavailable
from bazar.replication.effects import (
    Apply,
    Close,
    Confirm,
    Effect,
    LogPage,
    Persist,
    ReadLog,
    Record,
    SendSnapshot,
)
from bazar.replication.messages import (
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Ack,
    Change,
    Entry,
    Hello,
    Mark,
    Member,
    Membership,
    Tail,
    Welcome,
)
from bazar.replication.primary import Primary
from bazar.replication.telling import standing
from tests.unit.replication.steps import HERE, TIMING, log, sent
from tests.unit.replication.test_primary import (
    BEGUN,
    EPOCH_ID,
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

    def test_t2_nothing_is_committed_before_old_leases_are_over(self) -> None:
        primary = self.lead()
        self.assertFalse(primary.begin(1.009))
        self.assertTrue(primary.begin(1.01))

    def test_t2_how_long_it_waits_is_told(self) -> None:
        primary = self.lead()
        told = [standing(primary, now)["waits_s"] for now in (0.0, 1.0, 1.5)]
        self.assertEqual(told, [1.01, 0.01, 0.0])

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

    def test_t3_a_members_tail_that_extends_the_log_is_adopted(self) -> None:
        primary = self.lead(OTHER)
        [effect] = primary.receive(REPLICA_FEED, self.hello(REPLICA), 0.1)
        self.assertIsInstance(effect, ReadLog)
        effects = primary.log_read(REPLICA_FEED, LogPage(self.committed, (), end=True), 0.1)
        [welcome, _] = sent(effects, REPLICA_FEED)
        self.assertEqual(welcome, Welcome(2, self.committed, self.committed, True, EPOCH_ID, HERE))
        tail = log(self.committed, "t")
        effects = primary.receive(REPLICA_FEED, Tail(tail), 0.2)
        self.assertEqual(of(effects, Persist), [Persist(self.committed, tail)])
        self.assertEqual(primary.tail, tail[-1].mark)

    def test_t3_a_tail_that_does_not_extend_the_log_is_not_adopted(self) -> None:
        fits = log(self.committed, "t")
        late = TIMING.surely_over_s(1.0)
        for tail, member, now in (
            (log(Mark(3, "else"), "t"), OTHER, 0.2),
            (log(self.committed, "t", epoch=2), OTHER, 0.2),  # of this epoch only we make entries
            ((*fits, *log(Mark(4, "else"), "u")), OTHER, 0.2),
            ((), OTHER, 0.2),
            (fits, OTHER, late),  # nobody waits any more
            (fits, Member("r-9", "s9"), 0.2),  # it has never acknowledged what counts
        ):
            with self.subTest(tail=tail, member=member, now=now):
                primary = self.lead(member)
                primary.receive(REPLICA_FEED, self.hello(REPLICA), 0.1)
                primary.log_read(REPLICA_FEED, LogPage(self.committed, (), end=True), 0.1)
                effects = primary.receive(REPLICA_FEED, Tail(tail), now)
                self.assertEqual([type(effect) for effect in effects], [Close])
                self.assertEqual(primary.tail, self.committed)

    def offered(self, primary: Primary, tail: Sequence[Entry], at: float) -> list[Effect]:
        """Say hello with a longer log, and be welcomed at this time."""
        hello = replace(self.hello(REPLICA), last=tail[-1].mark)
        primary.receive(REPLICA_FEED, hello, at)
        return primary.log_read(REPLICA_FEED, LogPage(self.committed, (), end=True), at)

    def test_t3_a_restarted_primary_adopts_a_tail_after_its_wait_too(self) -> None:
        """Its own disk may have lost what the member has acknowledged."""
        tail, late = log(self.committed, "t"), TIMING.surely_over_s(1.0)
        primary = self.lead(OTHER, restarted=True)
        [welcome, _] = sent(self.offered(primary, tail, late), REPLICA_FEED)
        self.assertEqual(welcome, Welcome(2, self.committed, self.committed, True, EPOCH_ID, HERE))
        self.assertEqual(primary.tick(late), [Confirm()])
        self.assertFalse(primary.begin(late))
        with self.assertRaises(Unavailable):
            primary.read(None, late)
        effects = primary.receive(REPLICA_FEED, Tail(tail), late)
        self.assertEqual(of(effects, Persist), [Persist(self.committed, tail)])

    def test_t3_members_that_have_joined_are_waited_for_until_they_have_an_adopted_tail(
        self,
    ) -> None:
        """It was sent to them a moment ago: none of them is late."""
        tail, late = log(self.committed, "t"), TIMING.surely_over_s(1.0)
        third = Member("r-3", "s3")
        primary = self.lead(OTHER, third, restarted=True)
        at = self.committed
        hello = Hello(WIRE_VERSION, REPLICA, third.node, "run", third.store, 1, at, at, "")
        primary.receive(3, hello, 0.1)
        primary.log_read(3, LogPage(self.committed, (), end=True), 0.1)
        primary.receive(3, Ack(self.committed), 0.1)
        self.offered(primary, tail, late)
        [persist] = of(primary.receive(REPLICA_FEED, Tail(tail), late), Persist)
        assert isinstance(persist, Persist)
        effects = [
            *primary.receive(REPLICA_FEED, Ack(self.committed), late),  # of its first page
            *primary.stored(persist, late),
        ]
        self.assertEqual(of(effects, Close), [])
        self.assertEqual(of(effects, Record), [])
        effects = primary.receive(3, Ack(tail[-1].mark), late)
        self.assertEqual(of(effects, Record), [])
        effects = primary.receive(REPLICA_FEED, Ack(tail[-1].mark), late)
        self.assertEqual(of(effects, Apply), [Apply(tail[-1].mark)])

    def test_t3_a_tail_is_waited_for_so_long(self) -> None:
        tail, late = log(self.committed, "t"), TIMING.surely_over_s(1.0)
        until = late + TIMING.ack_timeout_s
        primary = self.lead(OTHER, restarted=True)
        self.offered(primary, tail, 0.1)
        self.assertEqual(primary.due(late), until)
        self.assertEqual(of(primary.tick(until - 0.001), Close), [])
        self.assertFalse(primary.begin(until - 0.001))
        self.assertEqual(len(of(primary.tick(until), Close)), 1)
        self.assertTrue(primary.begin(until))

    def test_t3_who_acknowledges_has_no_tail_that_extends_ours(self) -> None:
        tail, late = log(Mark(3, "else"), "t"), TIMING.surely_over_s(1.0)
        primary = self.lead(OTHER, restarted=True)
        self.offered(primary, tail, 0.1)
        primary.receive(REPLICA_FEED, Ack(self.committed), late)
        self.assertTrue(primary.begin(late))

    def test_t3_an_adopted_tail_is_sent_to_the_others_once_it_is_durable(self) -> None:
        third = Member("r-3", "s3")
        primary = self.lead(OTHER, third)
        for feed, member in ((1, OTHER), (3, third)):
            at = self.committed
            hello = Hello(WIRE_VERSION, REPLICA, member.node, "run", member.store, 1, at, at, "")
            primary.receive(feed, hello, 0.1)
            primary.log_read(feed, LogPage(self.committed, (), end=True), 0.1)
        tail = log(self.committed, "t")
        [persist] = of(primary.receive(1, Tail(tail), 0.2), Persist)
        assert isinstance(persist, Persist)
        self.assertEqual(primary.receive(3, Ack(self.committed), 0.2), [])
        self.assertIn(ReadLog(3, self.committed.seq), primary.stored(persist, 0.3))

    def test_t3_a_log_that_was_read_before_a_tail_was_adopted_is_read_again(self) -> None:
        """Once we have it, too, a member that has committed it shows no fault of ours (J5)."""
        third, tail = Member("r-3", "s3"), log(self.committed, "t")
        primary = self.lead(OTHER, third, restarted=True)
        end = tail[-1].mark
        hello = Hello(WIRE_VERSION, REPLICA, third.node, "run", third.store, 1, end, end, "")
        [read] = primary.receive(3, hello, 0.1)
        self.assertEqual(read, ReadLog(3, end.seq))
        self.offered(primary, tail, 0.1)
        [persist] = of(primary.receive(REPLICA_FEED, Tail(tail), 0.2), Persist)
        assert isinstance(persist, Persist)
        again = primary.log_read(3, LogPage(None, (), end=True), 0.2)
        self.assertEqual(again, [ReadLog(3, end.seq)])
        self.assertEqual(of(primary.stored(persist, 0.3), ReadLog), [])  # once is enough
        effects = primary.log_read(3, LogPage(end, (), end=True), 0.3)
        self.assertIn(Welcome(2, end, self.committed, True, EPOCH_ID, HERE), sent(effects, 3))
        self.assertFalse(primary.stopped)

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

    def test_j5_from_then_on_it_answers_no_read(self) -> None:
        primary = self.lead(OTHER)
        self.assertEqual(primary.read(None, 0.4), 0)
        ahead = log(self.committed, "lost")[-1].mark
        primary.receive(REPLICA_FEED, self.hello(REPLICA, ahead), 0.5)
        primary.log_read(REPLICA_FEED, LogPage(None, (), end=True), 0.5)
        with self.assertRaises(Unavailable):  # not even before it is recorded
            primary.read(None, 0.5)
