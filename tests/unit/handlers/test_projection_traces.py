"""How sales became orders, for those that ask to see it."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable, Coroutine
from typing import Any

from bazar.errors import NotFound
from handlers.orders.trace import TOLD_S, ProjectionTraces
from tests.world.lab import play
from tests.world.world import Process


class ProjectionTracesTest(unittest.TestCase):
    """In virtual time."""

    def play(self, work: Callable[[ProjectionTraces, Process], Coroutine[Any, Any, None]]) -> None:
        play(lambda process: work(ProjectionTraces(), process))

    def test_a_sale_is_found_in_its_batch_and_in_no_other(self) -> None:
        async def work(traces: ProjectionTraces, process: Process) -> None:
            first, second = {"ms": 1}, {"ms": 2}
            traces.keep(5, 8, first)
            traces.keep(8, 9, second)
            began = process.loop.time()
            for seq, told in ((6, first), (8, first), (9, second)):
                self.assertIs(await traces.of(seq), told)
            self.assertLess(process.loop.time() - began, TOLD_S / 2)

        self.play(work)

    def test_what_was_made_before_is_refused_at_once(self) -> None:
        async def work(traces: ProjectionTraces, process: Process) -> None:
            traces.keep(5, 8, {})
            began = process.loop.time()
            for seq in (4, 5):
                with self.assertRaises(NotFound):
                    await traces.of(seq)
            self.assertLess(process.loop.time() - began, TOLD_S / 2)

        self.play(work)

    def test_a_sale_whose_batch_is_not_told_yet_is_waited_for(self) -> None:
        async def work(traces: ProjectionTraces, process: Process) -> None:
            for seq in (1, 2):  # with none before it, and with one
                asked = asyncio.create_task(traces.of(seq))
                await asyncio.sleep(TOLD_S / 4)
                self.assertFalse(asked.done())
                told = {"ms": seq}
                traces.keep(seq - 1, seq, told)
                await asyncio.sleep(TOLD_S / 4)
                self.assertIs(asked.result(), told)

        self.play(work)

    def test_it_is_not_waited_for_without_an_end(self) -> None:
        async def work(traces: ProjectionTraces, process: Process) -> None:
            began = process.loop.time()
            with self.assertRaises(NotFound):
                await traces.of(3)
            self.assertAlmostEqual(process.loop.time() - began, TOLD_S, delta=0.1)

        self.play(work)
