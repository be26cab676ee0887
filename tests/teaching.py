"""What docs/teaching.md tells students to run, and says that came out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "teaching.md"
_SECTION = re.compile(r"^## (?:\d+\. )?(.*?)(?: \(\d+ minutes\))?$", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PYTHON = ".venv/bin/python"
SIMULATES = f"{PYTHON} -m tests.simulation"
PLAYS = f"{PYTHON} -m bazar demo"
# What is done once, or takes too long for a test.
UNTRIED = ("python3 -m venv", f"{PYTHON} -m bazar bench")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the page: of `sh` what to run, of `text` what it printed."""

    section: str
    kind: str
    text: str

    @property
    def is_for_the_shop(self) -> bool:
        return self.kind == "sh" and not self.text.startswith((SIMULATES, PLAYS, *UNTRIED))


def blocks() -> list[Block]:
    """Return all blocks of the page, in order."""
    page = PAGE.read_text("utf-8")
    names = [(match.start(), match[1]) for match in _SECTION.finditer(page)]
    return [
        Block([name for at, name in names if at < match.start()][-1], match[1], match[2])
        for match in _BLOCK.finditer(page)
    ]


def lines(beginning: str) -> list[str]:
    """Return the commands that begin so, without what follows as a remark."""
    return [
        line.partition("  #")[0].strip()
        for block in blocks()
        if block.kind == "sh"
        for line in block.text.splitlines()
        if line.startswith(beginning)
    ]


def rows() -> list[list[str]]:
    """Return the rows of the tables of rules that may be taken away, without their heads."""
    found = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| ") and "`bazar/" in line and line.count(" | ") == 5
    ]
    assert found
    return found
