"""Which tests and seeds execute which lines: measured once, without a mutant, then looked up."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from statistics import fmean

from tests.mutants.mutant import Mutant
from tests.mutants.tree import Tree

SUITES = ("unit", "http", "postgresql")
PYTEST = (
    *("-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.mutants.leave"),
    *("--rootdir=.", "--assert=plain", "--tb=line", "-v"),
)
FILE_S = 1800  # for the tests of one file without a mutant
SEED_S = 10  # for each seed
FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)
"""A test that failed, by its name; a line of the log may begin as this does."""
SOME_FAILED, NONE_THERE = 1, 5  # of pytest's exit codes
UNSTEADY = 3  # that fail without a mutant: with more of them no verdict can be trusted


@dataclass(frozen=True, slots=True)
class Reach:
    """How long each test, or seed, takes, and which lines of which file it executes."""

    seconds: Mapping[str, float]
    lines: Mapping[str, Mapping[str, Sequence[int]]]
    failing: Sequence[str] = ()  # without a mutant: they judge nothing

    @classmethod
    def read(cls, path: Path) -> Reach:
        return cls(**json.loads(path.read_text("utf-8")))

    @classmethod
    def joined(cls, parts: Iterable[Reach]) -> Reach:
        """Join the results of several runs over different tests."""
        seconds: dict[str, float] = {}
        lines: dict[str, dict[str, Sequence[int]]] = {}
        failing: list[str] = []
        for part in parts:
            seconds |= part.seconds
            failing += part.failing
            for file, names in part.lines.items():
                lines.setdefault(file, {}).update(names)
        return cls(seconds, lines, failing)

    def executing(self, mutant: Mutant) -> list[str]:
        """Return those that execute what the mutant changes, in the order in which they were
        measured. If that is an import, or in a file that was not measured, it is all of them."""
        measured = self.lines.get(mutant.file)
        judges = [name for name in self.seconds if name not in self.failing]
        if mutant.lines is None or measured is None:
            return judges
        found = {name for name, lines in measured.items() if _meets(lines, *mutant.lines)}
        several = tuple(found.difference(self.seconds))  # named by how their names begin
        return [name for name in judges if name in found or name.startswith(several)]

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that may notice the mutant: first those of the file's own name, then the
        fastest files. Of the file's own name are also those that execute nothing of it in their own
        process."""
        path = PurePath(mutant.file)
        named = rf"test_(?:{path.stem}|{path.parent.name})(?:_\w+)?\.py::"
        near = re.compile(rf"tests/(?:{'|'.join(SUITES)})/(?:.*/)?{named}")
        executing = set(self.executing(mutant))
        chosen = executing.union(filter(near.match, self.seconds)).difference(self.failing)
        spent: dict[str, list[float]] = {}  # by file
        for test in chosen:
            spent.setdefault(test.partition("::")[0], []).append(self.seconds[test])

        def order(test: str) -> tuple[bool, bool, float, str, float, str]:
            file = test.partition("::")[0]
            mean = fmean(spent[file])
            return test not in executing, not near.match(test), mean, file, self.seconds[test], test

        return sorted(chosen, key=order)


def _meets(lines: Sequence[int], first: int, last: int) -> bool:
    """Return whether one of these sorted lines is from `first` to `last`."""
    at = bisect_left(lines, first)
    return at < len(lines) and lines[at] <= last


def test_files(tree: Tree) -> list[Path]:
    """Return the files of unit tests, relative to the tree."""
    found = (path for suite in SUITES for path in (tree.path / "tests" / suite).rglob("test_*.py"))
    return sorted(path.relative_to(tree.path) for path in found)


def sound(file: Path) -> bool:
    """Return whether this was measured without a failure: else it is measured again."""
    return file.exists() and not Reach.read(file).failing


def measure(tree: Tree, tests: Path, file: Path) -> None:
    """Run the tests of one file, and write what they execute. A test that fails when run alone,
    too, is noted. Raises OSError if the tests can't be run."""
    plugin = ("-p", "tests.mutants.reach", "--reach", str(file))
    ran = tree.python(*PYTEST, *plugin, str(tests), timeout_s=FILE_S)
    failing = FAILED.findall(ran.output)
    if ran.status == SOME_FAILED and failing:
        ran = tree.python(*PYTEST, *failing, timeout_s=FILE_S)
        failing = FAILED.findall(ran.output)
    if ran.status not in (0, NONE_THERE) and (ran.status != SOME_FAILED or not failing):
        raise OSError(f"{tests} can't be run as it is:\n{ran.output[-3000:]}")
    file.write_text(json.dumps(asdict(replace(Reach.read(file), failing=failing))), "utf-8")


def measure_seeds(tree: Tree, base: str, count: int, over_database: bool, file: Path) -> None:
    """Run so many seeds, and write what they execute. Raises OSError if they can't be run."""
    ran = tree.python(
        *("-m", "tests.mutants.seeds", "--count", str(count), "--base", base),
        *("--reach", str(file), *(["--over-database"] if over_database else [])),
        timeout_s=FILE_S + SEED_S * count,
    )
    if ran.status != 0:
        raise OSError(f"the seeds can't be run as they are:\n{ran.output[-3000:]}")
