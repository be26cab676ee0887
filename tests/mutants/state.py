"""Verdicts on disk, so that hours of judging can be stopped and continued."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from tests.mutants.judge import Verdict
from tests.mutants.mutant import Mutant


class Verdicts:
    """The verdicts of one tree and one set of judges, each written as soon as it is known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Verdict] = {}
        if path.exists():
            whole, newline, _ = path.read_text("utf-8").rpartition("\n")
            path.write_text(whole + newline, "utf-8")  # without a half-written last line
            for line in whole.splitlines():
                plain = json.loads(line)
                key = plain.pop("key")
                self.known[key] = Verdict(**plain)

    def add(self, mutant: Mutant, verdict: Verdict) -> None:
        self.known[mutant.key] = verdict
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": mutant.key, **asdict(verdict)}) + "\n")
