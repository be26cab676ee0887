"""The drawing of the mutants that are judged."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutants.equivalent import Equivalent
from tests.mutants.mutant import Mutant
from tests.mutants.operators import mutants

UNCHANGED_EVERY = 60  # each takes minutes: all that executes it judges it


def candidates(root: Path, files: Iterable[str]) -> list[Mutant]:
    """Return all mutants of these files."""
    return [mutant for file in files for mutant in mutants(file, (root / file).read_bytes())]


def draw(every: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return a random sample; of two with the same seed the larger begins with the smaller. The
    first of every sixty is an unchanged copy."""
    shuffled = list(every)
    random.Random(seed).shuffle(shuffled)
    return [
        mutant if number % UNCHANGED_EVERY else mutant.copy()
        for number, mutant in enumerate(shuffled[:count])
    ]


def stale(every: Iterable[Mutant], equivalents: Iterable[Equivalent]) -> list[Equivalent]:
    """Return the equivalents that are no longer mutants."""
    names = {mutant.name for mutant in every}
    return [one for one in equivalents if one.name not in names]
