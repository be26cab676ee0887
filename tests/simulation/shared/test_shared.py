"""Shops over a database keep their promises, and each rule that is taken out is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.pool import AsyncResult

import pytest

from tests.simulation.mutations.hunt import Finding
from tests.simulation.mutations.mutation import Mutation
from tests.simulation.shared.focuses import FOCUSES
from tests.simulation.shared.mutations import SHARED, UNMET
from tests.simulation.shared.run import hunt, run
from tests.simulation.workers import workers

SEEDS = 20
PER_FOCUS = 2
WITHIN = 400
INDEXES = [index for index, mutation in enumerate(SHARED) if mutation.near != UNMET]
IDS = [f"{SHARED[index].rule} {SHARED[index].name}" for index in INDEXES]


def test_ordinary_seeds() -> None:
    with workers() as pool:
        for result in pool.imap_unordered(run, range(SEEDS), chunksize=5):
            assert not (result.violation or result.error), result


@pytest.mark.parametrize("focus", FOCUSES)
def test_the_focus_is_not_what_is_found(focus: str) -> None:
    for seed in range(PER_FOCUS):
        result = run(seed, focus=focus)
        assert not (result.violation or result.error), result


@pytest.fixture(scope="module")
def hunts() -> Iterator[dict[int, AsyncResult[Finding | None]]]:
    """All mutations, side by side."""
    with workers() as pool:
        yield {index: pool.apply_async(hunt, (index, WITHIN)) for index in INDEXES}


@pytest.mark.parametrize("index", INDEXES, ids=IDS)
def test_is_found(index: int, hunts: dict[int, AsyncResult[Finding | None]]) -> None:
    finding = hunts[index].get(timeout=1200)
    assert finding is not None, f"no violation within {WITHIN} seeds"
    assert finding.violation, f"only noticed by an exception: {finding.error}"


@pytest.mark.parametrize("mutation", SHARED, ids=lambda mutation: mutation.name)
def test_it_is_of_code_that_is_there(mutation: Mutation) -> None:
    with mutation.applied():
        pass


def test_names_are_unique() -> None:
    assert len({mutation.name for mutation in SHARED}) == len(SHARED)
