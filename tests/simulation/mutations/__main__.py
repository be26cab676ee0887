"""`python -m tests.simulation.mutations`: which seed notices each mutation first, and by which
promise."""

from __future__ import annotations

import argparse
import sys

from bazar.cli.ending import ended
from tests.simulation.mutations import ALL
from tests.simulation.mutations.hunt import hunt
from tests.simulation.workers import workers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations")
    parser.add_argument("--within", type=int, default=400, help="seeds each (default: 400)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--only", default="", help="mutations whose name contains this")
    parser.add_argument("--unfocused", action="store_true", help="in ordinary worlds")
    options = parser.parse_args()
    chosen = [index for index, mutation in enumerate(ALL) if options.only in mutation.name]
    missed = 0
    with workers(options.jobs) as pool:
        arguments = [(index, options.within, not options.unfocused) for index in chosen]
        hunts = [pool.apply_async(hunt, one) for one in arguments]
        for index, one in zip(chosen, hunts, strict=True):
            mutation, found = ALL[index], one.get()
            missed += found is None or not found.violation
            edited = ", ".join(f"{owner.__name__}.{name}" for owner, name, *_ in mutation.edits)
            seed = "-" if found is None else found.seed
            print(f"{mutation.rule:3} {mutation.name} ({edited}): seed {seed}: {found}"[:200])
    print(f"{len(chosen)} mutations, {missed} of them not found by name")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(ended(main))
