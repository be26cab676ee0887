"""Drawing: which mutants of a tree are judged."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutants.equivalent import Equivalent
from tests.mutants.mutant import Mutant
from tests.mutants.operators import mutants

UNCHANGED_EVERY = 20


def candidates(root: Path, files: Iterable[str]) -> list[Mutant]:
    """All mutants of these files."""
    return [mutant for file in files for mutant in mutants(file, (root / file).read_bytes())]


def draw(every: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """A random sample; the larger of two with the same seed begins with the smaller. The first of
    each twenty is an unchanged copy."""
    shuffled = list(every)
    random.Random(seed).shuffle(shuffled)
    return [
        mutant if number % UNCHANGED_EVERY else mutant.copy()
        for number, mutant in enumerate(shuffled[:count])
    ]


def stale(every: Iterable[Mutant], equivalents: Iterable[Equivalent]) -> list[Equivalent]:
    """The equivalents that are no mutants any more."""
    names = {mutant.name for mutant in every}
    return [one for one in equivalents if one.name not in names]
