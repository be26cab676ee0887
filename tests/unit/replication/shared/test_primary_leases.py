"""A primary over one database: its leases end with its hold."""

from __future__ import annotations

import unittest

from bazar.replication.messages import CACHE, WIRE_VERSION, Grant, Hello, Mark, Member, Renew
from bazar.replication.shared.hold import Hold, Tempo
from bazar.replication.shared.primary import LEAST_LEASES, SharedPrimary
from tests.unit.replication.steps import HERE, TIMING, sent

FEED = 1
TEMPO = Tempo(primary_lease_s=4.0, pause_s=0.0)


class LeasesTest(unittest.TestCase):
    def setUp(self) -> None:
        """A cache has joined at time 0, when the hold begins."""
        me, mark, self.hold = Member("r-1", ""), Mark(7, "e1"), Hold(TEMPO, 0.0)
        self.primary = SharedPrimary.begin_epoch(me, 1, mark, self.hold, TIMING, HERE)
        hello = Hello(WIRE_VERSION, CACHE, "f-1", "run", "", 1, mark, mark, "e1")
        self.primary.receive(FEED, hello, 0.0)

    def test_p2_a_lease_ends_with_the_hold_at_the_latest(self) -> None:
        for number, now in enumerate((0.5, 3.5)):
            lease_s = min(TIMING.lease_s, self.hold.grantable_s(now))
            effects = self.primary.receive(FEED, Renew(number), now)
            self.assertEqual(sent(effects), [Grant(1, number, lease_s)])

    def test_p2_one_that_is_not_worth_its_messages_is_granted_when_the_hold_is_longer(self) -> None:
        now = self.hold.until - LEAST_LEASES * TIMING.lease_s
        self.assertEqual(self.primary.receive(FEED, Renew(1), now), [])
        self.assertEqual(self.primary.leases, {})
        self.hold.confirmed(now, now)
        self.assertEqual(sent(self.primary.tick(now)), [Grant(1, 1, TIMING.lease_s)])
