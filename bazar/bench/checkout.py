"""A tree of Bazar whose nodes are run: this one, or another commit of it."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bazar.errors import BadRequest

PROGRAM = "run.py"
PACKAGES = ("bazar", "handlers", "storage", "run")
LIMIT_S = 60.0
SHOWN = 1000

# Import what every node imports, and print where each module was found.
WHENCE = """
import sys, run
for name, module in [*sys.modules.items()]:
    if name.partition(".")[0] in sys.argv[1:] and module.__file__:
        print(module.__file__)
"""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A tree of Bazar. `model` is the cluster.json whose nodes and settings its shops have."""

    root: Path
    model: Path

    @classmethod
    def at(cls, root: Path) -> Checkout:
        """Return the checkout at `root`, with its own cluster.json. Raises BadRequest if it is no
        Bazar."""
        found = cls(root.resolve(), root.resolve() / "cluster.json")
        if not (found.root / PROGRAM).is_file():
            raise BadRequest(f"{root}: is no checkout of Bazar: it has no {PROGRAM}")
        try:
            json.loads(found.model.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BadRequest(f"{found.model}: {error}") from error
        return found

    def __str__(self) -> str:
        """Return its commit if git knows it, else its directory."""
        command = ["git", "-C", str(self.root), "describe", "--always", "--dirty", "--exclude=*"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        except (OSError, subprocess.SubprocessError):
            return self.root.name
        return told.stdout.strip() or self.root.name

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the environment in which its own modules are found before those of an installed
        tree."""
        found = os.environ.get("PYTHONPATH")
        return {"PYTHONPATH": os.pathsep.join([str(self.root), *([found] if found else [])])}

    def command(self, module: str | None = None) -> Sequence[str]:
        """Return the command that takes run.py's flags: run.py, or a module in its place."""
        program = ["-m", module] if module else [str(self.root / PROGRAM)]
        return [sys.executable, *program]

    def check(self) -> None:
        """Raise BadRequest if its nodes can't be imported, or would run the code of another tree.
        Compile all of it, so that no node that starts pays for that, also where Python is told to
        leave no bytecode behind."""
        for package in PACKAGES:
            compileall.compile_dir(self.root / package, quiet=2)
        try:
            told = subprocess.run(
                [sys.executable, "-c", WHENCE, *PACKAGES],
                cwd=self.root,
                env={**os.environ, **self.environment},
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise BadRequest(f"{self.root}: {error}") from error
        if told.returncode != 0:
            raise BadRequest(f"{self.root}: can't be run:\n{told.stderr[-SHOWN:]}")
        for file in told.stdout.splitlines():
            if not Path(file).resolve().is_relative_to(self.root):
                raise BadRequest(f"{self.root}: would import {file}")
