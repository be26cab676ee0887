"""The durations of the protocol, and the one question that both of its sides ask of a log.

The end of a lease is computed by its holder in `Subscriber._granted` and by the primary that grants
it in `Primary._grant` (L1), by a primary for its own reads in `Tenure.confirmed` (L5), and by its
successor, for all that may still be running, in `Tenure.take_over` (T2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bazar.drift import DRIFT
from bazar.replication.messages import Entry

RENEWALS_PER_LEASE = 3
TICKS_PER_LEASE = 30  # at the most


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds. Two clocks of one group differ by less than 1 % in rate (L1)."""

    lease_s: float = 1.0
    ack_timeout_s: float = 0.3
    pause_s: float = 0.0
    """For how long a subscriber's machine may stand still, with its clock, unnoticed."""

    def counted_s(self, lease_s: float) -> float:
        """Return how long a primary counts a lease of `lease_s` from when it grants it."""
        return self.surely_over_s(lease_s) + self.pause_s

    @staticmethod
    def surely_over_s(lease_s: float) -> float:
        """Return how long another clock must count until a lease of `lease_s` is over at its
        holder."""
        return lease_s * (1 + DRIFT)


def touched_seq(pending: Iterable[Entry], tags: frozenset[str] | None) -> int:
    """Return the newest pending entry that touches `tags`, 0 for none.

    None stands for a read that may show anything, as a search does: every entry touches it.
    """
    touching = [e.seq for e in pending if tags is None or not tags.isdisjoint(e.tags)]
    return max(touching, default=0)
