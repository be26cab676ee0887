"""`python -m tests.simulation.shared.run --seeds N`: run seeds of shops over a database."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from functools import partial

from bazar.cli.ending import ended
from tests.simulation import scenario
from tests.simulation.mutations.hunt import Finding
from tests.simulation.scenario import Result
from tests.simulation.shared.focuses import FOCUSES
from tests.simulation.shared.mutations import SHARED
from tests.simulation.shared.node import watched
from tests.simulation.shared.scenario import SharedScenario
from tests.simulation.trace import Trace
from tests.simulation.workers import workers

CHUNK = 5
LAST = 60  # lines of a failing run


def run(seed: int, trace: Trace | None = None, focus: str = "") -> Result:
    """Run one seed, under a focus of its own choice or under this one."""
    with watched():
        return scenario.run(seed, trace, focus, kind=SharedScenario)


def hunt(index: int, within: int, near: bool = True) -> Finding | None:
    """Return the first seed that notices a mutation by name, of so many, or else the first that
    notices at all. If `near`, begin at the seed that the mutation names."""
    mutation = SHARED[index]
    begin = max(mutation.near, 0) if near else 0
    unnamed: Finding | None = None
    with mutation.applied():
        for seed in (*range(begin, within), *range(begin)):
            result = run(seed, focus=mutation.focus)
            finding = Finding(seed, result.violation, result.error)
            if finding.violation:
                return finding
            if finding.error:
                unnamed = unnamed or finding
    return unnamed


def hunted(index: int, within: int) -> tuple[int, Finding | None]:
    logging.disable(logging.CRITICAL)
    return index, hunt(index, within, near=False)


def _quietly(seed: int, focus: str) -> Result:
    logging.disable(logging.CRITICAL)
    return run(seed, focus=focus)


def _results(options: argparse.Namespace) -> Iterator[Result]:
    seeds = range(options.first, options.first + options.seeds)
    with workers(options.jobs) as pool:
        yield from pool.imap_unordered(partial(_quietly, focus=options.focus), seeds, CHUNK)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.shared.run")
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--show", type=int, metavar="SEED", help="draw the run of one seed")
    parser.add_argument("--focus", default="", choices=FOCUSES, help="for all seeds")
    parser.add_argument("--mutations", type=int, metavar="N", help="hunt each within N seeds")
    options = parser.parse_args()
    if options.show is not None:
        trace = Trace()
        result = run(options.show, trace, options.focus)
        print("\n".join(trace.lines(None)), result, sep="\n")
        return 0
    if options.mutations is not None:
        with workers(options.jobs) as pool:
            hunting = partial(hunted, within=options.mutations)
            for index, finding in pool.imap_unordered(hunting, range(len(SHARED))):
                found = "not found" if finding is None else f"seed {finding.seed}: {finding}"
                print(f"{SHARED[index].rule}  {SHARED[index].name}: {found}", flush=True)
        return 0
    failed = done = 0
    for done, result in enumerate(_results(options), 1):
        if result.violation or result.error:
            failed += 1
            print(f"seed {result.seed}: {result.violation or result.error}", flush=True)
        if done % 100 == 0:
            print(f"{done} seeds, {failed} violations", flush=True)
    print(f"{done} seeds, {failed} violations")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(ended(main))
