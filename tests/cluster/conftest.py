"""Tests here may be coroutines, follow processes, and hold ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import ports
from tests.cluster.databases import databases as databases
from tests.coroutines import pytest_pyfunc_call as pytest_pyfunc_call


@pytest.fixture(autouse=True)
def _processes_can_be_seen() -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc to follow processes")


@pytest.fixture
def port() -> Iterator[int]:
    """Yield a port that no other process gets."""
    [held] = ports.hold(1)
    with held:
        yield ports.number(held)
