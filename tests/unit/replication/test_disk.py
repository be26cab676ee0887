"""What is written out, in order, while others wait for it."""

from __future__ import annotations

import asyncio
import unittest

from bazar.replication.disk import MAX_QUEUE, DiskWorker
from bazar.replication.effects import Apply, Effect
from bazar.replication.messages import Mark

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
