"""The judges: the tests that execute what is changed, and the seeds that do.

Most mutants that are killed at all are killed by the first few tests, within a second or two after
pytest starts; most of the others by a seed, long before the slow tests are through.
"""

from __future__ import annotations

import json
import signal
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from tests import product
from tests.mutants.mutant import Mutant
from tests.mutants.reached import FAILED, PYTEST, SOME_FAILED, UNSTEADY, Reach
from tests.mutants.tree import Ran, Tree

START_S = 30  # for a judge to start, on a busy machine
SLOWER = 4  # this many times slower than when measured counts as a hang
QUICK_S, SOON_S = 2, 20  # of tests before the other tests, and before the seeds


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
    tests: Reach
    seeds: Mapping[bool, Reach]  # by kind: are they of shops over a database?

    def judge(self, tree: Tree, mutant: Mutant) -> Verdict:
        unsteady: list[str] = []
        began = time.monotonic()
        quick, soon, late = self._parts(self.tests.tests(mutant))
        with tree.mutated(mutant):
            found = (
                self._unit(tree, quick, unsteady)
                or self._unit(tree, soon, unsteady)
                or self._simulation(tree, mutant)
                or self._unit(tree, late, unsteady)
            )
        seconds = round(time.monotonic() - began, 1)
        survived = Verdict(detail="" if self._is_executed(mutant) else "nobody executes it")
        return replace(found or survived, unsteady=unsteady, seconds=seconds)

    def _is_executed(self, mutant: Mutant) -> bool:
        every = (self.tests, *self.seeds.values())
        return any(reach.executing(mutant) for reach in every)

    def _parts(self, tests: list[str]) -> Iterator[list[str]]:
        """Yield the tests of the first seconds, those soon after, and the rest."""
        spent = [*accumulate(self.tests.seconds[test] for test in tests)]
        first, then = (bisect_right(spent, within) for within in (QUICK_S, SOON_S))
        yield from (tests[:first], tests[first:then], tests[then:])

    def _unit(self, tree: Tree, tests: list[str], unsteady: list[str]) -> Verdict | None:
        while tests:
            ran = self._pytest(tree, tests)
            if ran.status == 0:
                return None
            test = _stopped_at(ran, tests)
            if test is None or len(unsteady) == UNSTEADY:
                kind = "hang" if ran.status is None else "error"
                return Verdict(kind, "unit", " ".join(ran.output[-300:].split()))
            # Run it again: a test that fails now and then would kill mutants that it does not
            # notice.
            again = self._pytest(tree, [test])
            if again.status != 0:
                return Verdict("hang" if again.status is None else "test", "unit", test)
            unsteady.append(test)
            tests = [one for one in tests if one != test]
        return None

    def _pytest(self, tree: Tree, tests: list[str]) -> Ran:
        return self._run(tree, self.tests, tests, *PYTEST, "-x", "@{}")

    def _simulation(self, tree: Tree, mutant: Mutant) -> Verdict | None:
        over_database = product.over_database(mutant.file)
        reach = self.seeds.get(over_database)
        if reach is None or not (names := reach.executing(mutant)):
            return None
        command = ["-m", "tests.mutants.seeds", "--named", "{}"]
        command += ["--over-database"] if over_database else []
        ran = self._run(tree, reach, names, *command)
        if ran.status == 0:
            return None
        if ran.status is None or ran.status == -signal.SIGVTALRM:
            return Verdict("hang", "simulation", ran.output[-300:])
        found = _last_json(ran.output) or {"kind": "error", "detail": ran.output[-300:]}
        return Verdict(found["kind"], "simulation", found["detail"])

    @staticmethod
    def _run(tree: Tree, reach: Reach, names: list[str], *command: str) -> Ran:
        """Run a command, with the path of a file that holds the names for `{}`."""
        file = tree.path.with_name(f"{tree.path.name}.names")
        file.write_text("".join(f"{name}\n" for name in names), "utf-8")
        seconds = [reach.seconds[name] for name in names]
        return tree.python(
            *(part.format(file) for part in command),
            timeout_s=START_S + SLOWER * sum(seconds),
            silent_s=START_S + SLOWER * max(seconds),
        )


def _stopped_at(ran: Ran, tests: list[str]) -> str | None:
    """Return the test that failed, or was under way when time was over."""
    if ran.status is None:
        last = ran.output.rstrip().rpartition("\n")[2]
        test = last.partition(" <- ")[0].rstrip()  # <- the file that has it, if it is inherited
        return test if test in tests else None
    match = FAILED.search(ran.output)
    return match[1] if match is not None and ran.status == SOME_FAILED else None


def _last_json(output: str) -> dict[str, Any] | None:
    try:
        found = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return found if isinstance(found, dict) and {"kind", "detail"} <= found.keys() else None
