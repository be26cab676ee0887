"""Each rule taken away is noticed: the simulation is not green because it is blind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.pool import AsyncResult

import pytest

from tests.simulation.mutations import ALL, Finding, hunt

WITHIN = 500
# It takes more seeds than a test has time for: `python -m tests.simulation.mutations`.
RARE = {
    "a restarted primary adds members at once",
    "an old lease's flights go on",
    "the longest lease granted is forgotten",
    "a retiring primary grants",
    "a hello before the disk is quiet",
    "a restarted primary grants leases at once",
    "a primary that lost commits stays",
    "a snapshot's first chunk forgets what is held",
}
COMMON = [index for index, mutation in enumerate(ALL) if mutation.name not in RARE]
IDS = [f"{ALL[index].rule} {ALL[index].name}" for index in COMMON]


@pytest.fixture(scope="module")
def hunts() -> Iterator[dict[int, AsyncResult[Finding | None]]]:
    """All mutations, side by side. Each begins at a seed that is known to notice it: as the code
    changes, seeds come to mean other runs, and those after it are tried."""
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        yield {index: pool.apply_async(hunt, (index, WITHIN)) for index in COMMON}


@pytest.mark.parametrize("index", COMMON, ids=IDS)
def test_is_found(index: int, hunts: dict[int, AsyncResult[Finding | None]]) -> None:
    finding = hunts[index].get(timeout=600)
    assert finding is not None, f"no violation within {WITHIN} seeds from {ALL[index].found_at}"


def test_names_are_unique() -> None:
    assert len({mutation.name for mutation in ALL}) == len(ALL)
