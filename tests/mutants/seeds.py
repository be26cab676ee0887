"""`python -m tests.mutants.seeds`: the simulation as a judge. Prints what it found, as JSON."""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

SEED_CPU_S = 20  # of one seed, which usually takes 0.1 to 1: then the process is ended
NAMED = re.compile(r"[A-Z]\d+: ")


def drawn(base: str, count: int, focuses: list[str]) -> Iterator[tuple[int, str]]:
    """Yield so many seeds, spread over all focuses."""
    rng = random.Random(base)
    for number in range(count):
        if number % len(focuses) == 0:
            rng.shuffle(focuses)
        yield rng.randrange(2**31), focuses[number % len(focuses)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.seeds", description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--base", required=True, help="what the seeds are drawn from")
    parser.add_argument("--file", type=Path, required=True, help="none if it isn't executed")
    options = parser.parse_args()
    # Import late: if the mutant breaks the import, the result is an error, not a verdict.
    from tests import product
    from tests.simulation.workers import rarely_collect

    if product.over_database(str(options.file)):
        from tests.simulation.shared.focuses import FOCUSES
        from tests.simulation.shared.run import run
    else:
        from tests.simulation.focus import FOCUSES
        from tests.simulation.scenario import run

    rarely_collect()
    for seed, focus in drawn(options.base, options.count, ["", *FOCUSES]):
        signal.setitimer(signal.ITIMER_VIRTUAL, SEED_CPU_S)
        result = run(seed, focus=focus)
        found = result.violation or str(getattr(result, "error", ""))
        if found:
            named = NAMED.match(result.violation) is not None
            at = f"seed {seed}, focus {focus or 'none'}: {found}"
            print(json.dumps({"kind": "invariant" if named else "error", "detail": at}))
            return 1
        if not _executed(options.file):
            break
    return 0


def _executed(file: Path) -> bool:
    names = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return str(file.resolve()) in names


if __name__ == "__main__":
    sys.exit(main())
