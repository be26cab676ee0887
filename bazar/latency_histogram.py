"""Latencies, counted in buckets of fixed bounds: of bounded size, and those of several processes
add up exactly (as HdrHistogram, Tene, 2012)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

Quantiles = Mapping[float, float]
"""Milliseconds by fraction."""

PREFERRED = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
"""One decade in steps of about a quarter (Renard's series R10, ISO 3)."""


@dataclass(frozen=True)
class Scale:
    """Where the buckets end, in milliseconds; behind them is one that has no end."""

    bounds_ms: tuple[float, ...]

    @classmethod
    def growing(cls, shortest_ms: float, growth: float, buckets: int) -> Scale:
        """Return a scale whose first bucket ends at `shortest_ms`, and each next one is `growth`
        times as wide."""
        return cls(tuple(shortest_ms * growth**step for step in range(buckets)))


COARSE = Scale(
    tuple(
        round(step * 10.0**decade, 4)
        for decade in range(-2, 5)
        for step in PREFERRED
        if step * 10.0**decade <= 20_000
    )
)  # 10 µs to 20 s
FINE = Scale.growing(0.001, 1.01, 1700)  # 1 µs to 22 s, to one per cent


class LatencyHistogram:
    """Counts that only grow, one for each bucket of `scale`; and the sum of what was counted."""

    def __init__(self, scale: Scale = COARSE, counts: Sequence[int] | None = None) -> None:
        self.bounds_ms = scale.bounds_ms
        self.counts = [0] * (len(self.bounds_ms) + 1) if counts is None else list(counts)
        self.sum_ms = 0.0

    def add(self, ms: float) -> None:
        self.add_all((ms,))

    def add_all(self, latencies_ms: Iterable[float]) -> None:
        counts, bounds_ms, sum_ms = self.counts, self.bounds_ms, self.sum_ms
        for ms in latencies_ms:
            counts[bisect_left(bounds_ms, ms)] += 1
            sum_ms += ms
        self.sum_ms = sum_ms

    def merge(self, counts: Sequence[int], sum_ms: float = 0.0) -> None:
        """Add what another histogram of the same scale has counted."""
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]
        self.sum_ms += sum_ms

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
        last = len(self.bounds_ms) - 1
        return {
            fraction: self.bounds_ms[min(bisect_left(seen, fraction * seen[-1]), last)]
            for fraction in fractions
        }
