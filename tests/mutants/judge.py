"""The judges: the unit tests nearest to the mutated function, then seeds, then the other tests
that reach it.

Most mutants that are killed at all are killed by the first few tests, within a second or two after
pytest starts; most of the others by a seed, long before all tests are through.
"""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass, field, replace
from itertools import accumulate, takewhile
from typing import Any

from tests import product
from tests.mutants.mutant import Mutant
from tests.mutants.reached import FAILED, PYTEST, SOME_FAILED, UNSTEADY, Reach
from tests.mutants.tree import Ran, Tree

START_S = 60  # for a judge to start, on a busy machine
SLOWER = 4  # this many times slower than when measured counts as a hang
SEED_S, OVER_DATABASE_S = 1.0, 3.0  # for each seed
NEAR_S = 15  # of tests, before the seeds


@dataclass(frozen=True, slots=True)
class Verdict:
    """A mutant's outcome. `kind` is "" for a survivor, else invariant, test, error or hang."""

    kind: str = ""
    judge: str = ""
    detail: str = ""
    unsteady: list[str] = field(default_factory=list)  # tests that failed once, but not again
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Judges:
    reach: Reach
    base: str  # the base from which seeds are drawn
    seeds: int

    def judge(self, tree: Tree, mutant: Mutant) -> Verdict:
        unsteady: list[str] = []
        began = time.monotonic()
        near, far = self._near_and_far(mutant)
        with tree.mutated(mutant):
            found = (
                self._unit(tree, near, unsteady)
                or self._simulation(tree, mutant)
                or self._unit(tree, far, unsteady)
            )
        seconds = round(time.monotonic() - began, 1)
        return replace(found or Verdict(), unsteady=unsteady, seconds=seconds)

    def _near_and_far(self, mutant: Mutant) -> tuple[list[str], list[str]]:
        tests = self.reach.tests(mutant)
        spent = accumulate(self.reach.seconds[test] for test in tests)
        near = sum(1 for _ in takewhile(lambda seconds: seconds <= NEAR_S, spent))
        return tests[:near], tests[near:]

    def _unit(self, tree: Tree, tests: list[str], unsteady: list[str]) -> Verdict | None:
        while tests:
            ran = self._pytest(tree, tests)
            if ran.status == 0:
                return None
            if ran.status is None:
                return Verdict("hang", "unit", f"{len(tests)} tests from {tests[0]} on")
            match = FAILED.search(ran.output)
            if match is None or ran.status != SOME_FAILED or len(unsteady) == UNSTEADY:
                return Verdict("error", "unit", " ".join(ran.output[-300:].split()))
            # Run it again: a test that fails now and then would kill mutants that it does not
            # notice.
            again = self._pytest(tree, [match[1]])
            if again.status != 0:
                return Verdict("hang" if again.status is None else "test", "unit", match[1])
            unsteady.append(match[1])
            tests = [test for test in tests if test != match[1]]
        return None

    def _pytest(self, tree: Tree, tests: list[str]) -> Ran:
        names = tree.path.with_name(f"{tree.path.name}.tests")
        names.write_text("\n".join(tests), "utf-8")
        spent = sum(self.reach.seconds.get(test, 0.0) for test in tests)
        return tree.python(*PYTEST, "-x", f"@{names}", timeout_s=START_S + SLOWER * spent)

    def _simulation(self, tree: Tree, mutant: Mutant) -> Verdict | None:
        if not self.seeds:
            return None
        seed_s = OVER_DATABASE_S if product.over_database(mutant.file) else SEED_S
        ran = tree.python(
            *("-m", "tests.mutants.seeds", "--count", str(self.seeds)),
            *("--base", f"{self.base} {mutant.key}", "--file", mutant.file),
            timeout_s=START_S + seed_s * self.seeds,
        )
        if ran.status == 0:
            return None
        if ran.status is None or ran.status == -signal.SIGVTALRM:
            return Verdict("hang", "simulation", ran.output[-300:])
        found = _last_json(ran.output) or {"kind": "error", "detail": ran.output[-300:]}
        return Verdict(found["kind"], "simulation", found["detail"])


def _last_json(output: str) -> dict[str, Any] | None:
    try:
        found = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return found if isinstance(found, dict) and {"kind", "detail"} <= found.keys() else None
