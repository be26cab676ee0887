"""`python -m tests.simulation.branches --seeds N`: the product's branches that no seed takes.

A branch that no seed executes is proved by none: reach it, delete it, or explain it.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage

from bazar.cli.ending import ended
from tests import product
from tests.simulation.workers import workers

SLICES = 8  # for each process: one that is done early takes another


def paths() -> list[str]:
    return [str(product.ROOT / file) for file in product.files()]


def measured(place: str) -> coverage.Coverage:
    """Return a measurement of the product's files, whose data are in `place`."""
    return coverage.Coverage(
        data_file=f"{place}/branches",
        data_suffix=True,
        branch=True,
        config_file=False,
        include=paths(),
    )


def watch(task: tuple[str, range]) -> int:
    """Run some seeds, every other one of a shop over a database; return how many found a
    violation."""
    place, seeds = task
    coverage_ = measured(place)
    coverage_.start()
    try:
        # Import here: a module's own lines run only once, at its import.
        from tests.simulation.scenario import run
        from tests.simulation.shared.run import run as over_database

        results = ((over_database if seed % 2 else run)(seed) for seed in seeds)
        return sum(bool(found.violation or getattr(found, "error", "")) for found in results)
    finally:
        coverage_.stop()
        coverage_.save()


def gather(first: int, count: int, jobs: int) -> tuple[dict[str, Any], int]:
    """Return coverage's result for each file after these seeds, and how many found a violation."""
    with tempfile.TemporaryDirectory() as place:
        end, step = first + count, jobs * SLICES
        tasks = [(place, range(first + part, end, step)) for part in range(min(step, count))]
        with workers(jobs) as pool:
            violations = sum(pool.imap_unordered(watch, tasks))
        combined = measured(place)
        combined.combine()
        combined.get_data().touch_files(paths())  # also those that nothing imports
        report = Path(place) / "report.json"
        combined.json_report(outfile=str(report))
        files: dict[str, Any] = json.loads(report.read_text("utf-8"))["files"]
    found = {Path(name).resolve(): files[name] for name in files}
    return {path.relative_to(product.ROOT).as_posix(): found[path] for path in found}, violations


class Ways:
    """The names of the two ways of a branch."""

    def __init__(self, source: str) -> None:
        self.lines = source.splitlines()
        self._bodies: dict[int, tuple[int, str, str]] = {}
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.If() | ast.While():
                    self._note(node.lineno, node.body, "true", "false")
                case ast.For() | ast.AsyncFor():
                    self._note(node.lineno, node.body, "entered", "left at its end")
                case ast.match_case():
                    self._note(node.pattern.lineno, node.body, "the case", "another case")

    def _note(self, line: int, body: list[ast.stmt], taken: str, passed: str) -> None:
        self._bodies[line] = body[0].lineno, taken, passed

    def name(self, line: int, to: int) -> str:
        body, taken, passed = self._bodies.get(line, (0, "", f"followed by line {to}"))
        return taken if to == body else passed

    def missing(self, found: dict[str, Any]) -> Iterator[str]:
        """Yield each branch that is not taken: line, what is missing, source."""
        ways: dict[int, list[int]] = {}
        for line, to in found["missing_branches"]:
            ways.setdefault(line, []).append(to)
        executed = set(found["executed_lines"])
        for line, targets in sorted(ways.items()):
            names = " or ".join(self.name(line, to) for to in targets)
            never = f"never {names}" if line in executed else "never reached"
            yield f"{line:5}: {self.lines[line - 1].strip()}  # {never}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.branches")
    parser.add_argument("--seeds", type=int, default=5000, help="how many (default: 5000)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    options = parser.parse_args()
    began = time.monotonic()
    files, violations = gather(options.first, options.seeds, options.jobs)
    spent_s = time.monotonic() - began
    taken = total = 0
    for file, found in sorted(files.items()):
        covered = found["summary"]["covered_branches"]
        branches = found["summary"]["num_branches"]
        taken, total = taken + covered, total + branches
        print(f"{file}: {covered} of {branches} branches")
        if found["executed_lines"]:
            for line in Ways((product.ROOT / file).read_text("utf-8")).missing(found):
                print(line)
    print(f"all: {taken} of {total} branches; {options.seeds} seeds in {spent_s:.0f} s")
    if violations:
        print(f"{violations} seeds found a violation: see python -m tests.simulation")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(ended(main))
