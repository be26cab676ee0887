"""`python -m tests.simulation --seeds N --from S`: run seeds, and show what a failing one did, and
which of its draws it needs to fail."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

from bazar.cli.ending import ended
from tests.simulation.focus import FOCUSES, named
from tests.simulation.scenario import Result, run
from tests.simulation.shrink import RUNS, Shrinking, promise
from tests.simulation.trace import Trace
from tests.simulation.workers import rarely_collect, workers

CHUNK = 25
LAST = 60  # of a failing run


def results(
    first: int, count: int, jobs: int, focus: str = "", *, core: bool = False
) -> Iterator[Result]:
    """Yield the results of `count` seeds, as they come."""
    seeds, one = range(first, first + count), partial(run, focus=focus, core=core)
    if jobs == 1:
        rarely_collect()
        yield from map(one, seeds)
        return
    with workers(jobs) as pool:
        yield from pool.imap_unordered(one, seeds, chunksize=CHUNK)


def show(seed: int, last: int | None, focus: str, core: bool) -> None:
    """Draw one seed's run, and what its tasks wait for if it makes no progress."""
    trace = Trace()
    try:
        result = run(seed, trace, focus, core=core)
    finally:
        print("\n".join(trace.lines(last)))
    said = result.violation or result.error or result.excused
    print(*result.waits, f"{named(seed, focus)}: {said or 'no violation'}", sep="\n")


def shrink(seed: int, last: int, focus: str, core: bool, runs: int) -> int:
    """Draw the run of a failing seed with only the draws that it needs to fail."""
    shrinking = Shrinking(seed, focus, core=core)
    if not promise(shrinking.result):
        print(f"{named(seed, focus)}: no violation")
        return 1
    shrinking.shrink(runs)
    print("\n".join(shrinking.lines(last)))
    return 0


def processor_s() -> float:
    """Return what this process and its ended children have used."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--show", type=int, metavar="SEED", help="draw the run of one seed")
    parser.add_argument("--shrink", type=int, metavar="SEED", help="show what it takes to fail")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"to shrink (default: {RUNS})")
    parser.add_argument("--last", type=int, help="of what is drawn: only the last lines")
    parser.add_argument("--focus", default="", choices=FOCUSES, help="for all seeds")
    parser.add_argument("--core", action="store_true", help="replicas of one group, and no more")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a violation")
    options = parser.parse_args()
    if options.show is not None:
        show(options.show, options.last, options.focus, options.core)
        return 0
    if options.shrink is not None:
        rarely_collect()
        last = options.last or LAST
        return shrink(options.shrink, last, options.focus, options.core, options.runs)
    began, spent = time.monotonic(), processor_s()
    total: Counter[str] = Counter()
    failed: list[Result] = []
    found = results(options.first, options.seeds, options.jobs, options.focus, core=options.core)
    for done, result in enumerate(found, 1):
        for name in ("events", "reads", "acknowledged", "takeovers"):
            total[name] += getattr(result, name)
        total["excused"] += bool(result.excused)
        if result.violation or result.error:
            failed.append(result)
            said = result.violation or result.error
            print(f"\n{named(result.seed, options.focus)}: {said}", flush=True)
            if not options.keep_going:
                break
        if done % 100 == 0 or done == options.seeds:
            rate = 60 * done / (time.monotonic() - began)
            print(
                f"\r{done} seeds, {rate:.0f}/min, {len(failed)} violations |"
                f" {total['reads']} reads, {total['acknowledged']} acknowledgements,"
                f" {total['takeovers']} takeovers, {total['events']} events,"
                f" {total['excused']} excused",
                end="",
                flush=True,
            )
    spent = processor_s() - spent
    print(f"\n{60 * options.seeds / max(spent, 0.001):.0f} seeds a processor minute")
    if failed:
        first = min(failed, key=lambda result: result.seed)
        show(first.seed, LAST, options.focus, options.core)
        flags = f" --focus {options.focus}" if options.focus else ""
        flags += " --core" if options.core else ""
        print(f"all of it: python -m tests.simulation{flags} --show {first.seed}")
        print(f"less of it: python -m tests.simulation{flags} --shrink {first.seed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(ended(main))
