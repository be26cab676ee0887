"""The simulated servers do what PostgreSQL does, whatever the seed."""

from __future__ import annotations

import pytest

from tests.facts import ALL, Fact, check
from tests.world.database.lab import show, simulated


@pytest.mark.parametrize("fact", ALL, ids=lambda fact: fact.__name__)
def test_fact(fact: Fact) -> None:
    for seed in range(5):
        show(seed, lambda lab: check(fact, lab))


def test_a_schedule_comes_to_the_same_in_any_world() -> None:
    """So it can be compared with what real servers make of it."""
    outcomes = set()
    for seed in range(10):
        told = simulated(seed)
        assert told == simulated(seed, world=1) == simulated(seed, world=2), seed
        outcomes |= {line.split()[-1] for line in told}
    assert {"waits", "40001", "55P03", "23505", "25P02"} <= outcomes
