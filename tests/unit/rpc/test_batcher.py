"""Items that travel together."""

from __future__ import annotations

import asyncio
import sqlite3
import unittest
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from bazar.errors import Indeterminate, NotFound, Unavailable
from bazar.rpc import batcher
from bazar.rpc.batcher import MAX_BATCH_ITEMS, Batcher
from tests.patience import PATIENCE_S, until
from tests.world.lab import Lab
from tests.world.world import Process


class Calls:
    """A call that returns each item doubled, when it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.timeouts_s: list[float] = []
        self.called = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, items: list[Any], timeout_s: float) -> Sequence[Any]:
        self.batches.append(items)
        self.timeouts_s.append(timeout_s)
        self.called.set()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return [NotFound("odd") if item == 13 else 2 * item for item in items]


class BatcherTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.calls = Calls()
        self.batcher = Batcher(self.calls, slow_s=60)

    def submit(self, item: Any, timeout_s: float = PATIENCE_S) -> asyncio.Task[Any]:
        return asyncio.create_task(self.batcher.submit(item, timeout_s))

    async def test_alone_an_item_leaves_at_once(self) -> None:
        self.calls.may_answer.set()
        self.assertEqual(await self.batcher.submit(1, PATIENCE_S), 2)
        self.assertEqual(await self.batcher.submit(2, PATIENCE_S), 4)
        self.assertEqual(self.calls.batches, [[1], [2]])

    async def test_the_first_waits_for_nobody(self) -> None:
        first = self.submit(1)
        await asyncio.sleep(0)  # it is submitted
        await asyncio.sleep(0)  # and sent
        self.assertEqual(self.calls.batches, [[1]])
        self.calls.may_answer.set()
        self.assertEqual(await first, 2)

    async def test_what_arrives_during_a_call_leaves_as_the_next(self) -> None:
        first = self.submit(0)
        await self.calls.called.wait()
        rest = [self.submit(item) for item in range(1, 6)]
        await asyncio.sleep(0)
        self.calls.may_answer.set()
        self.assertEqual(await asyncio.gather(first, *rest), [0, 2, 4, 6, 8, 10])
        self.assertEqual(self.calls.batches, [[0], [1, 2, 3, 4, 5]])
        self.assertEqual((self.batcher.calls, self.batcher.items), (2, 6))

    async def test_it_gathers_until_its_call_leaves(self) -> None:
        self.assertFalse(self.batcher.gathers)
        first = self.submit(0)
        await asyncio.sleep(0)
        self.assertTrue(self.batcher.gathers)
        await self.calls.called.wait()
        second = self.submit(1)
        await asyncio.sleep(0)
        self.assertFalse(self.batcher.gathers)  # it would wait for the call under way
        self.calls.may_answer.set()
        await asyncio.gather(first, second)
        self.assertFalse(self.batcher.gathers)

    async def test_it_gathers_beside_slow_calls(self) -> None:
        one = Batcher(self.calls, slow_s=0.0)
        tasks = [asyncio.create_task(one.submit(0, PATIENCE_S))]
        await until(lambda: one._slow == 1, "it is slow")
        tasks.append(asyncio.create_task(one.submit(1, PATIENCE_S)))
        await asyncio.sleep(0)
        self.assertTrue(one.gathers)
        self.calls.may_answer.set()
        await asyncio.gather(*tasks)

    async def test_nothing_waits_for_a_call_that_has_become_slow(self) -> None:
        one = Batcher(self.calls, slow_s=0.0)
        first = asyncio.create_task(one.submit(0, PATIENCE_S))
        await self.calls.called.wait()
        rest = [asyncio.create_task(one.submit(item, PATIENCE_S)) for item in (1, 2)]
        await until(lambda: self.calls.batches == [[0], [1, 2]], "the others leave")
        self.calls.may_answer.set()
        self.assertEqual(await asyncio.gather(first, *rest), [0, 2, 4])
        self.assertEqual(await one.submit(3, PATIENCE_S), 6)

    async def test_slow_calls_have_a_bound(self) -> None:
        one = Batcher(self.calls, slow_s=0.0)
        with mock.patch.object(batcher, "MAX_SLOW_CALLS", 2):
            tasks = [asyncio.create_task(one.submit(0, PATIENCE_S))]
            for count in (1, 2):
                await until(lambda: one._slow == count, "it is slow")  # noqa: B023
                tasks += [asyncio.create_task(one.submit(item, PATIENCE_S)) for item in (1, 2)]
                await asyncio.sleep(0)
            await until(lambda: one._slow == 2, "both are slow")
            self.assertEqual(self.calls.batches, [[0], [1, 2]])
            self.assertFalse(one.gathers)  # those that wait, wait for calls that hang
            self.calls.may_answer.set()
            self.assertEqual(await asyncio.gather(*tasks), [0, 2, 4, 2, 4])
        self.assertEqual((one._slow, self.calls.batches), (0, [[0], [1, 2], [1, 2]]))

    async def test_an_error_is_its_items_alone(self) -> None:
        first = self.submit(0)
        await self.calls.called.wait()
        rest = [self.submit(item) for item in (1, 13, 2)]
        await asyncio.sleep(0)
        self.calls.may_answer.set()
        await first
        answers = await asyncio.gather(*rest, return_exceptions=True)
        self.assertEqual((answers[0], answers[2]), (2, 4))
        self.assertIsInstance(answers[1], NotFound)

    async def test_a_call_that_fails_fails_for_all_and_the_next_leaves(self) -> None:
        self.calls.error = Unavailable("nobody there")
        self.calls.may_answer.set()
        answers = await asyncio.gather(*map(self.submit, (1, 2)), return_exceptions=True)
        self.assertEqual([type(answer) for answer in answers], [Unavailable, Unavailable])
        self.calls.error = None
        self.assertEqual(await self.batcher.submit(3, PATIENCE_S), 6)

    async def test_a_batch_has_a_bound(self) -> None:
        first = self.submit(0)
        await self.calls.called.wait()
        rest = [self.submit(20) for _ in range(MAX_BATCH_ITEMS + 5)]
        await asyncio.sleep(0)
        self.calls.may_answer.set()
        await asyncio.gather(first, *rest)
        self.assertEqual([len(batch) for batch in self.calls.batches], [1, MAX_BATCH_ITEMS, 5])

    async def test_a_call_has_the_time_of_its_most_patient_item(self) -> None:
        first = self.submit(0, PATIENCE_S)
        await self.calls.called.wait()
        rest = [self.submit(1, timeout_s) for timeout_s in (PATIENCE_S, PATIENCE_S + 1)]
        await asyncio.sleep(0)
        self.calls.may_answer.set()
        await asyncio.gather(first, *rest)
        self.assertEqual(self.calls.timeouts_s, [PATIENCE_S, PATIENCE_S + 1])

    async def test_the_queue_has_a_bound(self) -> None:
        first = self.submit(0)
        await self.calls.called.wait()
        with mock.patch.object(batcher, "MAX_WAITING_ITEMS", 3):
            rest = [self.submit(20) for _ in range(3)]
            await asyncio.sleep(0)
            with self.assertRaises(Unavailable):
                await self.batcher.submit(1, PATIENCE_S)
        self.calls.may_answer.set()
        await asyncio.gather(first, *rest)

    async def test_r5_what_never_left_is_unavailable_and_what_did_is_unknown(self) -> None:
        first = self.submit(0, 0.01)
        await self.calls.called.wait()
        second = self.submit(1, 0.01)
        with self.assertRaises(Indeterminate):
            await first
        with self.assertRaises(Unavailable):
            await second
        self.calls.may_answer.set()
        self.assertEqual(await self.batcher.submit(2, PATIENCE_S), 4)
        self.assertEqual(self.calls.batches, [[0], [2]])  # the second is not sent afterwards

    async def test_what_was_answered_is_not_kept_until_its_time_is_over(self) -> None:
        class Item:
            def __rmul__(self, number: int) -> int:
                return number

        self.calls.may_answer.set()
        item = Item()
        kept = weakref.ref(item)
        self.assertEqual(await self.batcher.submit(item, PATIENCE_S), 2)
        self.calls.batches.clear()
        del item
        self.assertIsNone(kept())


class BrokenBatchTest(unittest.IsolatedAsyncioTestCase):
    async def test_what_waits_behind_a_call_that_failed_in_its_own_way_is_not_stranded(
        self,
    ) -> None:
        calls = Calls()
        calls.error = sqlite3.OperationalError("no such table")
        one = Batcher(calls)
        first = asyncio.create_task(one.submit(1, PATIENCE_S))
        await calls.called.wait()
        second = asyncio.create_task(one.submit(2, PATIENCE_S))
        await asyncio.sleep(0)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        calls.may_answer.set()
        with self.assertRaises(Indeterminate):
            await first
        with self.assertRaises(Indeterminate):
            await second
        self.assertEqual(calls.batches, [[1], [2]])


@dataclass
class Play:
    """A batcher in virtual time, whose calls take so long. It begins once so many others are
    answered together."""

    takes_s: float
    slow_s: float
    timeout_s: float = 9.0
    before: int = 0
    calls: list[tuple[int, list[int]]] = field(default_factory=list)
    """When, in ms, which calls have left."""

    def run(self, *asked_ms: float, looks_ms: Sequence[float] = ()) -> list[bool]:
        """Submit an item at each of these moments. Return whether it gathers, at each of those."""
        seen: list[bool] = []

        async def run(process: Process) -> None:
            async def call(items: list[int], timeout_s: float) -> list[int]:
                self.calls.append((round(1000 * (process.loop.time() - since)), items))
                await asyncio.sleep(self.takes_s)
                return items

            async def ask(item: int, ms: float) -> None:
                await asyncio.sleep(ms / 1000)
                with suppress(Unavailable, Indeterminate):
                    await batcher.submit(item, self.timeout_s)

            async def look(ms: float) -> None:
                await asyncio.sleep(ms / 1000)
                seen.append(batcher.gathers)

            batcher, since = Batcher(call, slow_s=self.slow_s), 0.0
            await asyncio.gather(*(batcher.submit(-number, 1.0) for number in range(self.before)))
            self.calls.clear()
            since = process.loop.time()
            await asyncio.gather(
                *(ask(number, ms) for number, ms in enumerate(asked_ms)), *map(look, looks_ms)
            )

        with Lab() as lab:
            lab.start(run)
            lab.run(9.0)
        return seen


def gathering(before: int = 2, timeout_s: float = 9.0) -> Play:
    """Return a play whose calls take 80 ms, none of which is slow."""
    return Play(takes_s=0.08, slow_s=60, timeout_s=timeout_s, before=before)


class GatheringTest(unittest.TestCase):
    """Each call takes 80 ms, and those that one has answered ask again when they say."""

    def sent(
        self, *again_ms: float, timeout_s: float = 9.0, before: int = 2
    ) -> list[tuple[int, list[int]]]:
        play = gathering(before, timeout_s)
        play.run(*again_ms)
        return play.calls

    def test_those_that_ask_again_leave_together(self) -> None:
        self.assertEqual(self.sent(1, 4), [(4, [0, 1])])

    def test_they_wait_for_all_of_them(self) -> None:
        self.assertEqual(self.sent(1, 4, 6, before=3), [(6, [0, 1, 2])])

    def test_they_wait_an_eighth_of_the_last_call(self) -> None:
        """One that comes later waits for that call, and then for the one that it has answered."""
        self.assertEqual(self.sent(1, 20), [(11, [0]), (102, [1])])

    def test_alone_the_next_waits_for_nobody(self) -> None:
        self.assertEqual(self.sent(1, 200, 300), [(11, [0]), (200, [1]), (300, [2])])

    def test_what_is_too_late_before_the_others_come_is_not_sent(self) -> None:
        self.assertEqual(self.sent(1, 20, timeout_s=0.005), [(20, [1])])

    def test_what_waits_for_others_can_be_joined_until_it_leaves(self) -> None:
        self.assertEqual(gathering().run(1, looks_ms=(0.5, 5, 50, 95)), [False, True, False, False])

    def test_what_was_too_late_cannot_be_joined(self) -> None:
        play = gathering(timeout_s=0.005)
        self.assertEqual(play.run(1, looks_ms=(4, 8)), [True, False])


class SlowTest(unittest.TestCase):
    def test_a_slow_call_that_ends_takes_nothing_from_the_next(self) -> None:
        play = Play(takes_s=0.06, slow_s=0.05)
        joinable = play.run(0, 20, 55, looks_ms=(80,))
        self.assertEqual([items for _, items in play.calls], [[0], [1], [2]])
        self.assertGreaterEqual(play.calls[2][0], 100)  # when the second is slow, too
        self.assertEqual(joinable, [False])  # until then it waits for the second
