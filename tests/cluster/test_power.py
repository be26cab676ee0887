"""Power cuts on real files, a few; `python -m tests.cluster.power` makes more of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cluster.power.alone import one_node_alone
from tests.cluster.power.disk import Sync
from tests.cluster.power.examine import cuts, examine
from tests.cluster.power.held import faults
from tests.cluster.power.recording import build_shim, compiler
from tests.cluster.power.scenarios import SCENARIOS
from tests.cluster.power.stage import Recording

STATES, STARTS, ROUNDS = 40, 2, 4
TRIES = 100  # states until a missing sync must have been noticed


needs_compiler = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")


@needs_compiler
@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("first start", (Sync.TOKEN, Sync.PARENT)),
        ("paused follower", (Sync.MEMBERS, Sync.DIRECTORY)),
        ("promoted", (Sync.REACHED, Sync.DATABASES)),
    ],
)
async def test_nothing_acknowledged_is_lost(
    tmp_path: Path, name: str, needed: Sequence[Sync]
) -> None:
    recording = await SCENARIOS[name](tmp_path / "shop", build_shim(tmp_path))
    outcome = await examine(name, recording, tmp_path, "1", STATES, STARTS)
    assert not outcome.faults, "\n".join(outcome.faults)
    assert (outcome.states, outcome.starts) == (STATES, STARTS)
    for sync in needed:
        assert any(_noticed(recording, sync, tmp_path)), f"nobody needs the sync: {sync.value}"


def _noticed(recording: Recording, without: Sync, place: Path) -> Iterator[list[str]]:
    """Yield what is found in each state of a disk on which these syncs were not made."""
    for cut in cuts(recording, TRIES, "1", without):
        yield faults(cut.state, recording, cut.at, place / "held")


@needs_compiler
async def test_one_replica_alone_loses_its_power(tmp_path: Path) -> None:
    outcome = await one_node_alone(tmp_path / "shop", build_shim(tmp_path), "1", ROUNDS)
    assert not outcome.faults, "\n".join(outcome.faults)
    assert (outcome.states, outcome.starts) == (ROUNDS, ROUNDS)
