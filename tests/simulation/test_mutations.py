"""Each rule taken away is noticed: the simulation is not green because it is blind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.pool import AsyncResult

import pytest

from tests.simulation.mutations import ALL, Finding, hunt

WITHIN = 500
IDS = [f"{mutation.rule} {mutation.name}" for mutation in ALL]


@pytest.fixture(scope="module")
def hunts() -> Iterator[list[AsyncResult[Finding | None]]]:
    """All mutations, side by side. Each begins at a seed that is known to notice it: as the code
    changes, seeds come to mean other runs, and those after it are tried."""
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        yield [pool.apply_async(hunt, (index, WITHIN)) for index in range(len(ALL))]


@pytest.mark.parametrize("index", range(len(ALL)), ids=IDS)
def test_is_found(index: int, hunts: list[AsyncResult[Finding | None]]) -> None:
    finding = hunts[index].get(timeout=600)
    assert finding is not None, f"no violation within {WITHIN} seeds from {ALL[index].found_at}"


def test_names_are_unique() -> None:
    assert len({mutation.name for mutation in ALL}) == len(ALL)
