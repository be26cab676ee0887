"""Mutations of what changes who takes part: taking over, handing over, joining."""

from __future__ import annotations

from bazar.replication import joining
from bazar.replication.primary import Primary
from bazar.replication.replica_subscriber import ReplicaSubscriber
from bazar.replication.tenure import Tenure
from tests.simulation.mutations.mutation import mutation, shop

TAKING_OVER = (
    mutation(
        "no wait for the leases of the old epoch",
        "T2",
        (Primary, "take_over", "timing.surely_over_s(old_s)", "0.0"),
        near=34,
    ),
    shop(
        "the wait is of the successor's own lease_s",
        "T2",
        (
            Primary,
            "take_over",
            "timing.surely_over_s(old_s)",
            "timing.surely_over_s(timing.lease_s)",
        ),
        focus="succession",
        near=88,
    ),
    shop(
        "a restarted node waits for the leases on record alone",
        "T5",
        (Primary, "take_over", "timing.lease_s if restarted else 0.0", "0.0"),
        focus="restoring, and another lease",
        near=196,
    ),
    shop(
        "the longest lease granted is forgotten",
        "T2",
        (
            Primary,
            "take_over",
            "longest_s = max(0.0 if membership.clean else membership.lease_s, timing.lease_s)",
            "longest_s = timing.lease_s",
        ),
        (Primary, "_record", "if now < self.not_before:", "if False:"),
        focus="succession",
        near=128,
    ),
    mutation(
        "pending entries are dropped",
        "T3",
        (
            Primary,
            "take_over",
            "primary = cls(\n        *(me, begun, committed, pending,",
            "from bazar.replication.effects import Persist\n"
            "    primary = cls(\n        *(me, begun, committed, (),",
        ),
        (
            Primary,
            "take_over",
            "return primary, [Record(begun)]",
            "return primary, [Record(begun), *([Persist(committed, ())] if pending else [])]",
        ),
        near=13,
    ),
    mutation(
        "pending entries are restamped",
        "T3",
        (
            Primary,
            "take_over",
            "primary = cls(",
            "from bazar.replication.effects import Persist\n"
            "    fresh: list[Entry] = []\n"
            "    for old in pending:\n"
            "        change = Change(old.tags, old.effects)\n"
            "        fresh.append(chain(tail_mark(committed, fresh), begun.epoch, change))\n"
            "    old_pending, pending = pending, tuple(fresh)\n"
            "    primary = cls(",
        ),
        (
            Primary,
            "take_over",
            "return primary, [Record(begun)]",
            "return primary, [Record(begun), *([Persist(committed, pending)] if pending else [])]",
        ),
        near=8,
    ),
    mutation(
        "pending entries are committed alone",
        "T3",
        (
            Primary,
            "_try_commit",
            "joined = [feed",
            "if self._inherits:\n        return self._commit()\n    joined = [feed",
        ),
        focus="tails",
    ),
    mutation(
        "new operations run before pending entries are committed",
        "T3",
        (Primary, "__init__", "Phase.PREPARED if pending else Phase.IDLE", "Phase.IDLE"),
    ),
    mutation(
        "a member's longer tail is not adopted",
        "T3",
        (joining, "welcome", "tenure.adopts(now)", "False"),
        focus="power",
        near=5,
    ),
    mutation(
        "a member's longer tail is adopted in T2's wait only",
        "T3",
        (Tenure, "adopts", " or self._unproven", ""),
        focus="hearing tails",
        near=133,
    ),
    shop(
        "the hand-over does not wait for the leases",
        "T5",
        (
            Primary,
            "_try_retire",
            "now < self.not_before or any(until > now for until in self.leases.values())",
            "now < self.not_before",
        ),
        focus="forsaking",
        near=1,
    ),
    shop(
        "the hand-over does not wait for its own T2",
        "T5",
        (Primary, "_try_retire", "now < self.not_before or ", ""),
        focus="forsaking",
        near=12,
    ),
    mutation(
        "a clean end is never cleared",
        "T5",
        (
            Primary,
            "take_over",
            "membership.members, longest_s)",
            "membership.members, longest_s, membership.clean)",
        ),
        (
            Primary,
            "_record",
            "Membership(self.epoch, members, lease_s, clean)",
            "Membership(self.epoch, members, lease_s, clean or self.membership.clean)",
        ),
        focus="succession",
        near=333,
    ),
    mutation(
        "a restarted node trusts its disk after a clean end",
        "T5",
        (Primary, "take_over", "membership.clean and not restarted", "membership.clean"),
        focus="power",
        near=23,
    ),
    mutation(
        "a retiring primary grants",
        "T5",
        (Primary, "_grant", "self.life is not Life.LEADING", "self.stopped"),
        focus="leaving",
        near=8,
    ),
)

JOINING = (
    mutation(
        "a new member counts before it is in the set",
        "J4",
        (Primary, "_advance", "if self._is_member(feed):", "if True:"),
        (
            Primary,
            "_try_commit",
            "members != self.membership.members",
            "members < self.membership.members",
        ),
        near=1,
    ),
    mutation(
        "a new member counts before it is durable up to the tail",
        "J4",
        (Primary, "_advance", "if feed.welcomed and feed.acked == self.tail:", "if feed.welcomed:"),
    ),
    mutation(
        "who is passed over stays",
        "L3",
        (
            Primary,
            "_try_commit",
            'effects += self._close(feed, "did not acknowledge in time")',
            "pass",
        ),
        focus="hanging",
        near=198,
    ),
    mutation(
        "the boundary is held for nobody",
        "J4",
        (Primary, "begin", "if feed.near]", "if False]"),
        focus="crowding",
        near=12,
    ),
    mutation(
        "the boundary is held for ever",
        "J4",
        (Primary, "tick", "now >= feed.hold_until", "False"),
        focus="hanging",
        near=66,
    ),
    mutation(
        "a primary that lost commits stays",
        "J5",
        (
            Primary,
            "_welcome",
            "elif is_member and (page.base is not None or theirs.seq > self.tail.seq):",
            "elif False:",
        ),
        focus="hearing",
        near=356,
    ),
    mutation(
        "a log that was compacted is sent all the same",
        "J3",
        (Primary, "_welcome", "if page.base == theirs:", "if page.base in (theirs, None):"),
        near=3,
    ),
    mutation(
        "a snapshot takes a member's pending entries",
        "J3",
        (
            Primary,
            "_welcome",
            "elif is_member and (self.pending or now < self.not_before):",
            "elif False:",
        ),
        focus="rejoining",
        near=233,
    ),
    mutation(
        "a snapshot counts from its first chunk",
        "J3",
        (ReplicaSubscriber, "stored", "if chunk.final:", "if chunk.first:"),
        near=33,
    ),
    mutation(
        "a snapshot's first chunk forgets what is held",
        "J3",
        (
            ReplicaSubscriber,
            "_installing",
            "return self._write",
            "self.pending.clear()\n    self._durable = self.committed\n    return self._write",
        ),
        focus="refilling",
        near=21,
    ),
)
