"""A primary that takes over, and a tail that only a member has (T3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

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
)
from bazar.replication.messages import (
    CACHE,
    REPLICA,
    WIRE_VERSION,
    Ack,
    Entry,
    Hello,
    Mark,
    Member,
    Tail,
    Welcome,
)
from bazar.replication.primary import Primary
from tests.unit.replication.steps import HERE, TIMING, log, sent
from tests.unit.replication.test_primary import (
    CACHE_FEED,
    EPOCH_ID,
    OTHER,
    REPLICA_FEED,
    PrimaryTest,
    of,
)


class AdoptingTest(PrimaryTest):
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
        for first in (REPLICA_FEED, 3):
            self.both_acknowledge(first)

    def both_acknowledge(self, first: int) -> None:
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
        for feed, applied in ((first, []), (4 - first, [Apply(tail[-1].mark)])):
            effects = primary.receive(feed, Ack(tail[-1].mark), late)
            self.assertEqual((of(effects, Record), of(effects, Apply)), ([], applied))

    def test_t3_so_is_the_one_that_has_offered_it(self) -> None:
        tail, late = log(self.committed, "t"), TIMING.surely_over_s(1.0)
        primary = self.lead(OTHER, restarted=True)
        self.offered(primary, tail, late)
        primary.receive(REPLICA_FEED, Tail(tail), late + 0.2)
        effects = primary.receive(REPLICA_FEED, Ack(self.committed), late + 0.2)
        self.assertEqual(effects, [])  # of its first page
        until = late + 0.2 + TIMING.ack_timeout_s
        self.assertEqual(primary.tick(until - 0.001), [Confirm()])
        self.assertEqual(len(of(primary.tick(until), Close)), 1)

    def test_t3_nobody_else_is(self) -> None:
        """Neither a cache nor a newcomer, nor a member that has not been heard."""
        tail, third = log(self.committed, "t"), Member("r-3", "s3")
        primary = self.lead(OTHER, third)
        primary.receive(CACHE_FEED, self.hello(CACHE), 0.1)
        for feed, store in ((3, "s3"), (4, "s4")):
            longer = replace(self.hello(REPLICA, node=f"r-{feed}"), store=store, last=tail[-1].mark)
            primary.receive(feed, longer, 0.1)
        primary.log_read(4, LogPage(self.committed, (), end=True), 0.1)
        self.offered(primary, tail, 0.1)
        primary.receive(REPLICA_FEED, Tail(tail), 0.2)
        primary.receive(REPLICA_FEED, Ack(tail[-1].mark), 0.2)
        self.assertEqual(primary.due(primary.not_before), inf)

    def test_t3_nor_is_anybody_whose_log_is_no_longer_or_whose_tail_comes_too_late(self) -> None:
        late = TIMING.surely_over_s(1.0)
        primary = self.lead(OTHER, restarted=True)
        self.offered(primary, self.log, 0.1)
        self.assertEqual(primary.due(late), inf)
        primary = self.lead(OTHER)
        self.offered(primary, log(self.committed, "t"), late)
        self.assertEqual(primary.due(late), inf)

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
        absent = Member("r-3", "s3")
        primary = self.lead(OTHER, absent, restarted=True)
        self.offered(primary, tail, 0.1)
        primary.receive(REPLICA_FEED, Ack(self.committed), 0.2)
        primary.tick(late)
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
