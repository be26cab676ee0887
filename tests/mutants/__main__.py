"""`python -m tests.mutants --count N --seed S`: draw mutants of the product, and print which
survive."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bazar.cli.ending import INTERRUPTED, ended
from tests import product
from tests.mutants.equivalent import Equivalent
from tests.mutants.equivalents import ALL
from tests.mutants.mutant import Mutant
from tests.mutants.report import Report
from tests.mutants.sample import candidates, draw, stale
from tests.mutants.work import Bench


def seed(text: str) -> int:
    """Return the number, or for HEAD the last commit's hash, so that each commit draws other
    mutants."""
    if text != "HEAD":
        return int(text)
    git = ["git", "rev-parse", "HEAD"]
    found = subprocess.run(git, cwd=product.ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise argparse.ArgumentTypeError(f"HEAD: {found.stderr.strip()}")
    return int(found.stdout[:8], 16)


def survivors(file: Path, every: Iterable[Mutant]) -> list[Mutant]:
    """Return those of an earlier run's `--json` file that are still mutants of the tree."""
    names = {
        (one["file"], one["function"], one["before"], one["after"])
        for one in json.loads(file.read_text("utf-8"))["mutants"]
        if one["kind"] == ""
    }
    return [mutant for mutant in every if mutant.name in names]


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--seed", type=seed, default=0, help="a number, or HEAD (default: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="side by side (default: 2)")
    parser.add_argument(
        "--seeds", type=int, default=300, help="of the simulation, for each (default: 300)"
    )
    parser.add_argument(
        "--files", nargs="+", metavar="GLOB", default=product.PATTERNS, help="of these files only"
    )
    parser.add_argument(
        "--again", type=Path, metavar="FILE", help="instead: what survived in this --json file"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all verdicts there")
    parser.add_argument(
        "--state",
        type=Path,
        default=Path(".mutants"),
        metavar="DIR",
        help="what is known already, to go on with (default: .mutants)",
    )
    return parser.parse_args(arguments)


def main(
    arguments: list[str] | None = None,
    root: Path = product.ROOT,
    equivalents: Sequence[Equivalent] = ALL,
) -> int:
    options = parsed(arguments)
    old = stale(candidates(root, product.files(root)), equivalents)
    for one in old:
        print(f"stale in tests.mutants.equivalents: {one.file} {one.function}: {one.before}")
    every = candidates(root, product.files(root, options.files))
    if not every:
        print(f"no mutants in {' '.join(options.files)}")
        return 1
    drawn = (
        survivors(options.again, every)
        if options.again is not None
        else draw(every, options.count, options.seed)
    )
    known = {one.name: one for one in equivalents}
    equal = {
        mutant: known[mutant.name]
        for mutant in drawn
        if mutant.name in known and not mutant.unchanged
    }
    verdicts = {}
    with Bench(root, options.state.resolve(), options.jobs, print) as bench:
        todo = [mutant for mutant in drawn if mutant not in equal]
        for mutant, verdict in bench.judged(todo, str(options.seed), options.seeds):
            verdicts[mutant] = verdict
            how = f"killed by {verdict.judge} ({verdict.kind})" if verdict.kind else "survived"
            why = f" ({verdict.detail})" if verdict.detail and not verdict.kind else ""
            print(f"{len(verdicts)}/{len(todo)} {how}{why}: {mutant}", flush=True)
    report = Report(verdicts, equal)
    print("", *report.lines(), sep="\n")
    if options.json is not None:
        options.json.write_text(json.dumps(report.plain(), indent=1), "utf-8")
    return 1 if old or report.unreliable else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = ended(main)
        if code == INTERRUPTED:
            print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(code)
    except OSError as error:
        sys.exit(str(error))
