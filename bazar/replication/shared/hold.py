"""The primaryship as a lease, sans-I/O: how long its holder holds it (P1, P2), and from when on
another may take it (P3).

`now` is always this node's own clock in seconds. No moment of another machine's clock comes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from bazar.drift import DRIFT
from bazar.replication.shared.database import Look
from bazar.replication.timing import Timing

BEATS_PER_LEASE = 4
LOOKS_PER_LEASE = 10


@dataclass(frozen=True, slots=True)
class Tempo:
    """All in seconds. `pause_s` is how long a machine may stand still without noticing: its clock
    stands still, too, as where its hypervisor moves it to another host."""

    primary_lease_s: float = 3.0
    pause_s: float = 1.0

    @property
    def beat_s(self) -> float:
        return self.primary_lease_s / BEATS_PER_LEASE

    @property
    def over_s(self) -> float:
        """Return how long a beat must have been seen until its holder surely holds no more."""
        return Timing.surely_over_s(self.primary_lease_s) + self.pause_s

    def shortest_s(self, lease_s: float) -> float:
        """Return the shortest `primary_lease_s` with which a subscriber's lease of `lease_s` fits
        between two beats and the hold's end (P2)."""
        needed_s = Timing.surely_over_s(lease_s) + self.pause_s
        return needed_s * BEATS_PER_LEASE / (BEATS_PER_LEASE - 1)


class Hold:
    """How long this node surely holds the primaryship (P1)."""

    def __init__(self, tempo: Tempo, sent_at: float) -> None:
        """Begin with the take-over, which was sent at `sent_at`."""
        self._tempo = tempo
        self.until = sent_at + tempo.primary_lease_s

    def confirmed(self, sent_at: float, now: float) -> None:
        """Take note that the beat that was sent at `sent_at` is confirmed."""
        if now < self.until:
            self.until = max(self.until, sent_at + self._tempo.primary_lease_s)

    def grantable_s(self, now: float) -> float:
        """Return the longest lease that may be granted now: at its holder it is over when this hold
        is, even if that one's clock is slower, and has stood still (P2)."""
        return max((self.until - now - self._tempo.pause_s) / (1 + DRIFT), 0.0)


class Watch:
    """How long a candidate has seen the same beat (P3)."""

    def __init__(self, tempo: Tempo) -> None:
        self._tempo = tempo
        self._seen: Look | None = None
        self._since = inf

    def saw(self, look: Look, now: float) -> bool:
        """Take note of a beat, `now` that its answer is there. Return whether the primaryship may
        be taken over."""
        if look != self._seen:  # another connection counts anew, too
            self._seen, self._since = look, now
        over_s = max(self._tempo.over_s, look.beat.over_ms / 1000)
        return look.beat.released or now - self._since >= over_s

    def lost(self) -> None:
        """Forget what was seen: nobody was asked for a while."""
        self._seen = None
