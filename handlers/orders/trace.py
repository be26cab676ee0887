"""How sales become orders, for those that ask to see it: the orders' primary is asked beforehand to
trace what it is about to log. While it has not been asked lately nothing here is run."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from math import inf

from bazar.errors import NotFound
from bazar.replication.store import Answer

TRACED_S = 10.0
MAX_TRACES = 64
TOLD_S = 1.0


class ProjectionTraces:
    """Of the last batches of sales that became orders here: behind which, up to which, how."""

    def __init__(self) -> None:
        self.until = -inf  # until when it is asked for
        self._kept: deque[tuple[int, int, Answer]] = deque(maxlen=MAX_TRACES)
        self._newest = 0  # the last entry that one is kept of
        self._more = asyncio.Event()  # replaced whenever one is kept

    def keep(self, behind: int, up_to: int, told: Answer) -> None:
        self._kept.append((behind, up_to, told))
        self._newest = up_to
        more, self._more = self._more, asyncio.Event()
        more.set()

    async def of(self, seq: int) -> Answer:
        """Return how the sale of entry `seq` became an order. Raises NotFound."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOLD_S):
                while self._newest < seq:
                    await self._more.wait()  # it is committed, and its primary not yet told
        for behind, up_to, told in self._kept:
            if behind < seq <= up_to:
                return told
        raise NotFound(f"the order of sale {seq} was not traced here")
