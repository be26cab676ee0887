"""Looking for the seeds that notice a mutation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.simulation.mutations import ALL
from tests.simulation.scenario import run


@dataclass(frozen=True, slots=True)
class Finding:
    """A seed that notices: by a named promise that does not hold, or only by an exception or a run
    in circles, which is no proof that the rule is watched."""

    seed: int
    violation: str
    error: str

    def __str__(self) -> str:
        return self.violation or f"(unnamed) {self.error}"


def findings(index: int, seeds: Iterable[int], focused: bool = True) -> Iterator[Finding]:
    """Yield the seeds that notice a mutation."""
    mutation = ALL[index]
    focus = mutation.focus if focused else ""
    with mutation.applied():
        for seed in seeds:
            result = run(seed, focus=focus, core=focused and not mutation.shop)
            if result.violation or result.error:
                yield Finding(seed, result.violation, result.error)


def hunt(index: int, within: int, focused: bool = True, near: bool = False) -> Finding | None:
    """Return the first seed, of so many, that notices by name, else the first that notices at all.
    If `near`, begin at the seed that the mutation names."""
    begin = ALL[index].near if near else 0
    unnamed: Finding | None = None
    for finding in findings(index, (*range(begin, within), *range(begin)), focused):
        if finding.violation:
            return finding
        unnamed = unnamed or finding
    return unnamed
