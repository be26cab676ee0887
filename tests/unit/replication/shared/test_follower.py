"""A follower over one database by its rules: it is told of what is committed, in order."""

from __future__ import annotations

import unittest

from bazar.replication.effects import Close, Drop, Reset, Told
from bazar.replication.messages import (
    GENESIS,
    Ack,
    Commit,
    Grant,
    Hello,
    Mark,
    Prepare,
    Renew,
    Welcome,
)
from bazar.replication.shared.follower import Follower
from tests.unit.replication.steps import HERE, TIMING, log, sent

FEED = 1


class FollowerTest(unittest.TestCase):
    def setUp(self) -> None:
        self.log = log(GENESIS, "a", "b", "c")
        self.follower = Follower("catalog-2", "run", TIMING, HERE)
        self.greeting = self.follower.connected(FEED, 0.0)
        welcome = Welcome(1, GENESIS, GENESIS, False, "e1", HERE)
        self.assertEqual(self.follower.receive(FEED, welcome, 0.0), [Reset()])

    def test_a1_its_hello_says_whom_it_follows_and_to_which_database(self) -> None:
        hello, renew = sent(self.greeting)
        assert isinstance(hello, Hello)
        self.assertEqual((hello.kind, hello.arbiter), ("follower", HERE))
        self.assertEqual((hello.node, hello.run, hello.store), ("catalog-2", "run", ""))
        self.assertEqual(renew, Renew(1))

    def test_l6_what_it_was_told_of_counts_once_it_is_committed(self) -> None:
        effects = self.follower.receive(FEED, Prepare(self.log), 0.0)
        self.assertEqual(effects[0], Drop(("a", "b", "c")))
        self.assertEqual(sent(effects), [Ack(self.log[-1].mark)])
        told = self.follower.receive(FEED, Commit(self.log[1].mark), 0.0)
        self.assertEqual(told, [Told(self.log[:2])])
        self.assertEqual(self.follower.committed, self.log[1].mark)
        self.assertEqual(self.follower.pending, [self.log[2]])

    def test_a_commit_that_it_has_heard_of_tells_nothing_new(self) -> None:
        self.follower.receive(FEED, Prepare(self.log[:2]), 0.0)
        self.follower.receive(FEED, Commit(self.log[0].mark), 0.0)
        self.assertEqual(self.follower.receive(FEED, Commit(self.log[0].mark), 0.0), [])

    def test_r6_a_commit_of_something_else_tells_nothing_and_ends_the_feed(self) -> None:
        self.follower.receive(FEED, Prepare(self.log), 0.0)
        [close] = self.follower.receive(FEED, Commit(Mark(2, "other")), 0.0)
        self.assertIsInstance(close, Close)
        self.assertEqual(self.follower.committed, GENESIS)

    def test_a_lease_that_had_lapsed_takes_nothing_away(self) -> None:
        """A cache begins empty then (C4); who follows was told of everything all the same."""
        self.assertEqual(self.follower.receive(FEED, Grant(1, 1, 1.0), 0.5), [])
        self.assertTrue(self.follower.lease_valid(0.9))
        self.assertFalse(self.follower.lease_valid(1.0))
        self.follower.tick(2.0)
        self.assertEqual(self.follower.receive(FEED, Grant(1, 2, 1.0), 2.1), [])
        self.assertTrue(self.follower.lease_valid(2.9))
