"""A pytest plugin that records which tests reach which functions: `-p tests.mutants.reach --reach
FILE` (below the root that pytest runs in).

A test can notice a change of a function only if it executes the function. So a mutant is judged in
seconds, not in the minutes that all tests take.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

from tests import product
from tests.mutants.operators import functions


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reach", type=Path, required=True, help="where to write it, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Reach(config.rootpath, config.getoption("--reach")))


class Reach:
    """The time that each test took, and the functions that it executed."""

    def __init__(self, root: Path, file: Path) -> None:
        self.root = root
        self.file = file
        self.seconds: dict[str, float] = {}
        self.coverage = coverage.Coverage(
            data_file=None,
            config_file=False,
            include=[str(root / file) for file in product.files(root)],
        )
        # Tests of another part of the product execute none of these files.
        self.coverage.set_option("run:disable_warnings", ["no-data-collected"])

    def pytest_sessionstart(self) -> None:
        self.coverage.start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        data = self.coverage.get_data()
        reached: dict[str, dict[str, list[str]]] = {}
        for path in sorted(map(Path, data.measured_files())):
            names = functions(path.read_bytes())
            tests: dict[str, set[str]] = {}
            for line, contexts in data.contexts_by_lineno(str(path)).items():
                if line in names:
                    tests.setdefault(names[line], set()).update(filter(None, contexts))
            reached[path.relative_to(self.root).as_posix()] = {
                name: sorted(those) for name, those in tests.items()
            }
        self.file.write_text(json.dumps({"seconds": self.seconds, "functions": reached}))
