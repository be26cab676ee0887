"""This checkout and another one, or another cluster.json, measured in turn in one run; the other
one twice.

Each round starts three shops anew: two processes of the same code also differ by where things lie
in memory. All three run at the same time. Each row is measured of one shop after the other, in a
changing order. So the three figures of a row are seconds apart, and when the machine is slow for a
minute, it is slow for all three. The two shops that wait cost a few per cent of a core, but each
shop's processor time is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from bazar.bench import comparison
from bazar.bench.bench import Bench
from bazar.bench.checkout import Checkout
from bazar.bench.comparison import AGAIN, OTHER, SIDES, THIS, Round
from bazar.bench.experiment import Experiment
from bazar.bench.report import Section


def order(turn: int) -> list[str]:
    """Return the sides' order in a round. Over the rounds each side is first, second and last
    equally often, and follows each other side equally often.

    >>> [" ".join(order(turn)) for turn in range(3)]
    ['this other again', 'other this again', 'again this other']
    """
    first = turn % len(SIDES)
    rotated = [*SIDES[first:], *SIDES[:first]]
    return rotated if turn % 2 == 0 else [rotated[0], *reversed(rotated[1:])]


def run(
    name: str, experiments: Sequence[Experiment], other: Checkout, rounds: int, bench: Bench
) -> Section:
    """Measure the experiments of the section `name` in both, and return the section."""
    checkouts = {THIS: bench.checkout, OTHER: other, AGAIN: other}
    rows: dict[str, list[Round]] = {}
    for experiment in experiments:
        for turn in range(rounds):
            benches = {
                side: replace(
                    bench,
                    checkout=checkout,
                    step=_step(bench, f"{name}, round {turn + 1} of {rounds}, {side}"),
                )
                for side, checkout in checkouts.items()
            }
            with ExitStack() as stack:
                shops = {
                    side: stack.enter_context(
                        experiment.shop(benches[side], f"{experiment.name}-{turn + 1}-{side}")
                    )
                    for side in order(turn)
                }
                for number, (row, measure) in enumerate(experiment.rows.items()):
                    readings = {
                        side: measure(benches[side], shops[side]) for side in order(turn + number)
                    }
                    rows.setdefault(row, []).append(readings)
    title = f"this against the other, medians of {rounds} round{'s' * (rounds > 1)}"
    return comparison.section(name, title, rows)


def _step(bench: Bench, place: str) -> Callable[[str], None]:
    return lambda what: bench.step(f"{place}: {what}")
