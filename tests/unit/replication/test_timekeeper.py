"""How time passes for a primary, in virtual time: when it looks at its clock, and for what."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterable
from math import inf

from bazar.replication.effects import Confirm, Effect
from bazar.replication.timekeeper import Timekeeper
from bazar.replication.timing import RENEWALS_PER_LEASE, TICKS_PER_LEASE
from tests.world.lab import Lab
from tests.world.world import Process

LEASE_S = 3.0
THIRD_MS = round(1000 * LEASE_S / RENEWALS_PER_LEASE)
SHORTEST_MS = round(1000 * LEASE_S / TICKS_PER_LEASE)


class Due:
    """A primary for which something is due at these moments."""

    def __init__(self, *moments: float) -> None:
        self.moments = list(moments)

    def due(self, now: float) -> float:
        return min((at for at in self.moments if at > now), default=inf)

    def tick(self, now: float) -> list[Effect]:
        return [Confirm()]


class TimekeeperTest(unittest.TestCase):
    def ticks_ms(
        self,
        primary: Due,
        until_s: float,
        then: Callable[[Timekeeper], None] = lambda timekeeper: None,
        at_s: float = 0.0,
    ) -> list[int]:
        """Return when it ticks, to the nearest ten ms; `then` happens at its time."""
        ticks: list[int] = []
        checks: list[float] = []

        async def run(process: Process) -> None:
            def perform(effects: Iterable[Effect]) -> None:
                self.assertEqual(list(effects), [Confirm()])
                self.assertEqual(len(checks), len(ticks) + 1)  # each time, and before
                ticks.append(10 * round(100 * process.loop.time()))

            timekeeper = Timekeeper(
                primary,  # type: ignore[arg-type]
                *(lambda: checks.append(process.loop.time()), process.loop.time),
                *(LEASE_S, perform),
            )
            process.loop.call_later(at_s, then, timekeeper)
            await timekeeper.run()

        with Lab() as lab:
            lab.start(run)
            lab.run(until_s)
        return ticks

    def test_l5_it_looks_three_times_a_lease(self) -> None:
        self.assertEqual(self.ticks_ms(Due(), 2.5), [0, THIRD_MS, 2 * THIRD_MS])

    def test_it_looks_when_something_is_due(self) -> None:
        self.assertEqual(self.ticks_ms(Due(0.5), 1.8), [0, 500, 500 + THIRD_MS])

    def test_but_not_all_the_time(self) -> None:
        ticks = self.ticks_ms(Due(0.01, 0.02, 0.03), 0.3)
        self.assertEqual(ticks, [0, SHORTEST_MS, 2 * SHORTEST_MS][: len(ticks)])

    def test_what_becomes_due_sooner_is_not_missed(self) -> None:
        primary = Due()

        def happens(timekeeper: Timekeeper) -> None:
            primary.moments.append(0.6)
            timekeeper.look()

        ticks = self.ticks_ms(primary, 1.5, happens, 0.3)
        self.assertEqual(ticks, [0, 300, 600])

    def test_what_is_due_later_wakes_nobody(self) -> None:
        primary = Due(0.5)

        def happens(timekeeper: Timekeeper) -> None:
            timekeeper.look()  # nothing new is
            primary.moments.append(0.8)
            timekeeper.look()

        self.assertEqual(self.ticks_ms(primary, 0.9, happens, 0.3), [0, 500, 800])
