"""The operations that wait for the next batch."""

from __future__ import annotations

import asyncio
import unittest
import weakref
from typing import Any

from bazar.errors import Indeterminate, OutOfStock, Unavailable
from bazar.replication.write_queue import WriteQueue
from tests.patience import PATIENCE_S


class Kept(dict[str, Any]):
    """An operation of which it can be seen whether anybody has it."""


class QueueTest(unittest.IsolatedAsyncioTestCase):
    async def test_first_come_first_served_in_batches(self) -> None:
        queue = WriteQueue(10)
        tickets = [queue.add({"n": n}) for n in range(5)]
        self.assertTrue(queue.wake.is_set())
        self.assertEqual((queue.take(3), len(queue)), (tickets[:3], 2))
        self.assertEqual((queue.take(3), queue.take(3)), (tickets[3:], []))

    async def test_a_batch_is_of_so_many_rows_but_of_one_operation_at_least(self) -> None:
        """As an import's books; else one batch of them would hold all others up."""
        queue = WriteQueue(10)
        for rows in (1, 2, 3, 7, 1):
            queue.add({"op": "create", "books": [{}] * rows})
        sizes = [[len(one.operation["books"]) for one in queue.take(4)] for _ in range(4)]
        self.assertEqual(sizes, [[1, 2], [3], [7], [1]])
        self.assertEqual((queue.batches, queue.operations), (4, 5))

    async def test_it_has_a_bound(self) -> None:
        queue = WriteQueue(2)
        queue.add({})
        queue.add({})
        with self.assertRaises(Unavailable):
            queue.add({})
        queue.take(1)
        queue.add({})

    async def test_the_answer_or_the_refusal(self) -> None:
        queue = WriteQueue(2)
        for outcome in ({"sold": 1}, OutOfStock("none")):
            ticket = queue.add({})
            queue.take(1)
            ticket.resolve(outcome)
            ticket.resolve({"too": "late"})
            if isinstance(outcome, dict):
                self.assertEqual(await queue.answer(ticket, 1), outcome)
            else:
                with self.assertRaises(OutOfStock):
                    await queue.answer(ticket, 1)

    async def test_r5_what_no_batch_has_taken_never_happens(self) -> None:
        queue = WriteQueue(2)
        ticket = queue.add({})
        with self.assertRaises(Unavailable):
            await queue.answer(ticket, 0.001)
        self.assertEqual(queue.take(1), [])

    async def test_r9_what_nobody_waits_for_any_more_is_refused(self) -> None:
        queue = WriteQueue(3)
        short, long, seed = queue.add({}, None, 2.0), queue.add({}, None, 3.0), queue.add({})
        self.assertTrue(queue.waits(1.9))
        self.assertEqual(len(queue), 3)
        self.assertTrue(queue.waits(2.0))
        with self.assertRaises(Unavailable):
            await short.done
        self.assertEqual(queue.take(10), [long, seed])
        self.assertFalse(queue.waits(2.0))
        queue.add({}, None, 2.0)
        self.assertFalse(queue.waits(2.0))

    async def test_r5_what_a_batch_has_taken_is_unknown(self) -> None:
        queue = WriteQueue(2)
        ticket = queue.add({})
        queue.take(1)
        with self.assertRaises(Indeterminate):
            await queue.answer(ticket, 0.001)

    async def test_nothing_is_kept_of_what_has_been_answered(self) -> None:
        """Its deadline would keep it, and there may be many within one."""
        queue, operation = WriteQueue(2), Kept()
        gone, ticket = weakref.ref(operation), queue.add(operation)
        del operation
        queue.take(1)
        ticket.resolve({"sold": 1})
        await queue.answer(ticket, PATIENCE_S)
        del ticket
        self.assertIsNone(gone())

    async def test_what_nobody_waits_for_any_more_may_fail(self) -> None:
        """It is no fault of the program, which the loop would report."""
        reported: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: reported.append(context))
        queue = WriteQueue(2)
        for cancelled in (True, False):
            ticket = queue.add({})
            if cancelled:
                ticket.done.cancel()
            queue.refuse_all("the node stops")
            await asyncio.wait([ticket.done])
            del ticket
        self.assertEqual(reported, [])

    async def test_all_that_wait_can_be_refused(self) -> None:
        queue = WriteQueue(5)
        tickets = [queue.add({}) for _ in range(3)]
        queue.refuse_all("the node stops")
        for ticket in tickets:
            with self.assertRaisesRegex(Unavailable, "the node stops"):
                await queue.answer(ticket, 1)
