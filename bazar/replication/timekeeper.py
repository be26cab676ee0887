"""How time passes for a primary."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from math import inf

from bazar.replication.effects import Effect
from bazar.replication.primary import Primary
from bazar.replication.timing import RENEWALS_PER_LEASE, TICKS_PER_LEASE


class Timekeeper:
    """Ticks when something is due, and often enough for L5 and R8, or P2. `check` raises FatalError
    where the primary must not go on."""

    def __init__(
        self,
        primary: Primary,
        check: Callable[[], object],
        clock: Callable[[], float],
        lease_s: float,
        perform: Callable[[Iterable[Effect]], None],
    ) -> None:
        self.primary = primary
        self._check = check
        self.clock = clock
        self.lease_s = lease_s
        self._perform = perform
        self._due = inf  # when the clock is looked at again
        self._sooner = asyncio.Event()

    def look(self) -> None:
        """Look at the clock again, if what has happened makes something due sooner."""
        if self.primary.due(self.clock()) < self._due:
            self._sooner.set()

    async def run(self) -> None:
        while True:
            now = self.clock()
            self._check()
            self._perform(self.primary.tick(now))
            self._due = min(self.primary.due(now), now + self.lease_s / RENEWALS_PER_LEASE)
            self._sooner.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(self._due - now, self.lease_s / TICKS_PER_LEASE)):
                    await self._sooner.wait()
