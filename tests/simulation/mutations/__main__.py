"""`python -m tests.simulation.mutations`: how many seeds notice each mutation, and which first."""

from __future__ import annotations

import argparse

from tests.simulation.mutations import ALL
from tests.simulation.mutations.hunt import census
from tests.simulation.workers import workers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations")
    parser.add_argument("--within", type=int, default=300, help="seeds each (default: 300)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--only", default="", help="mutations whose name contains this")
    options = parser.parse_args()
    chosen = [index for index, mutation in enumerate(ALL) if options.only in mutation.name]
    with workers(options.jobs) as pool:
        hunts = [pool.apply_async(census, (index, options.within)) for index in chosen]
        for index, hunt in zip(chosen, hunts, strict=True):
            found = hunt.get()
            seed, violation = found[0] if found else ("-", "not found")
            name = f"{ALL[index].rule:3} {ALL[index].name}"
            print(f"{len(found):4} of {options.within}, first {seed:>4}: {name}: {violation[:80]}")


if __name__ == "__main__":
    main()
