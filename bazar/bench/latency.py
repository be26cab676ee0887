"""How long requests took: a histogram of fixed relative precision, and its quantiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

PRECISION = 1.01  # each bucket is 1 % wider than the one below it
SHORTEST_S = 1e-6

# Enough for a curve; ends at what many measurements still tell.
FRACTIONS = (*(percent / 100 for percent in range(1, 100)), 0.995, 0.999, 0.9999)

Quantiles = Mapping[float, float]
"""Milliseconds by fraction."""


class Histogram:
    """Seconds, counted in buckets: histograms of several processes add up exactly."""

    def __init__(self, buckets: Mapping[int, int] | None = None) -> None:
        self.buckets = Counter(buckets or {})

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Histogram:
        """
        >>> Histogram.of([0.001, 0.002, 0.003]).total
        3
        """
        width = math.log(PRECISION)
        return cls(Counter(int(math.log(max(one / SHORTEST_S, 1.0)) / width) for one in seconds))

    @property
    def total(self) -> int:
        return sum(self.buckets.values())

    def add(self, other: Histogram) -> None:
        self.buckets.update(other.buckets)

    def quantiles(self, fractions: Iterable[float] = FRACTIONS) -> dict[float, float]:
        """For each fraction the milliseconds that so many requests stayed within: a bucket's
        middle. Empty if nothing was measured."""
        found: dict[float, float] = {}
        ordered = sorted(self.buckets.items())
        wanted = sorted(fractions)
        total, seen, place = self.total, 0, 0
        for bucket, count in ordered:
            seen += count
            while place < len(wanted) and seen >= wanted[place] * total:
                middle_s = SHORTEST_S * PRECISION ** (bucket + 0.5)
                found[wanted[place]] = middle_s * 1000
                place += 1
        return found


def quantile_ms(seconds: Iterable[float], fraction: float) -> float:
    """The exact one of a few measurements, by nearest rank.

    >>> quantile_ms([0.003, 0.001, 0.002], 0.5)
    2.0
    """
    ordered = sorted(seconds)
    return ordered[max(math.ceil(fraction * len(ordered)) - 1, 0)] * 1000
