"""A primary that hands over by its rules: whom it waits for, and what it leaves."""

from __future__ import annotations

from bazar.errors import Unavailable
from bazar.replication.effects import Record, Stop
from bazar.replication.messages import Release, Renew, Revoke
from tests.unit.replication.steps import sent
from tests.unit.replication.test_primary import CACHE_FEED, ME, OTHER, REPLICA_FEED, PrimaryTest, of


class HandingOverTest(PrimaryTest):
    def test_t5_it_hands_over_when_every_lease_is_given_back(self) -> None:
        primary = self.ready()
        effects = primary.retire(2.1)
        for feed in (REPLICA_FEED, CACHE_FEED):
            self.assertEqual(sent(effects, feed), [Revoke()])
        self.assertEqual(of(effects, Record), [])
        self.assertFalse(primary.begin(2.1))
        self.assertEqual(primary.receive(CACHE_FEED, Renew(2), 2.1), [])
        primary.receive(CACHE_FEED, Release(), 2.1)
        [record] = of(primary.receive(REPLICA_FEED, Release(), 2.1), Record)
        assert isinstance(record, Record)
        self.assertTrue(record.membership.clean)
        self.assertEqual(record.membership.members, {ME, OTHER})
        [stop] = of(primary.recorded(2.1), Stop)
        assert isinstance(stop, Stop)
        self.assertTrue(stop.clean)
        with self.assertRaises(Unavailable):  # its successor may have committed already
            primary.read(None, 2.1)
