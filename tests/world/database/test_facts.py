"""The simulated servers do what PostgreSQL does, whatever the seed."""

from __future__ import annotations

import pytest

from tests.facts import ALL, Fact, check
from tests.world.database.lab import show


@pytest.mark.parametrize("fact", ALL, ids=lambda fact: fact.__name__)
def test_fact(fact: Fact) -> None:
    for seed in range(5):
        show(seed, lambda lab: check(fact, lab))
