"""A failing seed becomes simpler, and fails by the same promise."""

from __future__ import annotations

from functools import cache
from itertools import count

import pytest

from tests.simulation.__main__ import main
from tests.simulation.mutations import ALL
from tests.simulation.shrink import Shrinking, promise

RUNS = 60
MUTATION = next(one for one in ALL if one.name == "acknowledge before fsync")


@cache
def failing() -> int:
    """Find the first seed that breaks I3: another fault in the model makes it another one."""
    with MUTATION.applied():
        return next(seed for seed in count() if promise(Shrinking(seed, core=True).result) == "I3")


def shrunk() -> Shrinking:
    shrinking = Shrinking(failing(), core=True)
    shrinking.shrink(RUNS)
    return shrinking


def test_the_same_promise_is_broken_by_far_fewer_draws() -> None:
    failing()
    with MUTATION.applied():
        one, other = shrunk(), shrunk()
        assert one.kept == other.kept
        assert promise(one.run(one.kept)) == promise(one.result) == "I3"
        assert 0 < one.left < one.drawn / 10
        assert one.passing is not None
        assert promise(one.run(one.passing)) != "I3"
        assert sum(map(len, one.passing.values())) < one.left


def test_tells_what_is_left_and_where_a_run_parts_that_passes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["", "--shrink", str(failing()), "--core", "--runs", str(RUNS), "--last", "5"]
    monkeypatch.setattr("sys.argv", asked)
    with MUTATION.applied():
        assert main() == 0
    told = capsys.readouterr().out
    fails, passes = told.split("It parts here:")[1].split("and that passes:")
    assert fails.strip() and fails.splitlines()[2] != passes.splitlines()[2]
    assert f"seed {failing()}: I3: " in told and "draws left: " in told


def test_a_seed_in_order_is_not_shrunk(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["", "--shrink", str(failing()), "--core"])
    assert main() == 1
    assert capsys.readouterr().out == f"seed {failing()}: no violation\n"
