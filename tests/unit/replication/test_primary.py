"""The writing side by its rules: small direct steps. The simulation does the rest."""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from typing import Any

from bazar.errors import Unavailable
from bazar.replication.arbiter import Knock
from bazar.replication.effects import (
    Apply,
    Close,
    Confirm,
    Effect,
    LogPage,
    ReadLog,
    Record,
    Send,
    Stop,
)
from bazar.replication.messages import (
    CACHE,
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Ack,
    Change,
    Commit,
    Entry,
    Grant,
    Hello,
    Mark,
    Member,
    Membership,
    Prepare,
    Release,
    Renew,
)
from bazar.replication.primary import Primary
from tests.unit.replication.steps import HERE, THERE, TIMING, log, sent

EPOCH_ID = "e2"
BEGUN: Any = {"known": 1, "epoch_id": EPOCH_ID}
ME, OTHER = Member("r-1", "s1"), Member("r-2", "s2")
REPLICA_FEED, CACHE_FEED = 1, 2


def of(effects: Sequence[Effect], kind: type) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, kind)]


class PrimaryTest(unittest.TestCase):
    """Entries 1-3 are committed; the replica r-2 and the cache f-1 may join."""

    def setUp(self) -> None:
        self.log = log(GENESIS, "a", "b", "c")
        self.committed = self.log[-1].mark

    def lead(
        self,
        *members: Member,
        pending: Sequence[Entry] = (),
        restarted: bool = False,
        clean: bool = False,
        at: float = 0.0,
    ) -> Primary:
        """A takeover whose epoch is recorded at time `at`."""
        before = Membership(1, frozenset({ME, *members}), 1.0, clean)
        primary, effects = Primary.take_over(
            *(ME, before, self.committed, pending, at, TIMING),
            **BEGUN,
            restarted=restarted,
            arbiter=HERE,
        )
        [record] = effects
        assert isinstance(record, Record)
        self.assertEqual(record.membership.epoch, 2)
        self.assertEqual(primary.recorded(at), [Confirm()])
        primary.confirmed(at)
        return primary

    def hello(self, kind: str, committed: Mark | None = None, **other: str) -> Hello:
        mark = self.committed if committed is None else committed
        node = other.get("node", "r-2" if kind == REPLICA else "f-1")
        store = "s2" if kind == REPLICA else ""
        return Hello(WIRE_VERSION, kind, node, f"run-of-{node}", store, 1, mark, mark, "")

    def join_replica(self, primary: Primary, at: float, feed: int = REPLICA_FEED) -> list[Effect]:
        """An up-to-date replica says hello and joins; its lease is asked for by number 1."""
        [read] = primary.receive(feed, self.hello(REPLICA), at)
        self.assertEqual(read, ReadLog(feed, self.committed.seq))
        primary.receive(feed, Renew(1), at)
        effects = primary.log_read(feed, LogPage(primary.committed, (), end=True), at)
        self.assertEqual(sent(effects, feed)[-1], Prepare(()))
        effects = primary.receive(feed, Ack(primary.tail), at)
        if of(effects, Record):
            effects = primary.recorded(at)
        return effects

    def far(self, primary: Primary, at: float) -> None:
        """A replica that lacks more than a page is sent the first."""
        first = self.log[0].mark
        primary.receive(REPLICA_FEED, self.hello(REPLICA, first), at)
        primary.log_read(REPLICA_FEED, LogPage(first, self.log[1:2], end=False), at)

    def near(self) -> Primary:
        """A newcomer has been sent all but the last of the log at time 2; nothing begins."""
        primary = self.lead()
        primary.receive(REPLICA_FEED, self.hello(REPLICA, self.log[0].mark), 2.0)
        primary.log_read(REPLICA_FEED, LogPage(self.log[0].mark, self.log[1:], end=True), 2.0)
        self.assertFalse(primary.begin(2.0))
        return primary

    def join_cache(self, primary: Primary, at: float) -> list[Effect]:
        effects = primary.receive(CACHE_FEED, self.hello(CACHE), at)
        return effects + primary.receive(CACHE_FEED, Renew(1), at)

    def ready(self) -> Primary:
        """A primary in its ordinary work at time 2, both subscribers joined and leased."""
        primary = self.lead(OTHER)
        self.assertEqual(sent(self.join_replica(primary, 2.0), REPLICA_FEED), [Grant(2, 1, 1.0)])
        self.assertEqual(sent(self.join_cache(primary, 2.0), CACHE_FEED)[-1], Grant(2, 1, 1.0))
        return primary

    def propose(self, primary: Primary, *keys: str, at: float) -> tuple[Entry, ...]:
        self.assertTrue(primary.begin(at))
        entries = primary.extend(Change((key,), {"to": key}) for key in keys)
        self.effects = primary.propose(entries, at)
        return entries


