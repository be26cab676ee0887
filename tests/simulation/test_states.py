"""The states that are drawn: each is one of the code's, and the transitions are those that seeds
have seen."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bazar.http.connection import Phase as ConnectionPhase
from bazar.replication.primary import Phase, Primary
from bazar.replication.subscription import Feed, Stage
from tests.simulation.scenario import run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
STEP = re.compile(r"(?=\b([A-Z_]+) (◀?)──▶ ([A-Z_]+))")
SEEDS = 60

Steps = set[tuple[str, str]]


def drawn(kind: type[enum.Enum]) -> Steps:
    steps: Steps = set()
    for one, both, other in STEP.findall(kind.__doc__ or ""):
        steps.add((one, other))
        if both:
            steps.add((other, one))
    return steps


@contextmanager
def seen(owner: type, name: str) -> Iterator[Steps]:
    """Yield the transitions between values of an attribute in this block."""
    steps: Steps = set()

    def set_attribute(self: Any, attribute: str, value: Any) -> None:
        if attribute == name and (before := getattr(self, name, None)) not in (None, value):
            steps.add((before.name, value.name))
        object.__setattr__(self, attribute, value)

    with patch.object(owner, "__setattr__", set_attribute):
        yield steps


@pytest.mark.parametrize("kind", [Phase, Stage, ConnectionPhase])
def test_all_states_are_drawn_alike_in_the_code_and_in_its_documentation(
    kind: type[enum.Enum],
) -> None:
    assert {state for step in drawn(kind) for state in step} == set(kind.__members__)
    page = PAGE.read_text("utf-8")
    for line in (kind.__doc__ or "").splitlines():
        if "──▶" in line:
            assert line.strip() in page


def test_what_is_drawn_is_what_happens() -> None:
    with seen(Primary, "phase") as phases, seen(Feed, "stage") as stages:
        for seed in range(SEEDS):
            run(seed, core=seed % 4 > 0)
    assert phases == drawn(Phase)
    assert stages == drawn(Stage)
