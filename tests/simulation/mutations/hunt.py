"""Looking for the seeds that notice a mutation."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.mutations import ALL
from tests.simulation.scenario import run

Finding = tuple[int, str]


def findings(index: int, within: int) -> Iterator[Finding]:
    """The seeds, of the first so many, that notice a mutation, and what they say."""
    mutation = ALL[index]
    with mutation.applied():
        for seed in range(within):
            violation = run(seed, focus=mutation.focus).violation
            if violation:
                yield seed, violation


def hunt(index: int, within: int) -> Finding | None:
    """The first seed that notices."""
    return next(findings(index, within), None)


def census(index: int, within: int) -> list[Finding]:
    """All that notice."""
    return list(findings(index, within))
