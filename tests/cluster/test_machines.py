"""A short run on three machines; `python -m tests.cluster.machines` makes longer ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cluster.cluster import ROOT
from tests.cluster.machines.database import impossible
from tests.cluster.machines.report import longest

RUN_S = 600.0


def test_nothing_false_is_said_on_three_machines() -> None:
    if why := impossible():
        pytest.skip(why)
    # In a process of its own, which leaves this network.
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.machines", "--minutes", "0.5", "--seed", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "0 violations, 0 sales lost" in done.stdout


@pytest.mark.parametrize(
    ("begin", "end", "gap"),
    [
        (1.0, 2.0, 3.0),  # it began before, and ended after
        (0.1, 0.4, 0.5),
        (4.2, 9.0, 4.8),  # nothing came since
        (5.0, 9.0, 4.8),
    ],
)
def test_a_gap_is_the_longest_time_that_overlaps(begin: float, end: float, gap: float) -> None:
    assert longest([0.0, 0.5, 3.5, 4.0, 4.2], begin, end) == pytest.approx(gap)


def test_where_nothing_came_the_gap_is_all_the_time() -> None:
    assert longest([], 1.0, 2.0) == 1.0
