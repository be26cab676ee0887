"""Each removed rule is noticed: the simulation is not green because it is blind."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.pool import AsyncResult

import pytest

from tests.simulation import test_rare
from tests.simulation.focus import FOCUSES, PARTS
from tests.simulation.mutations import ALL, Mutation
from tests.simulation.mutations.hunt import Finding, hunt
from tests.simulation.mutations.rare import RARE
from tests.simulation.scenario import run
from tests.simulation.workers import workers

WITHIN = 400
INDEXES = range(len(ALL))
IDS = [f"{mutation.rule} {mutation.name}" for mutation in ALL]


@pytest.fixture(scope="module")
def hunts() -> Iterator[dict[int, AsyncResult[Finding | None]]]:
    """All mutations, side by side."""
    with workers() as pool:
        yield {index: pool.apply_async(hunt, (index, WITHIN, True, True)) for index in INDEXES}


@pytest.mark.parametrize("index", INDEXES, ids=IDS)
def test_is_found(index: int, hunts: dict[int, AsyncResult[Finding | None]]) -> None:
    finding = hunts[index].get(timeout=1200)
    assert finding is not None, f"no violation within {WITHIN} seeds"
    assert finding.violation, f"only noticed by an exception: {finding.error}"


@pytest.mark.parametrize("focus", FOCUSES)
def test_the_focus_is_not_what_is_found(focus: str) -> None:
    """Without a mutation these worlds are in order; ordinary seeds draw them, too."""
    for seed in range(5):
        result = run(seed, focus=focus)
        assert not (result.violation or result.error)


@pytest.mark.parametrize("mutation", RARE, ids=lambda mutation: mutation.name)
def test_what_seeds_meet_too_seldom_is_played_by_hand(mutation: Mutation) -> None:
    plays = [play for name, play in vars(test_rare).items() if name.startswith("test_")]
    assert plays
    with mutation.applied(), pytest.raises((AssertionError, pytest.fail.Exception)):
        for play in plays:
            play()


def test_names_are_unique() -> None:
    assert len({mutation.name for mutation in ALL}) == len(ALL)
    assert len(FOCUSES) == sum(map(len, PARTS))
