"""What a run comes to: how often each fault happened, and the gaps that it made."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.cluster.gaps import show
from tests.cluster.machines.faults import FAULTS

CALM = "nothing"
WITH, WITHOUT = "  with the database's primary", "  without it"
HEADER = (
    *("what happens", "times", "purchases: median s", "worst s"),
    *("reads: median s", "worst s", "whole again: median s", "worst s"),
)


@dataclass(slots=True)
class Gaps:
    """How long nobody bought anything, and nobody read anything, around each of the times; and how
    long it took, from the end of the fault, until all was well."""

    purchases: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    settled: list[float] = field(default_factory=list)

    def add(self, purchases: float, reads: float, settled: float | None = None) -> None:
        self.purchases.append(purchases)
        self.reads.append(reads)
        if settled is not None:
            self.settled.append(settled)

    def cells(self) -> tuple[str, ...]:
        columns = (self.purchases, self.reads, self.settled)
        figures = [
            f"{figure(values):.2f}" if values else "-"
            for values in columns
            for figure in (statistics.median, max)
        ]
        return (str(len(self.purchases)), *figures)


@dataclass(slots=True)
class Report:
    """What has happened so far, over all runs."""

    seeds: Sequence[int]
    minutes: float = 0.0
    gaps: dict[str, Gaps] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    violation: str | None = None

    def of(self, name: str, part: str = "") -> Gaps:
        """Return the gaps of a fault, or of those of its times of which `part` is true."""
        return self.gaps.setdefault(name + part, Gaps())

    def show(self) -> str:
        lines: list[Sequence[str]] = [HEADER]
        for name in (CALM, *(fault.name for fault in FAULTS)):
            parts = [part for part in (WITH, WITHOUT) if name + part in self.gaps]
            shown = [part for part in ("", *parts) if name + part in self.gaps]
            if len(parts) < 2:
                del shown[1:]
            lines += [(part or name, *self.of(name, part).cells()) for part in shown]
        counts = (f"  {name:30} {count:8}" for name, count in sorted(self.counts.items()))
        seeds = ", ".join(map(str, self.seeds))
        return "\n".join(
            [
                f"{self.minutes:.1f} minutes, seeds {seeds}",
                show(lines),
                *counts,
                f"VIOLATION: {self.violation}" if self.violation else "0 violations, 0 sales lost",
            ]
        )


def longest(times: Sequence[float], begin: float, end: float) -> float:
    """Return the longest time without any of these moments, of what overlaps [begin, end]."""
    before = [time for time in times if time < begin]
    within = [time for time in times if begin <= time <= end]
    after = [time for time in times if time > end]
    moments = [*(before[-1:] or [begin]), *within, *(after[:1] or [end])]
    return max(b - a for a, b in itertools.pairwise(moments))
