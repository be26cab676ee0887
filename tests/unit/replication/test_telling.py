"""What an operator is told of both sides of the protocol."""

from __future__ import annotations

from bazar.replication.cache_subscriber import CacheSubscriber
from bazar.replication.messages import Ack, Grant, Welcome
from bazar.replication.telling import standing
from tests.unit.replication.steps import HERE, TIMING
from tests.unit.replication.test_primary import (
    CACHE_FEED,
    EPOCH_ID,
    OTHER,
    REPLICA_FEED,
    PrimaryTest,
)


class StandingTest(PrimaryTest):
    def test_how_long_a_primary_waits_yet(self) -> None:
        primary = self.lead()
        told = [standing(primary, now)["waits_s"] for now in (0.0, 1.0, 1.5)]
        self.assertEqual(told, [1.01, 0.01, 0.0])

    def test_how_a_primary_stands(self) -> None:
        primary = self.ready()
        [entry] = self.propose(primary, "x", at=2.5)
        primary.receive(REPLICA_FEED, Ack(entry.mark), 2.5)
        replica = {"node": "r-2", "kind": "replica", "joined": True, "acked": 4, "lag": 0}
        cache = {"node": "f-1", "kind": "cache", "joined": True, "acked": 3, "lag": 0}
        self.assertEqual(
            standing(primary, 2.5),
            {
                "epoch": 2,
                "epoch_id": EPOCH_ID,
                "committed": 3,
                "digest": self.committed.digest,
                "pending": 1,
                "waits_s": 0.0,
                "members": ["r-1", "r-2"],
                "feeds": [{**replica, "lease_s": 0.51}, {**cache, "lease_s": 0.51}],
            },
        )
        [one, other] = standing(primary, 4.0)["feeds"]
        self.assertEqual((one["lease_s"], other["lease_s"]), (0.0, 0.0))

    def test_how_far_a_replica_is_behind(self) -> None:
        primary = self.lead(OTHER)
        self.far(primary, 2.0)
        [feed] = standing(primary, 2.0)["feeds"]
        told = {name: feed[name] for name in ("joined", "acked", "lag", "lease_s")}
        self.assertEqual(told, {"joined": False, "acked": 1, "lag": 2, "lease_s": 0.0})

    def test_how_a_subscriber_stands(self) -> None:
        cache = CacheSubscriber("f-1", "run", TIMING)
        cache.connected(CACHE_FEED, 0.0)
        welcome = Welcome(2, self.committed, self.committed, False, EPOCH_ID, HERE)
        cache.receive(CACHE_FEED, welcome, 0.1)
        shown = standing(cache, 0.1)
        self.assertEqual((shown["epoch"], shown["lease_s"]), (2, 0.0))
        self.assertNotIn("feeds", shown)
        cache.receive(CACHE_FEED, Grant(2, 1, 1.0), 0.2)
        told = [standing(cache, now)["lease_s"] for now in (0.25, 7.0)]
        self.assertEqual(told, [0.75, 0.0])
