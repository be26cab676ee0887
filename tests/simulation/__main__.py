"""`python -m tests.simulation --seeds N --from S`: run seeds, show what a failing one did."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.simulation.scenario import Result, run
from tests.simulation.trace import Trace
from tests.simulation.workers import rarely_collect, workers

CHUNK = 25


def results(first: int, count: int, jobs: int) -> Iterator[Result]:
    """The results of `count` seeds, as they come."""
    seeds = range(first, first + count)
    if jobs == 1:
        rarely_collect()
        yield from map(run, seeds)
        return
    with workers(jobs) as pool:
        yield from pool.imap_unordered(run, seeds, chunksize=CHUNK)


def show(seed: int, last: int | None) -> None:
    """Draw one seed's run."""
    trace = Trace()
    try:
        result = run(seed, trace)
    finally:
        print("\n".join(trace.lines(last)))
    print(f"seed {seed}: {result.violation or result.excused or 'no violation'}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--show", type=int, metavar="SEED", help="draw the run of one seed")
    parser.add_argument("--last", type=int, help="with --show: only the last lines")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a violation")
    options = parser.parse_args()
    if options.show is not None:
        show(options.show, options.last)
        return 0
    began = time.monotonic()
    total: Counter[str] = Counter()
    failed: list[Result] = []
    for done, result in enumerate(results(options.first, options.seeds, options.jobs), 1):
        for name in ("events", "reads", "acknowledged", "takeovers"):
            total[name] += getattr(result, name)
        total["excused"] += bool(result.excused)
        if result.violation:
            failed.append(result)
            print(f"\nseed {result.seed}: {result.violation}", flush=True)
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
    print()
    if failed:
        first = min(failed, key=lambda result: result.seed)
        show(first.seed, 60)
        print(f"all of it: python -m tests.simulation --show {first.seed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
