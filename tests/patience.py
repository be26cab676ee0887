"""Waiting for the thing itself, however slow the machine is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

POLL_S = 0.002
PATIENCE_S = 60.0


async def until(holds: Callable[[], object], what: str) -> None:
    """Return as soon as `holds`; fail after PATIENCE_S."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 - any condition, not only those with an event
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"waited {PATIENCE_S} s until {what}") from None
