"""A front end's cache as a subscriber, by its rules: small direct steps."""

from __future__ import annotations

import unittest

from bazar.replication.cache_subscriber import CacheSubscriber
from bazar.replication.effects import Close, Drop, Effect, Reset, Send
from bazar.replication.messages import (
    GENESIS,
    Ack,
    Commit,
    Entry,
    Grant,
    Mark,
    NotPrimary,
    Prepare,
    Renew,
    Snapshot,
    Welcome,
)
from tests.unit.replication.steps import HERE, TIMING, log, sent

EPOCH_ID = "e1"
FEED = 1


class CacheSubscriberTest(unittest.TestCase):
    def setUp(self) -> None:
        self.log = log(Mark(7, "seven"), "a", "b")
        self.cache = CacheSubscriber("f-1", "run", TIMING)
        self.cache.connected(FEED, 0.0)

    def join(self) -> list[Effect]:
        return self.cache.receive(
            FEED, Welcome(1, Mark(7, "seven"), Mark(7, "seven"), False, EPOCH_ID, HERE), 0.0
        )

    def prepare(self, *entries: Entry) -> list[Effect]:
        return self.cache.receive(FEED, Prepare(tuple(e.without_effects() for e in entries)), 0.1)

    def clean(self, *tags: str) -> bool:
        return self.cache.clean(frozenset(tags), 0.2)

    def test_j1_before_the_welcome_it_takes_nothing(self) -> None:
        [effect] = self.prepare(*log(GENESIS, "a"))
        self.assertIsInstance(effect, Close)

    def test_j1_at_first_it_knows_of_no_epoch(self) -> None:
        self.cache.receive(FEED, NotPrimary(0, "r-1", HERE), 0.0)
        self.assertEqual(self.cache.hint, "r-1")

    def test_r6_a_commit_that_is_not_on_its_log_ends_the_feed(self) -> None:
        self.join()
        self.prepare(*self.log)
        [effect] = self.cache.receive(FEED, Commit(Mark(9, "else")), 0.1)
        self.assertIsInstance(effect, Close)
        self.assertEqual(len(self.cache.pending), 2)  # what is dirty stays dirty

    def test_r6_what_it_has_forgotten_already_changes_nothing(self) -> None:
        self.join()
        self.prepare(*self.log)
        self.assertEqual(self.cache.receive(FEED, Commit(Mark(7, "seven")), 0.1), [])
        self.assertEqual(len(self.cache.pending), 2)

    def test_r2_no_entries_are_none(self) -> None:
        self.join()
        [effect] = self.prepare()
        self.assertIsInstance(effect, Close)

    def test_j6_it_starts_empty(self) -> None:
        self.assertEqual(self.join(), [Reset()])
        self.assertEqual(self.cache.committed, Mark(7, "seven"))

    def test_j6_when_it_joins_anew_nothing_is_dirty_but_what_it_is_told_of(self) -> None:
        self.join()
        self.prepare(*self.log)
        self.cache.connected(FEED, 0.1)
        self.join()
        self.cache.receive(FEED, Grant(1, 2, 1.0), 0.1)
        self.assertTrue(self.clean("a"))
        self.assertEqual(sent(self.prepare(self.log[0])), [Ack(self.log[0].mark)])
        self.assertFalse(self.clean("a"))

    def test_r2_it_drops_the_keys_before_it_acknowledges(self) -> None:
        self.join()
        effects = self.prepare(*self.log)
        self.assertEqual(effects, [Drop(("a", "b")), Send(FEED, Ack(self.log[1].mark))])

    def test_c3_keys_are_dirty_from_prepare_to_commit(self) -> None:
        self.join()
        self.cache.receive(FEED, Grant(1, 1, 1.0), 0.1)
        self.assertTrue(self.clean("a"))
        self.prepare(*self.log)
        self.assertFalse(self.clean("a"))
        self.assertTrue(self.clean("z"))
        self.assertFalse(self.cache.clean(None, 0.2))
        self.cache.receive(FEED, Commit(self.log[0].mark), 0.1)
        self.assertTrue(self.clean("a"))
        self.assertFalse(self.clean("b"))
        self.cache.receive(FEED, Commit(self.log[1].mark), 0.1)
        self.assertTrue(self.cache.clean(None, 0.2))

    def test_c1_nothing_is_clean_without_a_lease(self) -> None:
        self.join()
        self.assertFalse(self.clean("a"))

    def test_c4_a_lease_after_a_gap_finds_an_empty_cache(self) -> None:
        self.join()
        self.assertEqual(self.cache.receive(FEED, Grant(1, 1, 1.0), 0.1), [Reset()])
        [renew] = sent(self.cache.tick(0.5))
        assert isinstance(renew, Renew)
        self.assertEqual(self.cache.receive(FEED, Grant(1, renew.number, 1.0), 0.6), [])
        [renew] = sent(self.cache.tick(2.0))
        assert isinstance(renew, Renew)
        self.assertEqual(self.cache.receive(FEED, Grant(1, renew.number, 1.0), 2.1), [Reset()])

    def test_r2_entries_must_follow(self) -> None:
        self.join()
        [effect] = self.prepare(self.log[1])
        self.assertIsInstance(effect, Close)

    def test_a_snapshot_is_not_for_a_cache(self) -> None:
        self.join()
        [effect] = self.cache.receive(FEED, Snapshot(GENESIS, {}, True, True), 0.1)
        self.assertIsInstance(effect, Close)
