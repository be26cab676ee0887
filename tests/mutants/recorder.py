"""What is executed of the product, line by line.

Nothing can notice a change of a line that it does not execute. So a mutant is judged in seconds,
not in the minutes that all tests and seeds take.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import coverage

from tests import product


class Recorder:
    """Records which lines are executed under which name. What concerns all names that begin with
    `every` is recorded under that."""

    def __init__(self, root: Path, every: str = "") -> None:
        self.root = root
        self.every = every
        self.seconds: dict[str, float] = {}
        self.failing: list[str] = []
        self._coverage = coverage.Coverage(
            data_file=None,
            config_file=False,
            include=[str(root / file) for file in product.files(root)],
        )
        # Tests of another part of the product execute none of these files.
        self._coverage.set_option("run:disable_warnings", ["no-data-collected"])
        self._name = every
        self._coverage.start()
        self._coverage.switch_context(every)

    @contextmanager
    def under(self, name: str) -> Iterator[None]:
        """Record under this name, and add the time to it."""
        before, self._name = self._name, name
        began = time.monotonic()
        self._coverage.switch_context(name)
        try:
            yield
        finally:
            self._name = before
            self._coverage.switch_context(before)
            if name != self.every:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    def write(self, file: Path) -> None:
        """Write it as a `Reach`."""
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[str, list[int]]] = {file: {} for file in product.files(self.root)}
        for name in sorted(data.measured_contexts()):
            data.set_query_context(name)
            for path in sorted(map(Path, data.measured_files())):
                if executed := data.lines(str(path)):
                    where = path.relative_to(self.root).as_posix()
                    lines.setdefault(where, {})[name] = sorted(executed)
        found = {"seconds": self.seconds, "lines": lines, "failing": self.failing}
        file.write_text(json.dumps(found), "utf-8")
