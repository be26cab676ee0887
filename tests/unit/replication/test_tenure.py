"""When a primary has something to do, if nobody says anything until then."""

from __future__ import annotations

from math import inf

from bazar.replication.messages import CACHE, Release, Renew
from tests.unit.replication.steps import TIMING
from tests.unit.replication.test_primary import CACHE_FEED, REPLICA_FEED, PrimaryTest

OVER = 2.0 + TIMING.counted_s(1.0)  # for a lease that is granted at 2.0


class DueTest(PrimaryTest):
    def test_when_its_wait_is_over_and_then_never(self) -> None:
        primary = self.lead()
        self.assertEqual(primary.due(0.0), primary.not_before)
        self.assertEqual(primary.due(primary.not_before), inf)

    def test_a_batch_that_is_sent_out_goes_on_when_a_lease_is_over(self) -> None:
        primary = self.ready()
        self.assertEqual(primary.due(2.1), inf)
        self.propose(primary, "x", at=2.1)
        self.assertEqual(primary.due(2.1), OVER)
        self.assertEqual(primary.due(OVER), inf)

    def test_with_each_of_the_leases(self) -> None:
        primary = self.ready()
        primary.receive(CACHE_FEED, Renew(2), 2.5)
        self.propose(primary, "x", at=2.6)
        self.assertEqual(primary.due(2.6), OVER)
        self.assertEqual(primary.due(OVER), OVER + 0.5)

    def test_so_does_a_hand_over(self) -> None:
        primary = self.ready()
        primary.retire(2.1)
        self.assertEqual(primary.due(2.1), OVER)
        primary.receive(CACHE_FEED, Release(), 2.2)
        primary.receive(REPLICA_FEED, Release(), 2.2)
        self.assertEqual(primary.due(2.2), inf)

    def test_who_holds_a_batch_up_is_left_behind_when_its_time_is_over(self) -> None:
        primary = self.near()
        primary.receive(CACHE_FEED, self.hello(CACHE), 2.0)
        self.assertEqual(primary.due(2.0), 2.0 + TIMING.ack_timeout_s)
