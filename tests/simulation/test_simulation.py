"""Some hundred shops, more worlds of replicas alone; and a seed is enough to repeat a run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import pytest

from tests.simulation.__main__ import results
from tests.simulation.clients import Clients
from tests.simulation.mutations import ALL
from tests.simulation.scenario import run
from tests.simulation.trace import Trace

SHOPS, CORES = 200, 200  # more by hand: `python -m tests.simulation`, and with `--core`
MOST_EXCUSED = 0.03

PRINT_TRACE = """
from tests.simulation.scenario import run
from tests.simulation.trace import Trace
trace = Trace()
run(7, trace)
print(trace.lines())
"""


@pytest.mark.parametrize(("core", "seeds"), [(False, SHOPS), (True, CORES)], ids=["shop", "core"])
def test_no_seed_breaks_a_promise(core: bool, seeds: int) -> None:
    """I1-I7, all rules that are checked by name, and linearizable histories, under all faults."""
    done = list(results(0, seeds, jobs=os.cpu_count() or 1, core=core))
    wrong = sorted(
        (one.seed, one.violation or one.error) for one in done if one.violation or one.error
    )
    flag = " --core" if core else ""
    assert not wrong, f"{wrong[0]}: python -m tests.simulation{flag} --show {wrong[0][0]}"
    # The run has met enough:
    assert sum(result.acknowledged for result in done) > 8 * seeds
    assert sum(result.reads for result in done) > 30 * seeds
    assert sum(result.takeovers for result in done) > 2 * seeds
    assert sum(bool(result.excused) for result in done) < MOST_EXCUSED * seeds


@pytest.mark.parametrize(
    ("seed", "focus", "core"),
    [
        # A primary paused between its look at the membership and its write.
        (14, "stealing", True),
        # Calls shorter than a second never gave up a connection that was dead.
        (10004, "", False),
        # Sales reported by a replica that waited for an entry, and lost its lease meanwhile (H4).
        (1765845109, "reading", False),
        # A disk that hangs after it has taken a write: a member's log was read from it for ever.
        (835682593, "leaving", False),
    ],
)
def test_what_was_found_once(seed: int, focus: str, core: bool) -> None:
    """Faults of the product, each repaired when these seeds met it."""
    result = run(seed, focus=focus, core=core)
    assert not (result.violation or result.error)


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


def test_what_no_seed_decides_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although code under test may swallow the error."""

    def by_the_clock(clients: Clients) -> int:
        with contextlib.suppress(AssertionError):
            time.monotonic()
        return 1

    monkeypatch.setattr(Clients, "book", by_the_clock)
    assert run(11).error == "Leak: time.monotonic"


def test_a_run_that_gets_nowhere_says_who_waits() -> None:
    mutation = next(one for one in ALL if one.name == "the boundary is held for nobody")
    with mutation.applied():
        runs = (run(seed, focus=mutation.focus, core=True) for seed in range(200))
        result = next(one for one in runs if one.violation.startswith("I6: "))
    assert any("Replica._" in line for line in result.waits)
