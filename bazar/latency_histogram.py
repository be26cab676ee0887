"""A histogram of latencies: how many requests took how long, in counts that only grow."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice

BOUNDS_MS = tuple(0.01 * 1.25**step for step in range(64))  # 10 µs to 13 s; the last has no end


class Meter:
    """A histogram of bounded size: each bucket is a quarter wider than the one before."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_MS) + 1)

    def add(self, ms: float) -> None:
        self.counts[bisect_left(BOUNDS_MS, ms)] += 1

    def add_all(self, latencies_ms: Iterable[float]) -> None:
        for ms in latencies_ms:
            self.add(ms)


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Return the latency in ms that `share` (0 to 1) of those counted do not exceed; None if there
    are none.

    >>> percentile([0, 3, 1] + [0] * 62, 0.5)
    0.0125
    """
    wanted = share * sum(counts)
    if wanted == 0:
        return None
    [bucket] = islice((n for n, seen in enumerate(accumulate(counts)) if seen >= wanted), 1)
    return BOUNDS_MS[min(bucket, len(BOUNDS_MS) - 1)]
