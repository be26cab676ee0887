"""How often readers want each book: Zipf's law, and the hit ratio of an LRU cache under it."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence

BISECTIONS = 40


def zipf(count: int, s: float) -> list[float]:
    """Return how likely each of `count` books is wanted, the most popular first: 1/rank^s,
    normalized.

    >>> [round(one, 3) for one in zipf(3, 1.0)]
    [0.545, 0.273, 0.182]
    """
    weights = [rank**-s for rank in range(1, count + 1)]
    total = sum(weights)
    return [weight / total for weight in weights]


def draw(likely: Sequence[float], times: int, seed: int) -> list[int]:
    """Return `times` places in `likely`, drawn by its probabilities; the same for the same seed."""
    cumulated = list(itertools.accumulate(likely))
    return random.Random(seed).choices(range(len(likely)), cum_weights=cumulated, k=times)


def lru_hit_ratio(likely: Sequence[float], entries: int) -> float:
    """Return the expected hit ratio of an LRU cache under independent requests (Che, Tung & Wang,
    2002): an item is cached if it was wanted within the time in which as many different items were
    wanted as the cache holds.

    >>> lru_hit_ratio([0.5, 0.5], 2)
    1.0
    """
    if entries >= len(likely):
        return 1.0

    def held(time: float) -> float:
        return sum(-math.expm1(-one * time) for one in likely)

    low, high = 0.0, 1.0
    while held(high) < entries:
        high *= 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if held(middle) < entries else (low, middle)
    return sum(one * -math.expm1(-one * high) for one in likely)


def lru_content(wanted: Iterable[int], entries: int) -> list[int]:
    """Return what an LRU cache holds after these requests, the least recently used first.

    >>> lru_content([1, 2, 3, 1], 2)
    [3, 1]
    """
    held: dict[int, None] = {}  # by their last request
    for one in wanted:
        held.pop(one, None)
        held[one] = None
        if len(held) > entries:
            del held[next(iter(held))]
    return list(held)
