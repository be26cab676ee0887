"""The read barrier: from when on the store of one replica may be read, and shows what it must."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from bazar.errors import Unavailable
from bazar.replication.messages import Mark


class Core(Protocol):
    """Either side of the protocol, as a reader sees it."""

    @property
    def committed(self) -> Mark: ...

    @property
    def last(self) -> Mark: ...

    def read(self, tags: frozenset[str] | None, now: float) -> int: ...


class Reads:
    """What a reader waits for at one node. `core` is the side of the protocol that it is on;
    `seeded` says that a new group begins with something (T0)."""

    def __init__(
        self,
        node: str,
        core: Callable[[], Core],
        clock: Callable[[], float],
        *,
        lease_s: float,
        seeded: bool,
    ) -> None:
        self.node = node
        self.core = core
        self.clock = clock
        self.lease_s = lease_s
        self._seeded = seeded
        self.closed: str | None = None
        """Why nothing may be read here, whatever the core says."""
        self._committed = asyncio.Event()  # replaced at every commit

    def committed(self) -> None:
        """Wake those that wait for another committed state: it is here."""
        committed, self._committed = self._committed, asyncio.Event()
        committed.set()

    async def barrier(self, tags: frozenset[str] | None) -> None:
        """Return once the store may be read about `tags` (None: about anything). Raises
        Unavailable where it may not (L2, L4)."""
        seq = self.index(tags)
        if not await self.wait_applied(seq, self.lease_s):
            raise Unavailable(f"{self.node}: entry {seq} is still pending")

    def is_open(self, tags: frozenset[str] | None) -> bool:
        """Whether the store may be read about `tags` now, without a wait."""
        try:
            return self.index(tags) <= self.core().committed.seq
        except Unavailable:
            return False

    def index(self, tags: frozenset[str] | None) -> int:
        """Return the entry that a read of `tags` must wait for now, 0 for none. Raises Unavailable
        where the store may not be read."""
        core = self.core()
        seq = core.read(tags, self.clock())
        if self.closed is not None:
            raise Unavailable(self.closed)
        if self._seeded and core.committed.seq == 0:
            # T0: what a group begins with is there for every reader, or nothing is yet.
            raise Unavailable(f"{self.node}: the first entries are not committed yet")
        return seq

    async def caught_up(self, seq: int) -> None:
        """Return once the state shows entry `seq`, or the log is known to have no such entry (H3).
        Raises Unavailable where the store may not be read, or not in time."""
        self.index(frozenset())
        if seq <= self.core().last.seq and not await self.wait_applied(seq, self.lease_s):
            raise Unavailable(f"{self.node}: entry {seq} is still pending")
        self.index(frozenset())  # meanwhile it may have been welcomed to another history (H4)

    async def wait_applied(self, seq: int, timeout_s: float) -> bool:
        """Return whether the state shows entry `seq`, as soon as it does or the time is over."""
        deadline = self.clock() + timeout_s
        while self.core().committed.seq < seq:
            left_s = deadline - self.clock()
            if left_s <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._committed.wait()
        return True
