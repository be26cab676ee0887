"""The operations that wait for the next batch: bounded, and each with its own deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from math import inf

from bazar.errors import BazarError, Indeterminate, Unavailable
from bazar.futures import resolve
from bazar.replication.store import Answer, Operation
from bazar.replication.trace import Trace


@dataclass(slots=True, eq=False)
class Ticket:
    """One operation and the answer that is waited for."""

    operation: Operation
    done: asyncio.Future[Answer] = field(repr=False)
    trace: Trace | None = None
    until: float = inf  # when whoever asked gives up, on the clock of leases

    def resolve(self, answer: Answer | BazarError) -> None:
        resolve(self.done, answer)


class WriteQueue:
    """First come, first served. `wake` is set by all that may let the next batch begin."""

    def __init__(self, limit: int) -> None:
        self.wake = asyncio.Event()
        self.batches, self.operations = 0, 0
        """How many batches were taken, and how many operations in them."""
        self._limit = limit
        self._waiting: deque[Ticket] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def waits(self, now: float) -> bool:
        """Return whether there is anything for a batch. What nobody waits for any more is refused
        (R9): after a pause this is known here before its timer rings."""
        for ticket in [one for one in self._waiting if now >= one.until]:
            self._waiting.remove(ticket)
            ticket.resolve(Unavailable("no batch has taken it in time"))
        return bool(self._waiting)

    def add(self, operation: Operation, trace: Trace | None = None, until: float = inf) -> Ticket:
        """Queue an operation, for which somebody waits `until` then. Raises Unavailable beyond the
        bound."""
        if len(self._waiting) >= self._limit:
            raise Unavailable(f"{self._limit} operations wait already")
        ticket = Ticket(operation, asyncio.get_running_loop().create_future(), trace, until)
        # The asker may have gone when it fails: then the error is looked at here.
        ticket.done.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting.append(ticket)
        self.wake.set()
        return ticket

    async def answer(self, ticket: Ticket, timeout_s: float) -> Answer:
        """Return the operation's answer. Raises its refusal; after `timeout_s` Unavailable if no
        batch has taken it - then it is gone from the queue - and Indeterminate if one has (R5)."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(timeout_s, self._is_late, ticket, timeout_s)
        try:
            return await ticket.done
        finally:
            timer.cancel()

    def _is_late(self, ticket: Ticket, timeout_s: float) -> None:
        error: BazarError = Indeterminate(f"not committed in {timeout_s} s")
        if ticket in self._waiting:
            self._waiting.remove(ticket)
            error = Unavailable(f"no batch has taken it in {timeout_s} s")
        ticket.resolve(error)

    def take(self, most: int) -> list[Ticket]:
        """Return the next batch: at least one operation, and as many as touch up to `most` rows."""
        batch: list[Ticket] = []
        rows = 0
        while self._waiting:
            rows += _rows(self._waiting[0].operation)
            if batch and rows > most:
                break
            batch.append(self._waiting.popleft())
        self.batches += 1
        self.operations += len(batch)
        return batch

    def refuse_all(self, reason: str) -> None:
        while self._waiting:
            self._waiting.popleft().resolve(Unavailable(reason))


def _rows(operation: Operation) -> int:
    """Return how large an operation is: the items of the lists that it brings, as an import's
    books."""
    return max([1, *(len(value) for value in operation.values() if isinstance(value, list))])
