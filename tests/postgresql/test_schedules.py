"""Random schedules come to the same on real servers as on simulated ones."""

from __future__ import annotations

import pytest

from tests.facts.schedules import played
from tests.postgresql.lab import RealLab
from tests.postgresql.test_facts import pair
from tests.world.database.lab import simulated

lab = pytest.fixture(scope="module")(pair)


@pytest.mark.parametrize("seed", range(20))
async def test_a_schedule(lab: RealLab, seed: int) -> None:
    assert await played(lab, seed) == simulated(seed)
