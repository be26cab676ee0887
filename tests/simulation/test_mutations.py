"""Each rule taken away is noticed: the simulation is not green because it is blind."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.pool import AsyncResult

import pytest

from tests.simulation.focus import FOCUSES
from tests.simulation.mutations import ALL
from tests.simulation.mutations.hunt import Finding, hunt
from tests.simulation.scenario import run
from tests.simulation.workers import workers

WITHIN = 300
INDEXES = range(len(ALL))
IDS = [f"{mutation.rule} {mutation.name}" for mutation in ALL]


@pytest.fixture(scope="module")
def hunts() -> Iterator[list[AsyncResult[Finding | None]]]:
    """All mutations, side by side."""
    with workers() as pool:
        yield [pool.apply_async(hunt, (index, WITHIN)) for index in INDEXES]


@pytest.mark.parametrize("index", INDEXES, ids=IDS)
def test_is_found(index: int, hunts: list[AsyncResult[Finding | None]]) -> None:
    finding = hunts[index].get(timeout=600)
    assert finding is not None, f"no violation within {WITHIN} seeds"


@pytest.mark.parametrize("focus", FOCUSES)
def test_the_focus_is_not_what_is_found(focus: str) -> None:
    """Without a mutation those worlds are in order; ordinary seeds draw them too."""
    for seed in range(20):
        assert not run(seed, focus=focus).violation


def test_names_are_unique() -> None:
    assert len({mutation.name for mutation in ALL}) == len(ALL)
