"""A primary's batches: what waits is executed together, and answered once it is committed."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Iterable, Sequence

from bazar.errors import BazarError, FatalError, Indeterminate, OutOfStock, Unavailable
from bazar.replication.batches import Batches
from bazar.replication.effects import Apply, Effect
from bazar.replication.messages import GENESIS, Change, Entry
from bazar.replication.store import Answer, Extend, Operation, Outcome
from bazar.replication.trace import Trace
from bazar.replication.write_queue import Ticket, WriteQueue
from tests.patience import PATIENCE_S
from tests.unit.replication.steps import lone_primary

BEGIN = {"op": "begin", "epoch": 1, "id": "e1"}
WRITE, REFUSED, REPLAYED = {"op": "write"}, {"op": "refuse"}, {"op": "replay"}
ROWS = 3


class Store:
    """Decides each operation by its name. A batch that fails does so as `fails` says."""

    keep_from: int | None = None

    def __init__(self) -> None:
        self.batches: list[list[Operation]] = []
        self.kept: list[int | None] = []
        self.fails: BaseException | None = None
        self.rollbacks = 0

    def seed(self) -> Sequence[Operation]:
        return ()

    async def execute(
        self, operations: Sequence[Operation], epoch: int, extend: Extend
    ) -> tuple[list[Outcome], tuple[Entry, ...]]:
        self.batches.append([*operations])
        self.kept.append(self.keep_from)
        if self.fails is not None:
            raise self.fails
        outcomes = [self.decided(operation) for operation in operations]
        return outcomes, extend(outcomes)

    @staticmethod
    def decided(operation: Operation) -> Outcome:
        if operation["op"] == "refuse":
            return Outcome(OutOfStock("none is left"))
        told: Answer = {"was": operation["op"]}
        return Outcome(told, None if operation["op"] == "replay" else Change((), told))

    async def rollback(self) -> None:
        self.rollbacks += 1


class BatchesTest(unittest.IsolatedAsyncioTestCase):
    """A primary without subscribers: what it proposes may be committed at once."""

    async def asyncSetUp(self) -> None:
        self.primary = lone_primary()
        self.primary.recorded(0.0)
        self.store, self.queue = Store(), WriteQueue(100)
        self.performed: asyncio.Queue[list[Effect]] = asyncio.Queue()
        self.needed: int | None = None
        self.deposed = False
        self.now = 0.0
        self.batches = self.begun()
        self.running = asyncio.create_task(self.batches.run())
        self.addAsyncCleanup(self.end)

    def begun(self) -> Batches:
        return Batches(
            *(self.primary, self.store, self.queue, ROWS, lambda: self.now),
            perform=self.perform,
            check=self.check,
            needed=lambda: self.needed,
        )

    async def end(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])

    def perform(self, effects: Iterable[Effect]) -> None:
        self.performed.put_nowait([*effects])

    def check(self, epoch: int) -> None:
        self.assertEqual(epoch, 1)
        if self.deposed:
            raise FatalError("another leads")

    async def effects(self) -> list[Effect]:
        """What the next batch has come to, as the primary says."""
        return await asyncio.wait_for(self.performed.get(), PATIENCE_S)

    async def batch(self, *operations: Operation) -> tuple[list[Ticket], list[Effect]]:
        tickets = [self.queue.add(operation) for operation in operations]
        return tickets, await self.effects()

    def commit(self, effects: list[Effect]) -> None:
        """Do what the driver does once the store has committed."""
        [apply] = effects
        assert isinstance(apply, Apply)
        effects = self.primary.stored(apply, self.now)
        self.batches.answer()
        self.assertEqual(effects, [])
        self.queue.wake.set()

    async def written(self, *operations: Operation) -> list[Ticket]:
        tickets, effects = await self.batch(*operations)
        self.commit(effects)
        return tickets

    async def test_r1_a_batch_has_what_waits_up_to_its_bound_and_one_is_under_way(self) -> None:
        tickets, effects = await self.batch(*[WRITE] * (ROWS + 1))
        self.assertEqual(self.store.batches, [[BEGIN, *[WRITE] * ROWS]])
        self.assertEqual([ticket.done.done() for ticket in tickets], [False] * (ROWS + 1))
        self.commit(effects)
        self.commit(await self.effects())
        self.assertEqual(self.store.batches[1:], [[WRITE]])
        self.assertEqual([ticket.done.result() for ticket in tickets], [{"was": "write"}] * 4)

    async def test_r1_nothing_is_executed_where_nothing_waits(self) -> None:
        self.queue.wake.set()
        await self.written(WRITE)
        self.queue.wake.set()
        await self.written(WRITE)
        self.assertEqual(self.store.batches, [[BEGIN, WRITE], [WRITE]])

    async def test_r3_refusals_and_replays_are_answered_with_the_batchs_writes(self) -> None:
        """They tell of these."""
        tickets, effects = await self.batch(REFUSED, WRITE, REPLAYED)
        self.assertEqual([ticket.done.done() for ticket in tickets], [False] * 3)
        self.assertEqual(self.primary.tail.seq, 2)  # the epoch, and what was written
        self.commit(effects)
        refused, written, replayed = (ticket.done for ticket in tickets)
        self.assertIsInstance(refused.exception(), OutOfStock)
        self.assertEqual(written.result(), {"was": "write"})
        self.assertEqual(replayed.result(), {"was": "replay"})

    async def test_r3_what_writes_nothing_is_answered_without_a_commit(self) -> None:
        [ticket], effects = await self.batch(REPLAYED)
        self.assertEqual(effects, [])
        self.assertEqual(ticket.done.result(), {"was": "replay"})
        self.assertEqual(self.primary.tail, GENESIS)
        await self.written(WRITE)

    async def test_l5_but_not_by_one_that_another_has_taken_over_from(self) -> None:
        """What it would tell of may be old."""
        self.deposed = True
        ticket = self.queue.add(REPLAYED)
        await asyncio.wait([self.running])
        self.assertIsInstance(self.running.exception(), FatalError)
        self.assertFalse(ticket.done.done())

    async def test_h1_an_epoch_tells_of_itself_before_its_first_write_and_never_again(self) -> None:
        await self.batch(REPLAYED, REFUSED)
        await self.batch(REPLAYED)
        await self.written(WRITE)
        await self.written(WRITE)
        self.assertEqual(
            self.store.batches,
            [[BEGIN, REPLAYED, REFUSED], [BEGIN, REPLAYED], [BEGIN, WRITE], [WRITE]],
        )
        self.assertEqual(self.primary.committed.seq, 3)
        await self.batch(REPLAYED)
        await self.written(WRITE)
        self.assertEqual(self.store.batches[4:], [[REPLAYED], [WRITE]])

    async def test_h1_an_epoch_that_could_not_be_written_is_told_of_again(self) -> None:
        self.store.fails = Unavailable("the disk is full")
        await self.batch(WRITE)
        self.store.fails = None
        await self.written(WRITE)
        self.assertEqual(self.store.batches, [[BEGIN, WRITE]] * 2)

    async def test_r4_a_batch_that_fails_is_undone_refused_and_does_not_end_the_node(self) -> None:
        for fault, level in (
            (Unavailable("the disk is full"), "WARNING"),
            (ValueError(7), "ERROR"),
        ):
            self.store.fails, self.store.rollbacks = fault, 0
            with self.assertLogs("bazar.replication.batches") as logs:
                tickets, effects = await self.batch(WRITE, REPLAYED)
            self.assertEqual((effects, self.store.rollbacks), ([], 1))
            for ticket in tickets:
                self.assertIsInstance(ticket.done.exception(), Unavailable)
                self.assertIn(str(fault), str(ticket.done.exception()))
            # Only of a fault of the program is it told where it is.
            [record] = logs.records
            self.assertEqual((record.levelname, record.exc_info is not None),
                             (level, level == "ERROR"))  # fmt: skip
            self.store.fails = None
            [ticket] = await self.written(WRITE)
            self.assertEqual(ticket.done.result(), {"was": "write"})

    async def test_r4_what_must_end_the_node_answers_nobody(self) -> None:
        self.store.fails = FatalError("its file is gone")
        ticket = self.queue.add(WRITE)
        await asyncio.wait([self.running])
        self.assertIs(self.running.exception(), self.store.fails)
        self.assertEqual((self.store.rollbacks, ticket.done.done()), (0, False))

    async def test_j4_the_store_keeps_the_log_that_is_needed(self) -> None:
        self.needed = 7
        await self.written(WRITE)
        self.needed = None
        await self.written(WRITE)
        self.assertEqual(self.store.kept, [7, None])

    async def test_r5_the_batch_under_way_is_in_doubt_when_it_is_abandoned(self) -> None:
        tickets, _ = await self.batch(WRITE, REFUSED)
        self.batches.abandon("the hold is over")
        for ticket in tickets:
            self.assertIsInstance(ticket.done.exception(), Indeterminate)

    async def traced(self, operation: Operation) -> Trace:
        """A trace of this, which comes together with what is not traced."""
        trace = Trace("r-1", 0.0)
        self.now, ticket = 1.0, self.queue.add(operation, trace)
        other = self.queue.add(WRITE)
        effects = await self.effects()
        self.assertEqual(self.batches.traces, [trace])
        self.now = 2.0
        self.batches.note("ack r-2")
        self.now = 3.0
        self.commit(effects)
        self.assertEqual(other.done.result(), {"was": "write"})
        self.ticket = ticket
        return trace

    async def test_who_asks_how_a_write_went_is_told(self) -> None:
        await self.traced(WRITE)
        moments = {"taken": 1000, "executed": 1000, "ack r-2": 2000, "committed": 3000}
        told = {"primary": "r-1", "moments": moments}
        self.assertEqual(self.ticket.done.result(), {"was": "write", "told": told})

    async def test_a_refusal_tells_nothing_of_how_it_went(self) -> None:
        await self.traced(REFUSED)
        error = self.ticket.done.exception()
        assert isinstance(error, BazarError)
        self.assertEqual((type(error), error.details), (OutOfStock, {}))

    async def test_what_happens_to_others_later_is_in_no_trace(self) -> None:
        trace = await self.traced(WRITE)
        self.batches.note("ack r-3")
        self.assertNotIn("ack r-3", trace.moments)