class WritingTest(PrimaryTest):
    def test_r1_one_batch_at_a_time(self) -> None:
        primary = self.ready()
        entries = self.propose(primary, "x", "y", at=2.1)
        self.assertFalse(primary.begin(2.1))
        primary.receive(REPLICA_FEED, Ack(entries[-1].mark), 2.1)
        primary.receive(CACHE_FEED, Ack(entries[-1].mark), 2.1)
        self.assertFalse(primary.begin(2.1))  # not until it is committed
        primary.stored(Apply(entries[-1].mark), 2.1)
        self.assertTrue(primary.begin(2.1))

    def test_r2_replicas_get_entries_and_caches_their_keys(self) -> None:
        entries = self.propose(self.ready(), "x", at=2.1)
        self.assertEqual(sent(self.effects, REPLICA_FEED), [Prepare(entries)])
        bare = tuple(entry.without_effects() for entry in entries)
        self.assertEqual(sent(self.effects, CACHE_FEED), [Prepare(bare)])
        self.assertEqual(of(self.effects, Apply), [])

    def test_r3_it_commits_when_all_have_acknowledged(self) -> None:
        primary = self.ready()
        [entry] = self.propose(primary, "x", at=2.1)
        self.assertEqual(of(primary.receive(REPLICA_FEED, Ack(entry.mark), 2.1), Apply), [])
        effects = primary.receive(CACHE_FEED, Ack(entry.mark), 2.1)
        self.assertEqual(of(effects, Apply), [Apply(entry.mark)])
        self.assertEqual(primary.committed, self.committed)
        effects = primary.stored(Apply(entry.mark), 2.1)
        for feed in (REPLICA_FEED, CACHE_FEED):
            self.assertEqual(sent(effects, feed), [Commit(entry.mark)])
        self.assertEqual(primary.committed, entry.mark)

    def test_r3_without_a_lease_nobody_is_waited_for_but_the_set_is_recorded_first(self) -> None:
        primary = self.ready()
        [entry] = self.propose(primary, "x", at=2.1)
        primary.receive(CACHE_FEED, Ack(entry.mark), 2.1)
        over = 2.0 + TIMING.surely_over_s(1.0)
        self.assertEqual(of(primary.tick(over - 0.001), Record), [])
        effects = primary.tick(over)
        [record] = of(effects, Record)
        assert isinstance(record, Record)
        self.assertEqual(record.membership.members, {ME})
        self.assertEqual(of(effects, Apply), [])  # the removal must be durable first
        closed = [effect.feed for effect in effects if isinstance(effect, Close)]
        self.assertEqual(closed, [REPLICA_FEED])
        self.assertEqual(of(primary.recorded(over), Apply), [Apply(entry.mark)])

    def test_r3_nothing_is_committed_while_the_set_is_being_recorded(self) -> None:
        """Whom it passes over could become primary without it."""
        primary = self.ready()
        [entry] = self.propose(primary, "x", at=2.1)
        primary.receive(CACHE_FEED, Ack(entry.mark), 2.1)
        self.assertEqual(len(of(primary.tick(3.1), Record)), 1)
        self.assertEqual(primary.tick(3.2), [Confirm()])

    def test_r3_who_has_not_joined_is_told_nothing_of_a_batch_and_not_passed_over(self) -> None:
        primary = self.lead()
        self.far(primary, 2.0)
        [entry] = self.propose(primary, "x", at=2.0)
        self.assertEqual(self.effects, [Apply(entry.mark)])
        effects = primary.stored(Apply(entry.mark), 2.0)
        self.assertEqual(sent(effects), [])
        self.assertEqual([*primary.feeds], [REPLICA_FEED])

    def test_r4_one_that_has_stopped_commits_nothing(self) -> None:
        """Its successor decides."""
        primary = self.ready()
        [entry] = self.propose(primary, "x", at=2.1)
        self.assertEqual(len(of(primary.meet(Knock("r-9", THERE, 99)), Stop)), 1)
        for feed in (REPLICA_FEED, CACHE_FEED):
            self.assertEqual(of(primary.receive(feed, Ack(entry.mark), 2.1), Apply), [])

    def test_r3_a_late_ack_of_who_was_passed_over_finds_no_feed(self) -> None:
        primary = self.ready()
        [entry] = self.propose(primary, "x", at=2.1)
        primary.receive(CACHE_FEED, Ack(entry.mark), 2.1)
        primary.tick(3.2)
        self.assertEqual(primary.receive(REPLICA_FEED, Ack(entry.mark), 3.2), [])
        self.assertEqual(primary.receive(REPLICA_FEED, Renew(9), 3.2), [])

    def test_r4_an_error_before_prepare_leaves_nothing(self) -> None:
        primary = self.ready()
        self.assertTrue(primary.begin(2.1))
        self.assertEqual(primary.abort(2.1), [])
        self.assertEqual(primary.tail, self.committed)
        self.assertTrue(primary.begin(2.1))

    def test_l3_who_owes_an_ack_is_granted_nothing_more(self) -> None:
        primary = self.ready()
        self.propose(primary, "x", at=2.1)
        until = 2.1 + TIMING.ack_timeout_s
        effects = primary.receive(REPLICA_FEED, Renew(2), until)
        self.assertEqual(sent(effects, REPLICA_FEED), [Grant(2, 2, 1.0)])
        self.assertEqual(primary.receive(REPLICA_FEED, Renew(3), until + 0.001), [])

    def test_l3_a_closed_connection_ends_no_lease(self) -> None:
        primary = self.ready()
        primary.disconnected(REPLICA_FEED, 2.05)
        [entry] = self.propose(primary, "x", at=2.1)
        effects = primary.receive(CACHE_FEED, Ack(entry.mark), 2.1)
        self.assertEqual((of(effects, Apply), of(effects, Record)), ([], []))
        self.assertEqual(len(of(primary.tick(3.02), Record)), 1)

    def test_l3_a_closed_connection_is_sent_nothing(self) -> None:
        primary = self.ready()
        primary.disconnected(REPLICA_FEED, 2.05)
        self.propose(primary, "x", at=2.1)
        self.assertEqual(sent(self.effects, REPLICA_FEED), [])

    def test_l3_a_release_does(self) -> None:
        primary = self.ready()
        primary.receive(CACHE_FEED, Release(), 2.05)
        primary.disconnected(CACHE_FEED, 2.05)
        [entry] = self.propose(primary, "x", at=2.1)
        effects = primary.receive(REPLICA_FEED, Ack(entry.mark), 2.1)
        self.assertEqual(of(effects, Apply), [Apply(entry.mark)])

    def test_l1_leases_that_are_over_are_forgotten(self) -> None:
        """Each run of a process has its own: they would become more and more."""
        primary = self.ready()
        [entry] = self.propose(primary, "x", at=2.1)
        primary.receive(CACHE_FEED, Ack(entry.mark), 2.1)
        self.assertEqual(len(primary.leases), 2)
        primary.tick(2.0 + TIMING.counted_s(1.0))
        self.assertEqual(primary.leases, {})

    def test_l1_those_that_are_not_over_hold_the_next_commit_up_too(self) -> None:
        primary = self.ready()
        for key in ("x", "y"):
            [entry] = self.propose(primary, key, at=2.1)
            self.assertEqual([type(effect) for effect in self.effects], [Send, Send])
            self.assertEqual(of(primary.receive(REPLICA_FEED, Ack(entry.mark), 2.1), Apply), [])
            primary.receive(CACHE_FEED, Ack(entry.mark), 2.1)
            primary.stored(Apply(entry.mark), 2.1)

    def test_l1_a_lease_that_is_renewed_counts_from_then(self) -> None:
        primary = self.ready()
        primary.receive(REPLICA_FEED, Renew(2), 2.5)
        [entry] = self.propose(primary, "x", at=2.6)
        primary.receive(CACHE_FEED, Ack(entry.mark), 2.6)
        over = 2.5 + TIMING.counted_s(1.0)
        self.assertEqual(of(primary.tick(over - 0.001), Record), [])
        self.assertEqual(len(of(primary.tick(over), Record)), 1)

    def test_l3_what_was_asked_before_a_release_is_not_granted_after_it(self) -> None:
        primary = self.ready()
        [entry] = self.propose(primary, "x", at=2.1)
        self.assertEqual(primary.receive(REPLICA_FEED, Renew(2), 2.45), [])  # it owes an ack
        primary.receive(REPLICA_FEED, Release(), 2.46)
        self.assertEqual(primary.receive(REPLICA_FEED, Ack(entry.mark), 2.47), [])
        self.assertEqual([*primary.leases], ["run-of-f-1"])

    def test_l4_it_answers_reads_from_its_committed_state(self) -> None:
        primary = self.ready()
        self.propose(primary, "x", at=2.1)
        primary.confirmed(2.1)
        self.assertEqual(primary.read(frozenset({"x"}), 2.1), 0)

    def test_l5_it_answers_reads_only_a_lease_long_behind_a_look_at_the_arbiter(self) -> None:
        primary = self.ready()
        self.assertIn(Confirm(), primary.tick(5.0))
        primary.confirmed(5.0)
        self.assertEqual(primary.read(None, 5.999), 0)
        with self.assertRaisesRegex(Unavailable, "still leads"):
            primary.read(None, 6.0)

    def test_l5_a_grant_leaves_only_behind_a_look_at_the_arbiter(self) -> None:
        primary = self.ready()
        effects = primary.receive(REPLICA_FEED, Renew(9), 2.2)
        self.assertEqual(effects[0], Confirm())
        self.assertEqual(sent(effects[1:], REPLICA_FEED), [Grant(2, 9, 1.0)])
