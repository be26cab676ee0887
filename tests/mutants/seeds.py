"""`python -m tests.mutants.seeds`: the simulation as a judge. Prints what it found, as JSON.

All mutants of a sample meet the same seeds. A seed decides everything, so one that does not execute
the changed line in the product as it is does not execute it in the mutant either.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from tests.mutants.recorder import Recorder

SEED_CPU_S = 20  # of one seed, which usually takes 0.1 to 1: then the process is ended
NAMED = re.compile(r"[A-Z]\d+: ")


def drawn(base: str, count: int, focuses: list[str]) -> Iterator[str]:
    """Yield the names of so many seeds, spread over all focuses."""
    rng = random.Random(base)
    for number in range(count):
        if number % len(focuses) == 0:
            rng.shuffle(focuses)
        yield f"seed {rng.randrange(2**31)}, focus {focuses[number % len(focuses)]}"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.seeds", description=__doc__)
    parser.add_argument("--over-database", action="store_true", help="run shops over a database")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--named", type=Path, metavar="FILE", help="run these, one a line")
    which.add_argument("--count", type=int, help="draw so many")
    parser.add_argument("--base", default="", help="what they are drawn from")
    parser.add_argument("--reach", type=Path, metavar="FILE", help="write what each executes")
    return parser.parse_args()


def main() -> int:
    options = parsed()
    recorder = Recorder(Path.cwd()) if options.reach is not None else None
    # Import late: if the mutant breaks the import, the result is an error, not a verdict.
    from tests.simulation.workers import rarely_collect

    if options.over_database:
        from tests.simulation.shared.focuses import FOCUSES
        from tests.simulation.shared.run import run
    else:
        from tests.simulation.focus import FOCUSES
        from tests.simulation.scenario import run

    rarely_collect()
    if options.named is not None:
        names = options.named.read_text("utf-8").splitlines()
    else:
        names = [*drawn(options.base, options.count, ["", *FOCUSES])]
    for name in names:
        print(name, flush=True)  # a sign of life
        seed, _, focus = name.removeprefix("seed ").partition(", focus ")
        signal.setitimer(signal.ITIMER_VIRTUAL, SEED_CPU_S)
        with recorder.under(name) if recorder is not None else nullcontext():
            result = run(int(seed), focus=focus)
        found = result.violation or str(getattr(result, "error", ""))
        if recorder is not None:
            recorder.failing += [name] if found else []
        elif found:
            named = NAMED.match(result.violation) is not None
            kind = "invariant" if named else "error"
            print(json.dumps({"kind": kind, "detail": f"{name}: {found}"}))
            return 1
    if recorder is not None:
        recorder.write(options.reach)
    return 0


if __name__ == "__main__":
    sys.exit(main())
