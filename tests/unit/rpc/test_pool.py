"""Round robin over replicas, with a clock of the test's own."""

from __future__ import annotations

import asyncio
import unittest
from contextlib import suppress
from math import inf
from unittest import mock

from bazar import deadlines
from bazar.config import NodeConfig, PoolConfig
from bazar.errors import BazarError, Indeterminate, OutOfStock, ShuttingDown, Unavailable
from bazar.rpc import pool as pool_module
from bazar.rpc.pool import Health, ReplicaPool, choose
from tests.patience import PATIENCE_S
from tests.world.lab import play
from tests.world.world import Process


def node(number: int) -> NodeConfig:
    return NodeConfig(f"catalog-{number}", "catalog", 8000 + number, number=number)


def healths(*aside_until: float) -> list[Health]:
    return [Health(node(n), int(t > 0), t) for n, t in enumerate(aside_until, start=1)]


class ChooseTest(unittest.TestCase):
    def name(self, health: Health | None) -> str | None:
        return None if health is None else health.node.name

    def test_the_next_at_or_after_the_turn(self) -> None:
        replicas = healths(0, 0, 0)
        for turn, number in ((0, 1), (1, 2), (2, 3)):
            self.assertEqual(self.name(choose(replicas, turn, 0, set())), f"catalog-{number}")

    def test_one_that_is_set_aside_is_passed_over_until_its_time(self) -> None:
        replicas = healths(0, 10, 0)
        self.assertEqual(self.name(choose(replicas, 1, 9.9, set())), "catalog-3")
        self.assertEqual(self.name(choose(replicas, 1, 10, set())), "catalog-2")

    def test_when_all_are_set_aside_the_one_due_first(self) -> None:
        self.assertEqual(self.name(choose(healths(30, 10, 20), 0, 0, set())), "catalog-2")

    def test_none_is_tried_twice(self) -> None:
        replicas = healths(0, 10, 0)
        self.assertEqual(self.name(choose(replicas, 0, 0, {"catalog-1"})), "catalog-3")
        tried = {"catalog-1", "catalog-3"}
        self.assertEqual(self.name(choose(replicas, 0, 0, tried)), "catalog-2")
        self.assertIsNone(choose(replicas, 0, 0, tried | {"catalog-2"}))
        self.assertIsNone(choose([], 0, 0, set()))


class PoolTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.pool = ReplicaPool([node(1), node(2)], PoolConfig(), lambda: self.now)
        self.asked: list[int] = []
        self.down: dict[int, BazarError] = {}

    async def attempt(self, node: NodeConfig) -> int:
        self.asked.append(node.number)
        self.now += 0.001
        if node.number in self.down:
            raise self.down[node.number]
        return node.number

    async def call(self, deadline_s: float = 4.0) -> int:
        return await self.pool.call(self.attempt, deadline_s)

    async def test_it_takes_turns(self) -> None:
        self.pool = ReplicaPool([node(1), node(2), node(3)], PoolConfig(), lambda: self.now)
        self.assertEqual([await self.call() for _ in range(6)], [1, 2, 3, 1, 2, 3])

    async def test_a_failing_one_is_skipped_and_then_tried_again(self) -> None:
        self.down = {1: Unavailable("down")}
        self.assertEqual([await self.call() for _ in range(5)], [2] * 5)
        self.assertEqual(self.asked.count(1), 1)
        self.down = {}
        self.now += 0.1  # backoff_s
        self.assertEqual({await self.call() for _ in range(2)}, {1, 2})
        self.assertEqual([h.failures for h in self.pool.replicas], [0, 0])

    async def test_one_that_is_about_to_stop_is_left_alone_for_the_longest(self) -> None:
        self.down = {1: ShuttingDown("is about to stop")}
        await self.call()
        self.down = {}
        self.now += 1.9  # of backoff_max_s
        self.assertEqual([await self.call() for _ in range(3)], [2] * 3)
        self.now += 0.1
        self.assertEqual({await self.call() for _ in range(2)}, {1, 2})

    async def test_a_read_may_be_refused_after_an_attempt_without_an_answer(self) -> None:
        self.down = {1: Indeterminate("no answer"), 2: OutOfStock("none left")}
        with self.assertRaises(OutOfStock):
            await self.call()
        self.assertEqual(self.asked, [1, 2])

    async def test_it_is_set_aside_longer_each_time_up_to_a_limit(self) -> None:
        self.down = {1: Unavailable("down")}
        pauses = []
        for _ in range(8):
            await self.call()
            await self.call()
            pauses.append(round(self.pool.replicas[0].aside_until - self.now, 1))
            self.now = self.pool.replicas[0].aside_until
        self.assertEqual(pauses, [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0])

    async def test_a_refusal_is_an_answer(self) -> None:
        self.down = {1: OutOfStock("none left")}
        with self.assertRaises(OutOfStock):
            await self.call()
        self.assertEqual(self.asked, [1])
        self.assertTrue(self.pool.replicas[0].healthy)

    async def test_one_that_refuses_is_back(self) -> None:
        self.down = {1: Unavailable("down")}
        self.assertEqual(await self.call(), 2)
        self.down = {1: OutOfStock("none left")}
        self.now += 0.1  # backoff_s
        with self.assertRaises(OutOfStock):
            await self.call()
        self.assertTrue(self.pool.replicas[0].healthy)

    async def test_r5_what_may_have_happened_is_unknown(self) -> None:
        for errors, kind in (
            ({1: Unavailable(""), 2: Unavailable("")}, Unavailable),
            ({1: Indeterminate(""), 2: Unavailable("")}, Indeterminate),
            ({1: Unavailable(""), 2: Indeterminate("")}, Indeterminate),
        ):
            self.down = dict(errors)
            with self.subTest(kind=kind), self.assertRaises(kind):
                await self.call(0.002)

    async def test_the_preferred_is_asked_first_unless_it_has_failed(self) -> None:
        async def call() -> int:
            return await self.pool.call(self.attempt, 4.0, prefer="catalog-2")

        self.assertEqual([await call(), await call()], [2, 2])
        self.down = {2: Unavailable("down")}
        self.assertEqual([await call(), await call()], [1, 1])
        self.assertEqual(self.asked, [2, 2, 2, 1, 1])

    async def test_at_its_deadline_nobody_is_asked_any_more(self) -> None:
        async def attempt(node: NodeConfig) -> None:
            self.asked.append(node.number)
            self.now = 4.0
            raise Unavailable("down")

        with self.assertRaises(Unavailable):
            await self.pool.call(attempt, 4.0)
        self.assertEqual(self.asked, [1])

    async def test_it_goes_on_round_by_round_until_one_is_back(self) -> None:
        self.down = {1: Unavailable("down"), 2: Unavailable("down")}

        async def attempt(node: NodeConfig) -> int:
            if len(self.asked) == 5:
                self.down.clear()
            return await self.attempt(node)

        with mock.patch.object(pool_module, "ROUND_PAUSE_S", 0):
            self.assertEqual(await self.pool.call(attempt, 4.0), self.asked[-1])
        self.assertEqual(sorted(self.asked[:4]), [1, 1, 2, 2])

    async def test_an_empty_pool_is_unavailable(self) -> None:
        empty = ReplicaPool([], PoolConfig(), asyncio.get_running_loop().time)
        with self.assertRaises(Unavailable):
            async with asyncio.timeout(PATIENCE_S):
                await empty.call(self.attempt, 0.01)


