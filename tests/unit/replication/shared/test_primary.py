"""The writing side over one database by its rules: small direct steps."""

from __future__ import annotations

import unittest

from bazar.drift import DRIFT
from bazar.errors import Unavailable
from bazar.replication.effects import Apply, Record, Send
from bazar.replication.messages import (
    CACHE,
    FOLLOWER,
    WIRE_VERSION,
    Ack,
    Change,
    Commit,
    Entry,
    Grant,
    Hello,
    Mark,
    Member,
    Prepare,
    Renew,
    Welcome,
)
from bazar.replication.shared.hold import Hold, Tempo
from bazar.replication.shared.primary import LEAST_LEASES, SharedPrimary
from bazar.replication.states import Life
from bazar.replication.timing import Timing
from tests.unit.replication.steps import HERE, TIMING, sent

TEMPO = Tempo(primary_lease_s=4.0, pause_s=0.5)
MARK = Mark(7, "ours")
CHANGE = Change(("book:1",), {"put": 1})


class SharedPrimaryTest(unittest.TestCase):
    def primary(self, timing: Timing = TIMING) -> SharedPrimary:
        """One that holds the primaryship until 14.0."""
        hold = Hold(TEMPO, 10.0)
        return SharedPrimary.begin_epoch(Member("catalog-1", ""), 3, MARK, hold, timing, HERE)

    def joined(self, primary: SharedPrimary, feed: int = 1, kind: str = FOLLOWER) -> None:
        hello = Hello(
            *(WIRE_VERSION, kind, f"node-{feed}", f"run-{feed}", "", 3, MARK, MARK, "ours", HERE)
        )
        [welcome] = sent(primary.receive(feed, hello, 10.0), feed)
        self.assertEqual(welcome, Welcome(3, MARK, MARK, False, "ours", HERE))

    def granted(self, primary: SharedPrimary, now: float) -> list[float]:
        """The lease that is granted for a renewal."""
        grants = sent(primary.receive(1, Renew(1), now))
        return [grant.lease_s for grant in grants if isinstance(grant, Grant)]

    def test_p3_it_writes_at_once_what_is_confirmed_when_all_have_heard_of_it(self) -> None:
        primary = self.primary()
        self.joined(primary)
        self.assertTrue(primary.begin(10.0))
        self.assertFalse(primary.begin(10.0))  # one at a time (R1)
        entries = primary.extend([CHANGE, CHANGE])
        expected = tuple(Entry(seq, 3, ("book:1",), {"put": 1}, "ours") for seq in (8, 9))
        self.assertEqual(entries, expected)
        self.assertEqual(sent(primary.receive(1, Renew(1), 10.0))[0], Grant(3, 1, 1.0))
        [prepare] = sent(primary.propose(entries, 10.0))
        assert isinstance(prepare, Prepare)
        self.assertEqual([entry.seq for entry in prepare.entries], [8, 9])
        acked = primary.receive(1, Ack(entries[-1].mark), 10.0)
        self.assertEqual(acked, [Apply(Mark(9, "ours"))])
        self.assertEqual(
            sent(primary.stored(Apply(Mark(9, "ours")), 10.0)), [Commit(Mark(9, "ours"))]
        )

    def test_p2_it_begins_batches_and_answers_reads_only_while_it_holds(self) -> None:
        primary = self.primary()
        self.assertEqual(primary.read(None, 13.9), 0)
        self.assertEqual(primary.read(frozenset({"book:1"}), 13.9), 0)
        for late in (14.0, 14.1):
            self.assertFalse(primary.begin(late))
            with self.assertRaisesRegex(Unavailable, "catalog-1 does not hold the primaryship"):
                primary.read(frozenset(), late)
        self.assertTrue(primary.begin(13.9))

    def test_r4_one_that_was_stopped_answers_nothing(self) -> None:
        primary = self.primary()
        primary.life = Life.STOPPED
        with self.assertRaises(Unavailable):
            primary.read(frozenset(), 11.0)

    def test_t5_one_that_hands_over_answers_until_it_begins_to_release(self) -> None:
        primary = self.primary()
        self.joined(primary)
        self.assertEqual(self.granted(primary, 11.0), [1.0])
        primary.retire(11.5)
        self.assertEqual(primary.read(frozenset(), 11.5), 0)  # it waits for the lease
        [record] = [one for one in primary.tick(13.0) if isinstance(one, Record)]
        self.assertTrue(record.membership.clean)
        with self.assertRaises(Unavailable):
            primary.read(frozenset(), 13.0)

    def test_p2_a_lease_is_over_with_the_hold_and_one_that_is_too_short_is_not_granted(
        self,
    ) -> None:
        shortest_s = LEAST_LEASES * TIMING.lease_s
        for left_s, lease_s in (
            (3.0, TIMING.lease_s),
            (1.0 + DRIFT, TIMING.lease_s),
            (0.5 * (1 + DRIFT), 0.5),
            (1.01 * shortest_s * (1 + DRIFT), 1.01 * shortest_s),
            (0.99 * shortest_s * (1 + DRIFT), None),
            (0.0, None),
            (-1.0, None),
        ):
            with self.subTest(left_s=left_s):
                primary = self.primary()
                self.joined(primary)
                granted = self.granted(primary, 14.0 - TEMPO.pause_s - left_s)
                if lease_s is None:
                    self.assertEqual(granted, [])
                else:
                    [granted_s] = granted
                    self.assertAlmostEqual(granted_s, lease_s)

    def test_the_shortest_lease_that_is_worth_it_is_granted(self) -> None:
        left_s = self.primary().hold.grantable_s(12.0)
        primary = self.primary(Timing(lease_s=left_s / LEAST_LEASES))
        self.joined(primary)
        self.assertEqual(self.granted(primary, 12.0), [left_s])

    def test_a_follower_is_told_what_changes_and_a_cache_only_where(self) -> None:
        primary = self.primary()
        self.joined(primary, 1, FOLLOWER)
        self.joined(primary, 2, CACHE)
        self.assertTrue(primary.begin(10.0))
        effects = primary.propose(primary.extend([CHANGE]), 10.0)
        for feed, told in ((1, CHANGE.effects), (2, None)):
            [prepare] = [
                one.message for one in effects if isinstance(one, Send) and one.feed == feed
            ]
            assert isinstance(prepare, Prepare)
            self.assertEqual([entry.effects for entry in prepare.entries], [told])
