"""A primary's batches: what waits is executed, written, proposed, and answered once it is
committed (R1-R4)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from bazar.errors import BazarError, FatalError, Indeterminate, Unavailable
from bazar.replication.disk import within
from bazar.replication.effects import Effect
from bazar.replication.messages import Entry
from bazar.replication.primary import Primary
from bazar.replication.store import BatchStore, Operation, Outcome
from bazar.replication.trace import Trace
from bazar.replication.write_queue import Ticket, WriteQueue

log = logging.getLogger(__name__)


class Batches:
    """The batches of one primaryship; only one is under way at a time.

    `perform` carries out what the core answers, `check` raises FatalError once another primary
    leads, and `needed` says from which entry on the log will be asked for."""

    def __init__(
        self,
        primary: Primary,
        store: BatchStore,
        queue: WriteQueue,
        batch_rows: int,
        clock: Callable[[], float],
        *,
        perform: Callable[[Iterable[Effect]], None],
        check: Callable[[int], None],
        needed: Callable[[], int | None],
        begun: bool = False,
    ) -> None:
        self.primary = primary
        self.store = store
        self.clock = clock
        self._queue = queue
        self._batch_rows = batch_rows
        self._perform = perform
        self._check = check
        self._needed = needed
        self._begun = begun  # the epoch has told of itself (H1)
        self._taken: list[Ticket] = []
        self._batch: list[tuple[Ticket, Outcome]] = []
        self.traces: list[Trace] = []  # of the batch under way

    async def run(self) -> None:
        """Carry out one batch at a time, each of everything that waits (R1)."""
        while True:
            await self._queue.wake.wait()
            self._queue.wake.clear()
            while self._queue.waits(self.clock()) and self.primary.begin(self.clock()):
                await self._write(self._queue.take(self._batch_rows))

    async def _write(self, tickets: list[Ticket]) -> None:
        self._taken = tickets
        self.traces = [ticket.trace for ticket in tickets if ticket.trace is not None]
        self.note("taken")
        try:
            async with within():
                operations = [ticket.operation for ticket in tickets]
                begin = [] if self._begun else [self._begin()]
                self.store.keep_from = self._needed()
                outcomes, entries = await self.store.execute(
                    [*begin, *operations], self.primary.epoch, self._extend
                )
        except FatalError:
            raise
        except Exception as error:
            # R4: no node has heard of it yet, so only the batch's operations fail.
            if isinstance(error, Unavailable):
                log.warning("a batch of %d operations failed: %s", len(tickets), error)
            else:
                log.exception("a batch of %d operations failed", len(tickets))
            await self.store.rollback()
            self._perform(self.primary.abort(self.clock()))
            for ticket in tickets:
                ticket.resolve(Unavailable(f"{self.primary.me.node} cannot write: {error}"))
            return
        self._begun = self._begun or bool(entries)
        self._batch = list(zip(tickets, outcomes[len(begin) :], strict=True))
        self.note("executed")
        if entries:
            self._perform(self.primary.propose(entries, self.clock()))
        else:
            self._check(self.primary.epoch)
            self.answer()
            self._perform(self.primary.abort(self.clock()))

    def _extend(self, outcomes: Sequence[Outcome]) -> tuple[Entry, ...]:
        """Return the entries of a batch. The store may call this on its own thread: while a batch
        is executed the log does not grow."""
        changes = [one.change for one in outcomes if one.change is not None]
        own = changes if self._begun else changes[1:]
        # H1: nothing but replays and refusals begins no epoch.
        return self.primary.extend(changes) if own else ()

    def _begin(self) -> Operation:
        """Return the operation by which an epoch tells of itself, once it has anything to commit
        (H1)."""
        return {"op": "begin", "epoch": self.primary.epoch, "id": self.primary.epoch_id}

    def answer(self) -> None:
        """Answer all at once, refusals and replays too: they tell of the batch's writes (R3)."""
        batch, self._batch = self._batch, []
        self.note("committed")
        self.traces = []
        for ticket, outcome in batch:
            answer = outcome.answer
            if ticket.trace is not None and not isinstance(answer, BazarError):
                answer = ticket.trace.told(answer)
            ticket.resolve(answer)

    def abandon(self, reason: str) -> None:
        """Answer the batch under way, of which nobody knows what becomes (R5)."""
        for ticket in self._taken:
            ticket.resolve(Indeterminate(reason))

    def note(self, what: str) -> None:
        """Put into the traces of the batch under way what has just happened to it."""
        for trace in self.traces:
            trace.note(what, self.clock())
