"""What a node shows of the database: rows of one moment, of which it has been told (L6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bazar.errors import Unavailable
from bazar.replication.messages import Mark
from bazar.replication.primary import Primary
from bazar.replication.reads import Reads
from bazar.replication.subscriber import Subscriber
from bazar.replication.timing import touched_seq

AGAIN_S = 0.005  # between two looks at servers that are behind

T = TypeVar("T")

Snapshot = Callable[[int], Awaitable[tuple[Mark, T]]]
"""Reads rows and mark in one snapshot. The number is how many looks have shown too little: then
another server may show more."""


class Shown:
    """The reads of one node. `core` is the side of the protocol that it is on."""

    def __init__(
        self,
        node: str,
        core: Callable[[], Primary | Subscriber],
        reads: Reads,
        clock: Callable[[], float],
        patience_s: float,
    ) -> None:
        self._node = node
        self._core = core
        self._reads = reads
        self._clock = clock
        self._patience_s = patience_s

    async def read(self, tags: frozenset[str] | None, snapshot: Snapshot[T]) -> T:
        """Return what a snapshot shows that may be shown about `tags` (None: about anything).
        Raises Unavailable where there is none in time."""
        deadline = self._clock() + self._patience_s
        told = self._told()
        looks = 0
        while True:
            mark, found = await snapshot(looks)
            now = self._told()
            if now.digest != told.digest:
                told = now  # of an older epoch nothing counts any more
            elif mark.digest == told.digest and mark.seq >= told.seq:
                if await self._is_told(mark, tags, deadline):
                    return found
            else:
                looks += 1
                await asyncio.sleep(AGAIN_S)
            if self._clock() >= deadline:
                raise Unavailable(f"{self._node}: no server shows {told}, but {mark}")

    def _told(self) -> Mark:
        """Return the mark that this node was told of last. Raises Unavailable without a lease, or a
        hold."""
        core = self._core()
        core.read(frozenset(), self._clock())
        return core.committed

    async def _is_told(self, mark: Mark, tags: frozenset[str] | None, deadline: float) -> bool:
        """Return whether this node has been told of `mark`, which is of its epoch, now or in a
        moment, or whether nothing that is pending up to there touches `tags`."""
        core = self._core()
        pending = [entry for entry in core.pending if entry.seq <= mark.seq]
        if core.last.seq >= mark.seq and not touched_seq(pending, tags):
            return True
        applied = await self._reads.wait_applied(mark.seq, deadline - self._clock())
        return applied and self._core().committed.digest == mark.digest
