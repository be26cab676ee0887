"""What a replica does until it leads, and what it does while another leads."""

from __future__ import annotations

import asyncio
from unittest import mock

from bazar.errors import FatalError, Unavailable
from bazar.replication.feed_client import FeedClient
from bazar.replication.messages import (
    GENESIS,
    Ack,
    Commit,
    Grant,
    Mark,
    Membership,
    Prepare,
    Release,
    Snapshot,
    Welcome,
    tail_mark,
)
from bazar.replication.replica import CHECKS_PER_LEASE, LONG_LEASES, POLLS_PER_LEASE, Replica
from tests.unit.replication.one_replica import (
    LEASE_S,
    OURS,
    PEER,
    THEIRS,
    Memory,
    OneReplicaCase,
)
from tests.unit.replication.steps import HERE, THERE, log
from tests.unit.replication.test_following import Link


class OneReplicaTest(OneReplicaCase):
    def test_t0_a_new_group_is_founded_with_what_it_begins_with(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(3.0)
            self.assertTrue(replica.leading.is_set())

        memory = Memory(seeds=({"op": "stock"},))
        self.live(memory, work, PEER)
        expected = ["probe", "found", "sync", "record 1", "execute ['begin', 'stock']"]
        self.assertEqual(memory.asked, [*expected, "apply 2 True"])
        self.assertEqual((self.committed, self.installed), ([1, 2], 1))
        self.assertEqual(self.knocked, ["r-2", "r-2"])  # twice: they may begin together

    def test_t0_one_that_has_a_log_begins_with_nothing(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(2.0)
            assert replica.primary is not None
            self.assertEqual((replica.primary.epoch, replica.primary.epoch_id), (4, "run"))

        mark = log(GENESIS, "a")[-1].mark
        before = Membership(3, frozenset({OURS}), LEASE_S)
        memory = Memory(mark, seeds=({"op": "stock"},), recorded=before)
        self.live(memory, work, PEER)
        self.assertEqual(memory.asked, ["probe", "sync", "record 4"])
        self.assertEqual(self.knocked, ["r-2"])
        self.assertGreater(self.looked, 0)
        self.assertEqual(self.fatal, [])

    def test_t1_one_whose_lock_is_gone_before_it_leads_leaves(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.5)
            self.assertIsNone(replica.primary)

        self.live(Memory(free=[True, False]), work)
        self.assertEqual(self.fatal, ["r-1 has lost its lock before it could lead"])

    def test_one_that_seeks_a_primary_for_long_says_so_once(self) -> None:
        async def work(replica: Replica) -> None:
            with self.assertNoLogs("bazar.replication.replica", "WARNING"):
                await asyncio.sleep((LONG_LEASES - 0.5) * LEASE_S)
            with self.assertLogs("bazar.replication.replica", "WARNING") as logs:
                await asyncio.sleep((LONG_LEASES + 2) * LEASE_S)
            self.assertEqual(len(logs.output), 1)

        self.live(Memory(free=[False] * 2000), work, for_s=60.0)
        self.assertEqual(self.fatal, [])

    def test_how_long_it_has_sought_one_counts_from_when_it_had_one(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.2)
            with self.assertNoLogs("bazar.replication.replica", "WARNING"):
                link.say(self.welcome)
                for _ in range(LONG_LEASES + 2):
                    await asyncio.sleep(LEASE_S)
                    link.say(Grant(1, 0, LEASE_S))
                link.hang_up()
                await asyncio.sleep((LONG_LEASES - 0.5) * LEASE_S)
            with self.assertLogs("bazar.replication.replica", "WARNING"):
                await asyncio.sleep(LEASE_S)

        memory, link = Memory(free=[False] * 2000), Link("r-2")
        self.live(memory, work, PEER, link=link, for_s=60.0)

    def test_it_tries_more_often_while_nobody_leads(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.2)
            link.say(self.welcome)
            await asyncio.sleep(LEASE_S / CHECKS_PER_LEASE)
            for most, least in ((CHECKS_PER_LEASE, 1), (POLLS_PER_LEASE, POLLS_PER_LEASE - 2)):
                memory.tries = 0
                await asyncio.sleep(LEASE_S)
                self.assertLessEqual(memory.tries, most + 1)
                self.assertGreaterEqual(memory.tries, least)
                if not link.closed:
                    link.hang_up()
                    await asyncio.sleep(LEASE_S / CHECKS_PER_LEASE)

        memory, link = Memory(free=[False] * 2000), Link("r-2")
        self.live(memory, work, PEER, link=link)

    def test_a_follower_whose_feed_fails_leaves(self) -> None:
        async def fail(client: FeedClient) -> None:
            raise FatalError("a fault of the program")

        async def work(replica: Replica) -> None:
            await asyncio.sleep(LEASE_S)
            self.assertEqual(self.fatal, ["a fault of the program"])

        with mock.patch.object(FeedClient, "run", fail):
            self.live(Memory(free=[False] * 2000), work)

    def test_r8_a_follower_whose_file_is_gone_leaves(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.2)
            link.say(self.welcome)
            memory.gone = True
            await asyncio.sleep(LEASE_S / 3)
            self.assertEqual(self.fatal, ["its file is gone"])

        memory, link = Memory(free=[False] * 2000), Link("r-2")
        self.live(memory, work, PEER, link=link)

    def test_t1_a_feed_is_over_and_what_it_has_left_is_on_disk_before_a_node_leads(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.2)
            link.say(self.welcome)
            link.say(Prepare(entries))
            await asyncio.sleep(0.0 if entries else 0.1)
            memory.free.clear()
            await asyncio.sleep(1.5)
            self.assertTrue(replica.leading.is_set())

        for entries in (log(GENESIS, "a"), ()):
            memory, link = Memory(free=[False] * 2000, slow_s=0.6), Link("r-2")
            memory.recorded = Membership(1, frozenset({OURS, THEIRS}), LEASE_S)
            memory.probed = lambda link=link: self.assertTrue(link.closed)  # type: ignore[misc]
            self.live(memory, work, PEER, link=link)
            expected = [f"persist {len(entries)}"] * bool(entries)
            self.assertEqual(memory.asked[: len(entries) + 1], [*expected, "probe"])
            self.assertEqual(self.fatal, [])

    def test_r2_a_follower_acknowledges_and_applies_and_gives_its_lease_back(self) -> None:
        [first] = log(GENESIS, "z")
        entries = log(first.mark, "a", "b")

        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.2)
            link.say(Welcome(1, first.mark, first.mark, False, "e1", HERE))
            link.say(Grant(1, 1, LEASE_S))
            link.say(Prepare(entries))
            await asyncio.sleep(0.1)
            self.assertIn(Ack(tail_mark(GENESIS, entries)), [one for _, one in link.sent])
            reading = asyncio.create_task(replica.reads.barrier(frozenset({"a"})))
            await asyncio.sleep(0.1)
            self.assertFalse(reading.done())
            link.say(Commit(entries[0].mark))
            link.say(Commit(entries[1].mark))
            await asyncio.sleep(0.1)
            self.assertTrue(reading.done())
            ticket = replica.queue.add({"op": "sell"})
            await replica.stop()
            self.assertEqual(link.sent[-1][1], Release())
            self.assertTrue(link.closed)
            with self.assertRaises(Unavailable):  # nobody waits for one that has stopped
                await ticket.done

        memory, link = Memory(first.mark, free=[False] * 2000), Link("r-2")
        self.live(memory, work, PEER, link=link)
        expected = ["persist 2", "apply 2 False", "apply 3 False", "release"]
        self.assertEqual(memory.asked, expected)
        self.assertEqual(self.committed, [2, 3])

    def test_a2_a_follower_that_meets_another_arbiter_leaves(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.2)
            link.say(Welcome(1, GENESIS, GENESIS, False, "e1", THERE))
            self.assertEqual(len(self.fatal), 1)

        memory, link = Memory(free=[False] * 2000), Link("r-2")
        self.live(memory, work, PEER, link=link)

    def test_j3_a_follower_that_is_filled_tells_that_its_state_is_another(self) -> None:
        mark = Mark(7, "seven")

        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.2)
            link.say(Welcome(1, mark, mark, False, "e1", HERE))
            for final in (False, True):
                link.say(Snapshot(mark, {}, first=not final, final=final))
                await asyncio.sleep(0.1)
                self.assertEqual(self.installed, 1 + final)
            self.assertIn(Ack(mark), [one for _, one in link.sent])

        memory, link = Memory(free=[False] * 2000), Link("r-2")
        self.live(memory, work, PEER, link=link)
        self.assertEqual(memory.asked, ["install False", "install True"])

    def test_a3_one_that_has_followed_knows_that_it_is_not_alone(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.2)
            link.say(self.welcome)
            link.say(Grant(1, 1, LEASE_S))
            link.hang_up()
            memory.free.clear()
            await asyncio.sleep(0.5)
            self.assertTrue(replica.leading.is_set())
            self.assertEqual(self.knocked, [])

        before = Membership(1, frozenset({OURS, THEIRS}), LEASE_S)
        memory, link = Memory(recorded=before, free=[False] * 2000), Link("r-2")
        self.live(memory, work, PEER, link=link)
