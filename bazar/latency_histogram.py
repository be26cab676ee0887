"""Latencies, counted in buckets that are wider by a fixed factor each: of bounded size, and those
of several processes add up exactly (as HdrHistogram, Tene, 2012)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

Quantiles = Mapping[float, float]
"""Milliseconds by fraction."""


@dataclass(frozen=True)
class Scale:
    """The buckets: the first ends at `shortest_ms`, each next one is `growth` times as wide, and
    the last has no end."""

    shortest_ms: float
    growth: float
    buckets: int

    @cached_property
    def bounds_ms(self) -> tuple[float, ...]:
        return tuple(self.shortest_ms * self.growth**step for step in range(self.buckets))


COARSE = Scale(0.01, 1.25, 64)  # 10 µs to 13 s
FINE = Scale(0.001, 1.01, 1700)  # 1 µs to 22 s, to one per cent


class LatencyHistogram:
    """Counts that only grow, one for each bucket of `scale`."""

    def __init__(self, scale: Scale = COARSE, counts: Sequence[int] | None = None) -> None:
        self._bounds_ms = scale.bounds_ms
        self.counts = [0] * (len(self._bounds_ms) + 1) if counts is None else list(counts)

    def add(self, ms: float) -> None:
        self.add_all((ms,))

    def add_all(self, latencies_ms: Iterable[float]) -> None:
        counts, bounds_ms = self.counts, self._bounds_ms
        for ms in latencies_ms:
            counts[bisect_left(bounds_ms, ms)] += 1

    def merge(self, counts: Sequence[int]) -> None:
        """Add the counts of another histogram of the same scale."""
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]

    @property
    def total(self) -> int:
        return sum(self.counts)

    def quantiles(self, fractions: Iterable[float]) -> dict[float, float]:
        """For each fraction, the milliseconds below which so many lie: the end of a bucket. Empty
        if nothing was counted.

        >>> LatencyHistogram(counts=[0, 3, 1] + [0] * 62).quantiles([0.5])
        {0.5: 0.0125}
        """
        seen = list(accumulate(self.counts))
        if not seen[-1]:
            return {}
        last = len(self._bounds_ms) - 1
        return {
            fraction: self._bounds_ms[min(bisect_left(seen, fraction * seen[-1]), last)]
            for fraction in fractions
        }
