"""A short run of chaos; `python -m tests.cluster.chaos` makes longer ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.chaos import run
from tests.cluster.cluster import PATIENT

NOBODY_HANGS = {"supervisor": PATIENT["supervisor"]}  # a busy machine's nodes take long to start


@pytest.mark.parametrize("supervised", [False, True])
async def test_nothing_false_is_said_amid_faults(tmp_path: Path, supervised: bool) -> None:
    happened: Counter[str] = Counter()
    # Once, on most machines.
    while happened["faults"] < 5 or happened["purchases"] <= 20 or not happened["checks"]:
        report = await run(
            tmp_path, seed=1, minutes=1 / 3, supervised=supervised, settings=NOBODY_HANGS
        )
        print(report.show())
        assert report.violation is None, report.show()
        happened += report.counts
        happened["faults"] += sum(report.faults.values())
