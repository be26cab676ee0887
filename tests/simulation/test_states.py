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

from bazar.http.stages import ConnectionPhase
from bazar.replication.messages import (
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    ArbiterId,
    Hello,
    Member,
    Membership,
)
from bazar.replication.primary import Primary
from bazar.replication.states import Life, Phase
from bazar.replication.subscription import Stage, Subscription
from bazar.replication.timing import Timing
from tests.simulation.scenario import run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
STEP = re.compile(r"(?=\b([A-Z_]+) (◀?)──▶ ([A-Z_]+))")
LEAST_SEEDS, MOST_SEEDS = 40, 400

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
    plainly: Any = owner.__setattr__

    def set_attribute(self: Any, attribute: str, value: Any) -> None:
        if attribute == name and (before := getattr(self, name, None)) not in (None, value):
            steps.add((before.name, value.name))
        plainly(self, attribute, value)

    with patch.object(owner, "__setattr__", set_attribute):
        yield steps


@pytest.mark.parametrize("kind", [Life, Phase, Stage, ConnectionPhase])
def test_all_states_are_drawn_alike_in_the_code_and_in_its_documentation(
    kind: type[enum.Enum],
) -> None:
    assert {state for step in drawn(kind) for state in step} == set(kind.__members__)
    page = PAGE.read_text("utf-8")
    for line in (kind.__doc__ or "").splitlines():
        if "──▶" in line:
            assert line.strip() in page


def stop_amid_the_last_batch() -> None:
    """What seeds meet too seldom: a primary that retires is told that another has led."""
    me, store, here = Member("a", "a/1"), Member("b", "b/1"), ArbiterId("here", "/data")
    begun = Membership(1, frozenset({me, store}), 1.0)
    options: Any = {"known": 1, "epoch_id": "e", "restarted": False, "arbiter": here}
    primary, _ = Primary.take_over(me, begun, GENESIS, (), 0.0, Timing(), **options)
    primary.recorded(0.0)
    assert primary.begin(2.0)
    primary.retire(2.0)
    hello = Hello(WIRE_VERSION, REPLICA, *("b", "run", "b/1", 9), GENESIS, GENESIS, "other", here)
    primary.receive(1, hello, 2.0)


def test_what_is_drawn_is_what_happens() -> None:
    with (
        seen(Primary, "life") as lives,
        seen(Primary, "phase") as phases,
        seen(Subscription, "stage") as stages,
    ):
        stop_amid_the_last_batch()
        for seed in range(MOST_SEEDS):
            run(seed, core=seed % 4 > 0)
            if seed >= LEAST_SEEDS and stages >= drawn(Stage) and lives >= drawn(Life):
                break
    assert lives == drawn(Life)
    assert phases == drawn(Phase)
    assert stages == drawn(Stage)
