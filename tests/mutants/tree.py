"""Copies of the tree, in which mutants are put and judged."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bazar.node.starvation import starved_s
from tests.mutants.mutant import Mutant

LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "data")
IRRELEVANT = (".pyc", ".md")
# Bytecode is compiled once, and is valid as long as its source's hash is: a file's time or size
# can't mislead.
COMPILE = ("-m", "compileall", "-q", "--invalidation-mode", "checked-hash", ".")
COMPILE_S = 300
LOOK_S = 1.0  # how often it is looked whether a command is still at work


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended; `status` is None if it was stopped at its time limit."""

    status: int | None
    output: str


def ended(
    child: subprocess.Popen[bytes], output: Path, timeout_s: float, silent_s: float
) -> int | None:
    """Return the status of a process, or None once it has used `timeout_s`, or has said nothing for
    `silent_s`. Time in which it waited for a processor does not count: else a busy machine would
    find hangs everywhere."""
    began = time.monotonic()
    spent_s = heard_s = 0.0
    size = 0
    while spent_s < timeout_s and spent_s - heard_s < silent_s:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(min(LOOK_S, timeout_s - spent_s))
        spent_s = time.monotonic() - began - starved_s(child.pid)
        if (grown := output.stat().st_size) != size:
            size, heard_s = grown, spent_s
    return None


class Tree:
    """One copy, for one thread. What is started in it is a process group, which ends with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    @classmethod
    def copied(cls, source: Path, path: Path) -> Tree:
        shutil.copytree(source, path, ignore=LEFT_OUT)
        tree = cls(path)
        ran = tree.python(*COMPILE, timeout_s=COMPILE_S)
        if ran.status != 0:
            raise OSError(f"{source}: can't be compiled: {ran.output[-1000:]}")
        return tree

    def clone(self, path: Path) -> Tree:
        shutil.copytree(self.path, path)
        return Tree(path)

    def digest(self) -> str:
        """Return a name for the content of the tree, but for its texts."""
        digest = hashlib.sha256()
        for path in sorted(self.path.rglob("*")):
            if path.is_file() and path.suffix not in IRRELEVANT:
                digest.update(f"{path.relative_to(self.path)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:16]

    @contextlib.contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        path = self.path / mutant.file
        source = path.read_bytes()
        path.write_bytes(mutant.applied(source))
        try:
            yield
        finally:
            path.write_bytes(source)

    def python(self, *arguments: str, timeout_s: float, silent_s: float = math.inf) -> Ran:
        """Run Python in the tree, for `timeout_s` at most, and no longer than it says something
        every `silent_s`; without the time in which others have the processors. Raises
        InterruptedError once the tree is closed."""
        temporary = self.path.with_name(f"{self.path.name}.tmp")
        temporary.mkdir()
        output = self.path.with_name(f"{self.path.name}.out")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(temporary)}
        status: int | None = None
        try:
            # Into a file: a pipe would stay open as long as any process that a test has left
            # behind.
            with output.open("wb") as out:
                self._child = child = subprocess.Popen(
                    [sys.executable, *arguments],
                    cwd=self.path,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                try:
                    if not self._closed:
                        status = ended(child, output, timeout_s, silent_s)
                finally:
                    self._kill(child)
                    child.wait()
            if self._closed:
                raise InterruptedError(f"{self.path} is closed")
            return Ran(status, output.read_text("utf-8", "replace"))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @staticmethod
    def _kill(child: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def close(self) -> None:
        """End what runs here. Called from another thread."""
        self._closed = True
        if self._child is not None and self._child.returncode is None:
            self._kill(self._child)
