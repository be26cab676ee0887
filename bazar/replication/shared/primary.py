"""The writing side over one database, sans-I/O: no log, no members; a hold instead of a lock."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Self

from bazar.errors import Unavailable
from bazar.replication.messages import ArbiterId, Change, Entry, Mark, Member, Membership
from bazar.replication.primary import Primary
from bazar.replication.shared.hold import Hold
from bazar.replication.states import HandOver
from bazar.replication.timing import Timing

LEAST_LEASES = 0.25  # a lease shorter than this part of the usual one is not worth its messages


class SharedPrimary(Primary):
    """One primaryship, from a confirmed take-over to `Stop`. A mark's digest is its epoch's id:
    two marks are equal if both name the same entry of the same epoch."""

    hold: Hold

    @classmethod
    def begin_epoch(
        cls, me: Member, epoch: int, mark: Mark, hold: Hold, timing: Timing, arbiter: ArbiterId
    ) -> Self:
        """Lead from `mark`, which the take-over has confirmed (P3): no lease of an older epoch is
        running, and nothing is pending (P2, P4)."""
        primary = cls(
            *(me, Membership(epoch, frozenset({me}), timing.lease_s), mark, (), -inf, timing),
            epoch_id=mark.digest,
            restarted=False,
            arbiter=arbiter,
        )
        primary._recording = None
        primary.hold = hold
        return primary

    def begin(self, now: float) -> bool:
        return now < self.hold.until and super().begin(now)

    def _lease_s(self, now: float) -> float:
        lease_s = min(super()._lease_s(now), self.hold.grantable_s(now))
        return lease_s if lease_s >= LEAST_LEASES * self.timing.lease_s else 0.0

    def extend(self, changes: Iterable[Change]) -> tuple[Entry, ...]:
        """Return the entries that follow the mark, in order."""
        return tuple(
            Entry(seq, self.epoch, change.tags, change.effects, self.epoch_id)
            for seq, change in enumerate(changes, self.tail.seq + 1)
        )

    def read(self, tags: frozenset[str] | None, now: float) -> int:
        """Return 0: what a read must wait for is known by its snapshot (L6). Raises Unavailable."""
        # From when it begins to release the primaryship, others may have it (T5).
        released = self.stopped or isinstance(self._recording, HandOver)
        if released or now >= self.hold.until:
            raise Unavailable(f"{self.me.node} does not hold the primaryship")
        return 0
