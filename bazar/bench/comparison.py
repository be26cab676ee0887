"""Two shops side by side: for each quantity the medians over all rounds, and their ratio.

The ratio is taken in each round, and of these the median, because the machine's other load changes
more slowly. How far to trust it is shown by the same ratio of the other to itself.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bazar.bench.experiment import ALL, Measurement, Quantity
from bazar.bench.report import Section, ms, number
from bazar.bench.workload import ANSWERS

THIS, OTHER, AGAIN = "this", "other", "again"
SIDES = (THIS, OTHER, AGAIN)
HEADER = (
    *("request", "of", "this", "other", "this ÷ other", "from-to"),
    *("other ÷ other", "from-to"),
)
LEAST_SHARE = 0.05
LEFT_OUT = f"Nodes with less than {LEAST_SHARE:.0%} of the sum are left out; --json has them."

Round = Mapping[str, Measurement]
"""By side."""


@dataclass(frozen=True, slots=True)
class Ratio:
    median: float
    least: float
    most: float

    @classmethod
    def of(cls, over: Sequence[float], under: Sequence[float]) -> Ratio | None:
        """Return the ratio of the rounds; None if a divisor is missing or zero.

        >>> Ratio.of([1.0, 3.0, 8.0], [2.0, 2.0, 4.0])
        Ratio(median=1.5, least=0.5, most=2.0)
        """
        ratios = [a / b for a, b in zip(over, under, strict=True) if b]
        return cls(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


@dataclass(frozen=True, slots=True)
class Compared:
    """One quantity of one row: its values in each round, by side."""

    values: Mapping[str, Sequence[float]]

    def median(self, side: str) -> float:
        return statistics.median(self.values[side])

    @property
    def ratio(self) -> Ratio | None:
        return Ratio.of(self.values[THIS], self.values[OTHER])

    @property
    def noise(self) -> Ratio | None:
        return Ratio.of(self.values[AGAIN], self.values[OTHER])

    def cells(self) -> Iterator[str]:
        for side in (THIS, OTHER):
            median = self.median(side)
            yield number(median) if median >= 1000 else ms(median)
        for ratio in (self.ratio, self.noise):
            yield f"{ratio.median:.3f}" if ratio else "-"
            yield f"{ratio.least:.2f}-{ratio.most:.2f}" if ratio else "-"

    def figures(self) -> dict[str, Any]:
        return {
            **{side: self.median(side) for side in SIDES},
            **{
                name: ratio and {"median": ratio.median, "from": ratio.least, "to": ratio.most}
                for name, ratio in (("ratio", self.ratio), ("noise", self.noise))
            },
            "rounds": self.values,
        }


def compared(rounds: Sequence[Round]) -> dict[Quantity, Compared]:
    """Return all quantities; one that a side does not have, as it has no such node, is 0 there."""
    readings = [one[side] for one in rounds for side in SIDES]
    return {
        quantity: Compared(
            {side: [one[side].values.get(quantity, 0.0) for one in rounds] for side in SIDES}
        )
        for quantity in dict.fromkeys(
            quantity for reading in readings for quantity in reading.values
        )
    }


def shown(found: Mapping[Quantity, Compared]) -> dict[Quantity, Compared]:
    """Return them without the nodes that have almost no part in the sum."""

    def counts(quantity: Quantity) -> bool:
        whole = found.get(Quantity(ALL, quantity.unit))
        return whole is None or any(
            found[quantity].median(side) >= LEAST_SHARE * whole.median(side)
            for side in (THIS, OTHER)
        )

    return {quantity: one for quantity, one in found.items() if counts(quantity)}


def section(name: str, title: str, rows: Mapping[str, Sequence[Round]]) -> Section:
    """Return the table, with a note wherever the figures do not mean what they seem to."""
    made = Section(name, title, HEADER)
    for row, rounds in rows.items():
        found = compared(rounds)
        visible = shown(found)
        if len(visible) < len(found) and LEFT_OUT not in made.notes:
            made.notes.append(LEFT_OUT)
        for place, (quantity, one) in enumerate(visible.items()):
            made.rows.append((row if place == 0 else "", str(quantity), *one.cells()))
        made.figures[row] = {str(quantity): one.figures() for quantity, one in found.items()}
        made.notes += _notes(row, rounds)
    return made


def _notes(row: str, rounds: Sequence[Round]) -> Iterator[str]:
    for side in SIDES:
        errors = sum(one[side].errors for one in rounds)
        if errors:
            yield f"{row}: {errors} requests to {side} failed; what they cost is in its figures."
    if any(reading.load_bound for one in rounds for reading in one.values()):
        yield f"{row}: the load generator used up a core; the {ANSWERS} may be its limit."
