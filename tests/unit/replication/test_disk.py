"""What is written out, in order, while others wait for it."""

from __future__ import annotations

import asyncio
import unittest

from bazar.errors import FatalError
from bazar.replication.disk import DISK_S, MAX_QUEUE, SNAPSHOT_S, DiskWorker
from bazar.replication.effects import Apply, Effect, Install, Persist
from bazar.replication.messages import Mark, Snapshot
from tests.world.lab import Lab
from tests.world.world import Process

EFFECTS: list[Effect] = [Apply(Mark(seq, "digest")) for seq in range(MAX_QUEUE + 1)]


class DiskWorkerTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.begun, self.answers = asyncio.Event(), asyncio.Event()
        self.written: list[Effect] = []
        self.disk = DiskWorker(self.write_out)

    async def write_out(self, effect: Effect) -> None:
        self.begun.set()
        await self.answers.wait()
        self.written.append(effect)

    async def test_a_follower_whose_disk_is_behind_waits_until_all_is_written(self) -> None:
        """Else what it has read, and not written yet, would fill its memory."""
        for effect in EFFECTS[:MAX_QUEUE]:
            self.disk.put(effect)
            self.assertIsNone(self.disk.settling())
        self.disk.put(EFFECTS[MAX_QUEUE])
        settling = self.disk.settling()
        assert settling is not None
        follower = asyncio.ensure_future(settling)
        working = asyncio.create_task(self.disk.run())
        await self.begun.wait()
        self.assertFalse(follower.done())
        self.answers.set()
        await follower
        self.assertEqual(self.written, EFFECTS)
        self.assertIsNone(self.disk.settling())
        working.cancel()
        await asyncio.wait([working])

    async def test_who_waits_for_the_disk_goes_on_when_all_is_written(self) -> None:
        """As a node that leads from what a feed has left (T1)."""
        self.disk.put(EFFECTS[0])
        waiting = asyncio.create_task(self.disk.join())
        working = asyncio.create_task(self.disk.run())
        await self.begun.wait()
        self.assertFalse(waiting.done())
        self.answers.set()
        await waiting
        self.assertEqual(self.written, EFFECTS[:1])
        working.cancel()
        await asyncio.wait([working])


class TimesTest(unittest.TestCase):
    """Disks that take their time, by a clock of the test's own."""

    def setUp(self) -> None:
        self.failed: list[FatalError] = []

    def write(self, *taking: tuple[Effect, float], before: DiskWorker | None = None) -> DiskWorker:
        """Have each effect written, which takes so many seconds: after another worker, or alone."""
        seconds = [takes_s for _, takes_s in taking]

        async def write_out(effect: Effect) -> None:
            await asyncio.sleep(seconds.pop(0))

        disk = DiskWorker(write_out) if before is None else DiskWorker(write_out, before.spent)

        async def run(process: Process) -> None:
            for effect, _ in taking:
                disk.put(effect)
            try:
                await disk.run()
            except FatalError as error:
                self.failed.append(error)

        with Lab() as lab:
            lab.start(run)
            lab.run(1.0 + sum(seconds))
        return disk

    def test_each_kind_has_a_bound_and_a_snapshot_a_longer_one(self) -> None:
        """Its last chunk replaces the whole state."""
        chunk = Install(Snapshot(Mark(1, "one"), {}, first=True, final=True))
        for effect, limit_s in ((EFFECTS[0], DISK_S), (chunk, SNAPSHOT_S)):
            self.write((effect, limit_s - 1.0))
            self.assertEqual(self.failed, [])
            self.write((effect, limit_s + 1.0))
            self.assertEqual(len(self.failed), 1)
            self.failed.clear()

    def test_it_counts_what_each_kind_has_taken_in_milliseconds(self) -> None:
        persist = Persist(Mark(0, ""), ())
        disk = self.write((EFFECTS[0], 4.0), (EFFECTS[1], 5.0), (persist, 0.5))
        told = {kind: (spent.total, spent.sum_ms) for kind, spent in disk.spent.items()}
        self.assertEqual(told.keys(), {"apply", "persist"})
        for kind, total, ms in (("apply", 2, 9000.0), ("persist", 1, 500.0)):
            self.assertEqual(told[kind][0], total)
            self.assertAlmostEqual(told[kind][1], ms, delta=5.0)

    def test_who_takes_over_goes_on_with_the_counts(self) -> None:
        before = self.write((EFFECTS[0], 1.0))
        after = self.write((EFFECTS[1], 1.0), before=before)
        self.assertEqual(after.spent["apply"].total, 2)
