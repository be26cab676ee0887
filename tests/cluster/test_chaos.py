"""A short run of chaos; `python -m tests.cluster.chaos` makes longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.chaos import run


@pytest.mark.parametrize("supervised", [False, True])
async def test_nothing_false_is_said_amid_faults(tmp_path: Path, supervised: bool) -> None:
    report = await run(tmp_path, seed=1, minutes=1 / 3, supervised=supervised)
    print(report.show())
    assert report.violation is None, report.show()
    assert report.counts["purchases"] > 20
    assert report.counts["checks"] >= 1
    assert sum(report.faults.values()) >= 5
