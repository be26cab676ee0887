"""How long a disk may take before it is taken for dead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from bazar.errors import Fatal

DISK_S = 10.0  # for one transaction
SNAPSHOT_S = 120.0  # for one chunk, or all that it replaces


@contextlib.asynccontextmanager
async def within(limit_s: float = DISK_S) -> AsyncIterator[None]:
    """Raises Fatal when the disk has not answered by then: a node that waits for ever would keep
    the primaryship, or the lock, from those that could go on."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise Fatal(f"the disk has not answered in {limit_s:g} s") from error
