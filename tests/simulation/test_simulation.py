"""A few thousand seeds of the protocol, and that a seed is all it takes to run one again."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.simulation.__main__ import results
from tests.simulation.scenario import run
from tests.simulation.trace import Trace

SEEDS = 5000  # more by hand: `python -m tests.simulation`
MOST_EXCUSED = 0.03

PRINT_TRACE = """
from tests.simulation.scenario import run
from tests.simulation.trace import Trace
trace = Trace()
run(7, trace)
print(trace.lines())
"""


def test_no_seed_violates_an_invariant() -> None:
    """I1-I7 and linearizable histories, under every fault there is."""
    done = list(results(0, SEEDS, jobs=os.cpu_count() or 1))
    violations = sorted((result.seed, result.violation) for result in done if result.violation)
    assert not violations, f"{violations[0]}: python -m tests.simulation --show {violations[0][0]}"
    # The run has been about something:
    assert sum(result.acknowledged for result in done) > 30 * SEEDS
    assert sum(result.reads for result in done) > 50 * SEEDS
    assert sum(result.takeovers for result in done) > 2 * SEEDS
    assert sum(bool(result.excused) for result in done) < MOST_EXCUSED * SEEDS


def test_a_seed_decides_everything() -> None:
    first, second = Trace(), Trace()
    assert run(11, first) == run(11, second) == run(11)
    assert first.events == second.events


def test_the_order_of_a_set_decides_nothing() -> None:
    """Python hashes strings differently in each process."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", PRINT_TRACE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
