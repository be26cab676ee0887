"""How long a primary holds back for one subscriber, and until when it waits for its log."""

from __future__ import annotations

from dataclasses import replace

from bazar.replication.effects import LogPage, Record, SendSnapshot
from bazar.replication.messages import GENESIS, REPLICA, Ack, Mark, Member
from bazar.replication.primary import Primary
from tests.unit.replication.steps import TIMING, log
from tests.unit.replication.test_primary import ME, OTHER, REPLICA_FEED, PrimaryTest, of

WAITED = TIMING.surely_over_s(1.0)  # T2's wait


class WaitingTest(PrimaryTest):
    def welcomed(self, primary: Primary, last: Mark, at: float) -> None:
        """A replica whose log ends at `last` is welcomed, and is sent all that is committed."""
        primary.receive(REPLICA_FEED, replace(self.hello(REPLICA), last=last), at)
        primary.log_read(REPLICA_FEED, LogPage(self.committed, (), end=True), at)

    def test_j4_however_many_are_near_the_next_batch_waits_so_long(self) -> None:
        """They enter the set one by one, and a disk takes its time to record each."""
        primary = self.lead()
        for feed, node in ((3, "r-3"), (4, "r-4")):
            primary.receive(feed, self.hello(REPLICA, node=node), 2.0)
            primary.log_read(feed, LogPage(self.committed, (), end=True), 2.0)
        self.assertFalse(primary.begin(2.0))
        recorded = [
            *of(primary.receive(3, Ack(self.committed), 2.1), Record),
            *of(primary.receive(4, Ack(self.committed), 2.1), Record),
        ]
        self.assertEqual(len(recorded), 1)
        primary.tick(2.0 + TIMING.ack_timeout_s)
        self.assertEqual(of(primary.recorded(2.4), Record), [])
        self.assertTrue(primary.begin(2.4))

    def test_t3_a_member_that_has_our_log_is_waited_for_no_more(self) -> None:
        """What it had beyond does not extend ours. Others of the set may never come."""
        primary = self.lead(OTHER, Member("r-3", "s3"), restarted=True)
        self.welcomed(primary, log(Mark(3, "else"), "t")[-1].mark, 0.1)
        self.assertFalse(primary.begin(WAITED))
        primary.receive(REPLICA_FEED, Ack(self.committed), WAITED)
        self.assertTrue(primary.begin(WAITED))

    def test_t4_a_member_that_needs_a_snapshot_keeps_nothing_from_being_committed(self) -> None:
        primary = self.lead(OTHER, pending=log(self.committed, "p"), restarted=True)
        primary.receive(REPLICA_FEED, self.hello(REPLICA, GENESIS), 0.1)
        effects = primary.log_read(REPLICA_FEED, LogPage(None, (), end=False), 0.1)
        self.assertEqual(of(effects, SendSnapshot), [])  # it may have what was acknowledged
        [record] = of(primary.tick(WAITED), Record)
        assert isinstance(record, Record)
        self.assertEqual(record.membership.members, {ME})
