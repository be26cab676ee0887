"""Tests here may be coroutines; each has its own event loop and a bound on its time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import ports

TEST_S = 600.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in wanted}

    async def bounded() -> None:
        async with asyncio.timeout(TEST_S):
            await pyfuncitem.obj(**arguments)

    asyncio.run(bounded())
    return True


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
