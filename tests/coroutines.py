"""Tests that are coroutines; each has its own event loop and a bound on its time."""

from __future__ import annotations

import asyncio
import inspect

import pytest

TEST_S = 600.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine to its end: for a conftest to import."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in wanted}

    async def bounded() -> None:
        async with asyncio.timeout(TEST_S):
            await pyfuncitem.obj(**arguments)

    asyncio.run(bounded())
    return True
