"""What a reader waits for at one replica, and when it is turned away."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable, Coroutine
from typing import Any

from bazar.errors import Unavailable
from bazar.replication.messages import Mark
from bazar.replication.reads import Reads
from tests.world.lab import play
from tests.world.world import Process

LEASE_S = 0.4
TAGS = frozenset({"a"})


class Side:
    """A side of the protocol: entries up to 3 are committed, 4 and 5 are pending, and touch "a"."""

    def __init__(self, committed: int = 3, last: int = 5) -> None:
        self.committed, self.last = Mark(committed, "committed"), Mark(last, "last")
        self.refuses: str | None = None
        self.asked: list[float] = []

    def read(self, tags: frozenset[str] | None, now: float) -> int:
        self.asked.append(now)
        if self.refuses is not None:
            raise Unavailable(self.refuses)
        touched = tags is None or "a" in tags
        return self.last.seq if touched and self.last.seq > self.committed.seq else 0


class ReadsTestCase(unittest.TestCase):
    def reads(
        self, side: Side, clock: Callable[[], float] = lambda: 7.0, *, seeded: bool = False
    ) -> Reads:
        return Reads("r-1", lambda: side, clock, lease_s=LEASE_S, seeded=seeded)


class MayBeReadTest(ReadsTestCase):
    def test_l2_a_read_waits_for_what_is_pending_about_it(self) -> None:
        reads = self.reads(side := Side())
        self.assertEqual((reads.index(TAGS), reads.index(None)), (5, 5))
        self.assertEqual(reads.index(frozenset({"z"})), 0)
        self.assertEqual(side.asked, [7.0] * 3)
        self.assertEqual((reads.is_open(TAGS), reads.is_open(frozenset({"z"}))), (False, True))
        side.committed = Mark(5, "five")
        side.read = lambda tags, now: 5  # type: ignore[method-assign]
        self.assertTrue(reads.is_open(TAGS))  # it is applied

    def test_l2_who_may_not_answer_answers_nothing(self) -> None:
        reads = self.reads(side := Side())
        side.refuses = "it holds no lease"
        self.assertFalse(reads.is_open(frozenset()))
        with self.assertRaisesRegex(Unavailable, "holds no lease"):
            reads.index(frozenset())

    def test_one_that_is_closed_says_why(self) -> None:
        reads = self.reads(Side())
        reads.closed = "its index is made anew"
        self.assertFalse(reads.is_open(frozenset()))
        with self.assertRaisesRegex(Unavailable, "made anew"):
            reads.index(frozenset())

    def test_t0_what_a_group_begins_with_is_there_or_nothing_is(self) -> None:
        for committed, seeded, readable in ((0, True, False), (0, False, True), (1, True, True)):
            with self.subTest(committed=committed, seeded=seeded):
                reads = self.reads(Side(committed, last=committed), seeded=seeded)
                self.assertEqual(reads.is_open(frozenset()), readable)


class WaitingTest(ReadsTestCase):
    """In virtual time."""

    def commit(self, side: Side, reads: Reads, seq: int) -> None:
        side.committed = Mark(seq, "committed")
        reads.committed()

    def ended_ms(
        self,
        wait: Callable[[Reads], Coroutine[Any, Any, object]],
        *commits: tuple[float, int],
        refuses_from: float = 9.0,
    ) -> tuple[int, object]:
        """Return when a wait ends, to the nearest ten ms, and how, if so much is committed then."""
        found: list[tuple[int, object]] = []

        async def run(process: Process) -> None:
            loop, side = process.loop, Side()
            reads, began = self.reads(side, loop.time), loop.time()
            for at, seq in commits:
                loop.call_later(at, self.commit, side, reads, seq)
            loop.call_later(refuses_from, setattr, side, "refuses", "it was cut off")
            result: object
            try:
                result = await wait(reads)
            except Unavailable as error:
                result = str(error)
            found.append((10 * round(100 * (loop.time() - began)), result))

        play(run)
        return found[0]

    def test_it_ends_as_soon_as_the_entry_is_applied(self) -> None:
        def applied(reads: Reads) -> Coroutine[Any, Any, bool]:
            return reads.wait_applied(5, 1.0)

        self.assertEqual(self.ended_ms(applied, (0.2, 5)), (200, True))
        self.assertEqual(self.ended_ms(applied, (0.2, 4), (0.5, 5)), (500, True))
        self.assertEqual(self.ended_ms(applied, (0.2, 6)), (200, True))
        self.assertEqual(self.ended_ms(lambda reads: reads.wait_applied(3, 1.0)), (0, True))

    def test_or_when_its_time_is_over(self) -> None:
        """Counted from its beginning, whatever is committed meanwhile."""
        wait_s = 1.5
        for commits in ((), ((0.2, 4), (1.4, 4))):
            ended = self.ended_ms(lambda reads: reads.wait_applied(5, wait_s), *commits)
            self.assertEqual(ended, (1500, False))

    def test_without_any_time_it_does_not_wait(self) -> None:
        async def run(process: Process) -> None:
            at_this_moment = self.reads(Side(), lambda: 7.0)
            self.assertFalse(await at_this_moment.wait_applied(5, 0.0))

        play(run)

    def test_l2_a_reader_waits_a_lease_at_most(self) -> None:
        def barrier(reads: Reads) -> Coroutine[Any, Any, None]:
            return reads.barrier(TAGS)

        self.assertEqual(self.ended_ms(barrier, (0.2, 5)), (200, None))
        self.assertEqual(self.ended_ms(barrier), (400, "r-1: entry 5 is still pending"))

    def test_h3_what_the_log_has_is_waited_for(self) -> None:
        self.assertEqual(self.ended_ms(lambda reads: reads.caught_up(5), (0.2, 5)), (200, None))
        ended = self.ended_ms(lambda reads: reads.caught_up(5))
        self.assertEqual(ended, (400, "r-1: entry 5 is still pending"))

    def test_h3_what_lies_beyond_the_log_is_not(self) -> None:
        self.assertEqual(self.ended_ms(lambda reads: reads.caught_up(6)), (0, None))

    def test_h4_one_that_was_cut_off_meanwhile_knows_nothing(self) -> None:
        ended = self.ended_ms(lambda reads: reads.caught_up(5), (0.2, 5), refuses_from=0.1)
        self.assertEqual(ended, (200, "it was cut off"))

    def test_h3_who_may_not_answer_does_not_wait_until_it_may(self) -> None:
        async def asked_too_soon(reads: Reads) -> None:
            side = reads.core()
            assert isinstance(side, Side)
            side.refuses = "not yet"
            asyncio.get_running_loop().call_later(0.1, setattr, side, "refuses", None)
            await reads.caught_up(5)

        self.assertEqual(self.ended_ms(asked_too_soon, (0.2, 5)), (0, "not yet"))
