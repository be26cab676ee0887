"""Which unit tests reach which functions: measured once, without a mutant, then looked up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from statistics import fmean

from tests.mutants.mutant import Mutant
from tests.mutants.tree import Tree

SUITES = ("unit", "http", "postgresql")
PYTEST = (
    *("-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.mutants.leave"),
    *("--rootdir=.", "--assert=plain", "--tb=line"),
)
FILE_S = 1800  # for the tests of one file without a mutant
FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
SOME_FAILED, NONE_THERE = 1, 5  # of pytest's exit codes
UNSTEADY = 3  # tests that fail without a mutant: with more of them no verdict can be trusted


@dataclass(frozen=True, slots=True)
class Reach:
    """Which unit tests reach which functions, and how long each takes."""

    seconds: Mapping[str, float]
    functions: Mapping[str, Mapping[str, Sequence[str]]]
    failing: Sequence[str] = ()  # without a mutant: they judge nothing

    @classmethod
    def read(cls, path: Path) -> Reach:
        return cls(**json.loads(path.read_text("utf-8")))

    @classmethod
    def joined(cls, parts: Iterable[Reach]) -> Reach:
        """Join the results of several runs over different tests."""
        seconds: dict[str, float] = {}
        functions: dict[str, dict[str, list[str]]] = {}
        failing: list[str] = []
        for part in parts:
            seconds |= part.seconds
            failing += part.failing
            for file, names in part.functions.items():
                for name, tests in names.items():
                    functions.setdefault(file, {}).setdefault(name, []).extend(tests)
        if len(failing) > UNSTEADY:
            raise OSError(f"these tests fail as they are, and judge nothing: {' '.join(failing)}")
        return cls(seconds, functions, failing)

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that may notice the mutant: first those of the file's own name, then the
        fastest files. If the mutant is outside all functions, or in a file that was not measured,
        that is every test."""
        path = PurePath(mutant.file)
        named = rf"test_(?:{path.stem}|{path.parent.name})(?:_\w+)?\.py::"
        near = re.compile(rf"tests/(?:{'|'.join(SUITES)})/(?:.*/)?{named}")
        chosen = set(self.seconds)
        if mutant.function and (measured := self.functions.get(mutant.file)) is not None:
            chosen = {*measured.get(mutant.function, ()), *filter(near.match, self.seconds)}
        spent: dict[str, list[float]] = {}  # by file
        for test in chosen:
            spent.setdefault(test.partition("::")[0], []).append(self.seconds[test])

        def order(test: str) -> tuple[bool, float, str, float]:
            file = test.partition("::")[0]
            return not near.match(test), fmean(spent[file]), file, self.seconds[test]

        return sorted(chosen.difference(self.failing), key=order)


def test_files(tree: Tree) -> list[Path]:
    """Return the files of unit tests, relative to the tree."""
    found = (path for suite in SUITES for path in (tree.path / "tests" / suite).rglob("test_*.py"))
    return sorted(path.relative_to(tree.path) for path in found)


def sound(file: Path) -> bool:
    """Return whether this was measured without a failure: else it is measured again."""
    return file.exists() and not Reach.read(file).failing


def measure(tree: Tree, tests: Path, file: Path) -> None:
    """Run the tests of one file, and write what they reach. A test that fails when run alone, too,
    is noted. Raises OSError if the tests can't be run."""
    plugin = ("-p", "tests.mutants.reach", "--reach", str(file))
    ran = tree.python(*PYTEST, *plugin, str(tests), timeout_s=FILE_S)
    failing = FAILED.findall(ran.output)
    if ran.status == SOME_FAILED and failing:
        ran = tree.python(*PYTEST, *failing, timeout_s=FILE_S)
        failing = FAILED.findall(ran.output)
    if ran.status not in (0, NONE_THERE) and (ran.status != SOME_FAILED or not failing):
        raise OSError(f"{tests} can't be run as it is:\n{ran.output[-3000:]}")
    file.write_text(json.dumps(asdict(replace(Reach.read(file), failing=failing))), "utf-8")
