"""The quantiles of latencies that are shown."""

from __future__ import annotations

import math
from collections.abc import Iterable

# Enough for a curve, up to the last one that many measurements still support.
FRACTIONS = (*(percent / 100 for percent in range(1, 100)), 0.995, 0.999, 0.9999)


def quantile_ms(seconds: Iterable[float], fraction: float) -> float:
    """Return the exact quantile of a few measurements, by nearest rank.

    >>> quantile_ms([0.003, 0.001, 0.002], 0.5)
    2.0
    """
    ordered = sorted(seconds)
    return ordered[max(math.ceil(fraction * len(ordered)) - 1, 0)] * 1000
