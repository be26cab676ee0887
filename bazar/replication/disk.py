"""What both sides of the protocol ask of the disk: in order, and each within a bound."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable

from bazar.errors import FatalError
from bazar.latency_histogram import LatencyHistogram
from bazar.replication.effects import Effect, Install

DISK_S = 10.0  # for one transaction
SNAPSHOT_S = 120.0  # for one chunk, or all that it replaces
MAX_QUEUE = 64


@contextlib.asynccontextmanager
async def within(limit_s: float = DISK_S) -> AsyncIterator[None]:
    """Bound how long the disk may take. Raises FatalError when it has not answered by then: a node
    that waits for ever would keep the primaryship, or the lock, from those that could go on."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise FatalError(f"the disk has not answered in {limit_s:g} s") from error


class DiskWorker:
    """Has effects written out in the order in which they were put. `spent` has how long each kind
    of them took; who takes over from another goes on with its counts."""

    def __init__(
        self,
        write_out: Callable[[Effect], Awaitable[None]],
        spent: defaultdict[str, LatencyHistogram] | None = None,
    ) -> None:
        self._write_out = write_out
        self.spent = defaultdict(LatencyHistogram) if spent is None else spent
        self._queue: asyncio.Queue[Effect] = asyncio.Queue()

    def put(self, effect: Effect) -> None:
        self._queue.put_nowait(effect)

    def settling(self) -> Awaitable[None] | None:
        """Return what a follower waits for before it reads on, if its disk is behind; else None.
        TCP lets the primary know."""
        return self._queue.join() if self._queue.qsize() > MAX_QUEUE else None

    async def join(self) -> None:
        """Return once all is on disk."""
        await self._queue.join()

    async def run(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            effect = await self._queue.get()
            began = now()
            async with within(SNAPSHOT_S if isinstance(effect, Install) else DISK_S):
                await self._write_out(effect)
            self.spent[type(effect).__name__.lower()].add(1000 * (now() - began))
            self._queue.task_done()
