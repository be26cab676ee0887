"""Making a failing seed simpler: draws are set to 0, where nothing remarkable happens, until hardly
any further draw can be.

Delta debugging (Zeller & Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002):
first whole tapes, then halves of what is left of each, quarters, and so on. Draws that the failing
run did not make are 0 from the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, takewhile
from unittest.mock import patch

from tests.simulation.focus import named
from tests.simulation.scenario import Result, run
from tests.simulation.trace import Trace
from tests.world import world
from tests.world.world import InCircles

RUNS = 300
TRIED_AGAIN = 20  # needed pieces: without which of them is the promise kept?
EVENTS = 20  # of a passing run, from where it takes another way


@dataclass(frozen=True, slots=True)
class AllBut:
    """The numbers of all draws of one tape, except those that are kept."""

    kept: frozenset[int]

    def __contains__(self, number: object) -> bool:
        return number not in self.kept


Kept = Mapping[str, frozenset[int]]  # of each tape


def without(kept: Kept, name: str, piece: Iterable[int]) -> Kept:
    return {**kept, name: kept[name].difference(piece)}


def promise(result: Result) -> str:
    """Return the name of the promise that a run has broken, or "" if it has broken none."""
    return (result.violation or result.error).split(":")[0]


class Shrinking:
    """The draws of one seed that are kept, so that the same promise is broken."""

    def __init__(self, seed: int, focus: str = "", *, core: bool = False) -> None:
        self.seed, self.focus, self.core = seed, focus, core
        self.result = run(seed, focus=focus, core=core, silent={})
        self.kept: Kept = {n: frozenset(range(drawn)) for n, drawn in self.result.draws.items()}
        self.drawn = self.left
        # A run that takes far longer to break it is not simpler.
        self._most_events = min(world.MOST_EVENTS, 2 * self.result.events + 1000)
        self.passing: Kept | None = None
        """The kept draws without one piece, with which no promise is broken."""

    @property
    def left(self) -> int:
        return sum(map(len, self.kept.values()))

    def run(self, kept: Kept, trace: Trace | None = None) -> Result:
        silent = {name: AllBut(numbers) for name, numbers in kept.items()}
        with patch.object(world, "MOST_EVENTS", self._most_events):
            return run(self.seed, trace, self.focus, core=self.core, silent=silent)

    def shrink(self, runs: int = RUNS) -> None:
        """Keep as few draws as can be found in so many runs."""
        broken, needed = promise(self.result), list[tuple[str, list[int]]]()
        for name, piece in islice(self._pieces(), runs):
            kept = without(self.kept, name, piece)
            result = self.run(kept)
            if promise(result) == broken:
                drawn = {one: range(count) for one, count in result.draws.items()}
                self.kept = {
                    one: numbers.intersection(drawn.get(one, ())) for one, numbers in kept.items()
                }
                self.result = result
            else:
                needed.append((name, piece))
        for name, piece in needed[: -TRIED_AGAIN - 1 : -1]:
            kept = without(self.kept, name, piece)
            if promise(self.run(kept)) in ("", InCircles.__name__):
                self.passing = kept
                break

    def _pieces(self) -> Iterator[tuple[str, list[int]]]:
        """Yield the pieces to try without, the largest first."""
        size = max(map(len, self.kept.values()))
        while size:
            for name in self.kept:
                numbers = sorted(self.kept[name])
                for start in range(0, len(numbers), size):
                    piece = numbers[start : start + size]
                    if not self.kept[name].isdisjoint(piece):  # else it is not drawn any more
                        yield name, piece
            size = 0 if size == 1 else (size + 1) // 2

    # --- telling ---------------------------------------------------------------------------------

    def lines(self, last: int) -> Iterator[str]:
        """Draw the end of what is left, and, from where they part, this run and one that passes."""
        trace, other = Trace(), Trace()
        result = self.result
        with suppress(Exception):  # `result` reports it
            self.run(self.kept, trace)
        yield from trace.lines(last)
        yield from result.waits
        if self.passing is not None:
            self.run(self.passing, other)
            both = zip(trace.events, other.events, strict=False)
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
            dropped = {n: self.kept[n] - kept for n, kept in self.passing.items()}
            [(tape, spared)] = [(n, numbers) for n, numbers in dropped.items() if numbers]
            yield f"\nWith {len(spared)} of {tape} silent, too, it passes. It parts here:"
            yield from begins(trace, same)
            yield "\nand that passes:"
            yield from begins(other, same)
        counts = ", ".join(f"{n} {len(numbers)}" for n, numbers in self.kept.items() if numbers)
        said = result.violation or result.error or "no violation"
        yield f"\n{named(self.seed, self.focus)}: {said}"
        yield f"{self.left} of {self.drawn} draws left: {counts}"


def begins(trace: Trace, same: int) -> list[str]:
    """Draw a run from its event number `same`: each event has a row."""
    head, *rows = trace.lines()
    return [head, *rows[same : same + EVENTS]]