class WritesTest(unittest.TestCase):
    """In virtual time: attempts that may be begun for 500 ms."""

    def write(
        self, answers: list[int | BazarError], deadline_s: float, begun_within_s: float = 0.5
    ) -> tuple[int | BazarError, list[int], int]:
        """Return the outcome of a call whose attempts are answered so, in turn and at once; when
        they begin, and when it ends, in ms."""
        began: list[int] = []
        ended: list[tuple[int | BazarError, int]] = []

        async def run(process: Process) -> None:
            def passed_ms() -> int:
                return round(1000 * (process.loop.time() - since))

            async def attempt(node: NodeConfig) -> int:
                began.append(passed_ms())
                answer = answers[min(len(began), len(answers)) - 1]
                if isinstance(answer, BazarError):
                    raise answer
                return answer

            since = process.loop.time()
            pool = ReplicaPool([node(1), node(2)], PoolConfig(), process.loop.time)
            outcome: int | BazarError
            try:
                outcome = await pool.call(attempt, deadline_s, begun_within_s=begun_within_s)
            except BazarError as error:
                outcome = error
            ended.append((outcome, passed_ms()))

        play(run)
        [(outcome, ended_ms)] = ended
        return outcome, began, ended_ms

    def test_r9_a_refusal_counts_once_no_earlier_attempt_can_be_begun(self) -> None:
        refusal = OutOfStock("none left")
        outcome, began, _ = self.write([Indeterminate("it broke"), refusal], 2.0)
        self.assertEqual((outcome, began), (refusal, [0, 0, 500]))

    def test_r9_or_the_earlier_attempt_has_sold(self) -> None:
        answers: list[int | BazarError] = [Indeterminate("it broke"), OutOfStock("none left"), 7]
        self.assertEqual(self.write(answers, 2.0)[:2], (7, [0, 0, 500]))

    def test_r9_unknown_is_answered_once_no_attempt_can_be_begun(self) -> None:
        unknown = Indeterminate("it broke")
        for last in (Unavailable("down"), OutOfStock("none left")):
            outcome, _, ended_ms = self.write([unknown, last], 0.2)
            self.assertEqual((outcome, ended_ms), (unknown, 500))

    def test_r5_where_nobody_knows_until_when_it_may_be_begun_a_refusal_is_no_answer(self) -> None:
        """As over plain HTTP."""
        unknown = Indeterminate("it broke")
        for refusal in (OutOfStock("none left"), Unavailable("down")):
            outcome, _, ended_ms = self.write([unknown, refusal], 2.0, begun_within_s=inf)
            self.assertEqual(outcome, unknown)
            self.assertLessEqual(ended_ms, 2000)

    def test_r9_unknown_is_told_when_nothing_can_begin_though_the_asker_was_paused(self) -> None:
        """It stands still for a second between when the pool looks at its clock, and when the
        client does."""
        ends: list[tuple[float, float]] = []

        async def run(process: Process) -> None:
            loop, stood, until = process.loop, 0.0, 0.0

            def clock() -> float:
                return loop.time() + stood

            async def attempt(one: NodeConfig) -> None:
                nonlocal stood, until
                stood += 1.0  # SIGSTOP, SIGCONT
                until = deadlines.of(0.5, clock())  # as RPCClient.submit does
                raise Indeterminate("the connection broke")

            pool = ReplicaPool([node(1)], PoolConfig(), clock)
            try:
                await pool.call(attempt, 0.2, begun_within_s=0.5)
            except Indeterminate:
                ends.append((clock(), until))

        play(run)
        [(answered, begins_until)] = ends
        self.assertGreaterEqual(answered, begins_until)

    def test_r9_nobody_waits_for_longer_than_what_may_begin(self) -> None:
        """As orders have a sale written: an attempt has what is left to whoever asked."""
        ended: list[float] = []

        async def run(process: Process) -> None:
            clock = process.loop.time
            began = clock()
            deadlines.current.set(began + 2.0)  # of the front end's call

            async def attempt(one: NodeConfig) -> None:
                if clock() < began + 1.8:
                    raise Unavailable("no primary")
                raise Indeterminate("the connection broke")  # may be begun until 2.0

            pool = ReplicaPool([node(1), node(2)], PoolConfig(), clock)
            try:
                await pool.call(attempt, 2.0, begun_within_s=1.0)
            except Indeterminate:
                ended.append(clock() - began)

        play(run)
        self.assertAlmostEqual(ended[0], 2.0, 2)


class RoundsTest(unittest.TestCase):
    """In virtual time."""

    def rounds(self, deadline_s: float, *replicas: NodeConfig) -> tuple[list[int], int]:
        """Return when the rounds of a call begin that nobody answers, and when it fails, in ms,
        to the nearest ten."""
        began: list[int] = []
        ended = 0

        async def run(process: Process) -> None:
            nonlocal ended

            def passed_ms() -> int:
                return 10 * round(100 * (process.loop.time() - since))

            async def attempt(node: NodeConfig) -> None:
                if node == replicas[0]:
                    began.append(passed_ms())
                raise Unavailable("down")

            since = process.loop.time()
            pool = ReplicaPool(replicas, PoolConfig(), process.loop.time)
            with suppress(Unavailable):
                await pool.call(attempt, deadline_s)
            ended = passed_ms()

        play(run)
        return began, ended

    def test_rounds_without_an_answer_come_ever_slower(self) -> None:
        """Replicas that are down have enough to do."""
        began, _ = self.rounds(2.0, node(1), node(2))
        self.assertEqual(began, [0, 50, 150, 350, 750, 1150, 1550, 1950])

    def test_a_call_ends_in_time(self) -> None:
        self.assertEqual(self.rounds(0.5, node(1), node(2)), ([0, 50, 150, 350], 500))

    def test_the_preferred_is_asked_once_a_round(self) -> None:
        """Though others have been answered by it since."""
        asked: list[str] = []

        async def run(process: Process) -> None:
            async def answer(node: NodeConfig) -> None:
                if node.number == 1:
                    raise Unavailable("down")

            async def attempt(node: NodeConfig) -> None:
                asked.append(node.name)
                if node.number == 1:
                    await pool.call(answer, 1.0)
                raise Unavailable("for this one alone")

            pool = ReplicaPool([node(1), node(2)], PoolConfig(), process.loop.time)
            with suppress(Unavailable):
                await pool.call(attempt, 0.02, prefer="catalog-2")

        play(run)
        self.assertEqual(asked, ["catalog-2", "catalog-1"])
