"""What a replica does as its group's primary, and how it hands over."""

from __future__ import annotations

import asyncio

from bazar.errors import Indeterminate, Unavailable
from bazar.replication.effects import LogPage
from bazar.replication.messages import (
    CACHE,
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Ack,
    Commit,
    Grant,
    Hello,
    Mark,
    Membership,
    Prepare,
    Renew,
    Snapshot,
    Welcome,
    encode,
)
from bazar.replication.replica import Replica
from tests.unit.replication.one_replica import (
    LEASE_S,
    OURS,
    Memory,
    OneReplicaCase,
)
from tests.unit.replication.steps import log
from tests.unit.replication.test_part import Noting


class OnePrimaryTest(OneReplicaCase):
    def test_l5_one_that_leads_no_more_grants_nothing_and_leaves(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.5)
            feed = replica.open_feed(connection)
            hello = Hello(WIRE_VERSION, CACHE, "f-1", "run", "", 0, GENESIS, GENESIS, "")
            replica.feed_message(feed, encode(hello))
            memory.other_leads = True
            replica.feed_message(feed, encode(Renew(1)))
            memory.other_leads = False

        memory, connection = Memory(), Noting()
        self.live(memory, work)
        self.assertEqual([type(message) for message in connection.sent], [Welcome])
        self.assertEqual(self.fatal, ["another leads, and not 1"])

    def test_r3_one_that_leads_no_more_commits_nothing(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.5)
            memory.other_leads = True
            with self.assertRaises(Indeterminate):
                await replica.write({"op": "sell"}, 0.1)

        memory = Memory()
        self.live(memory, work)
        self.assertEqual(self.committed, [])
        self.assertNotIn("apply 2 True", memory.asked)
        self.assertEqual(self.fatal, ["another leads, and not 1"])

    def test_r3_a_write_is_answered_once_it_is_committed(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.5)
            self.assertEqual(await replica.write({"op": "sell"}, 1.0), {"did": "sell"})
            self.assertEqual(self.committed, [1, 2])
            self.assertTrue(replica.reads.is_open(None))
            await asyncio.sleep(5 * LEASE_S)
            self.assertTrue(replica.reads.is_open(None))  # it has asked whether it still leads

        self.live(Memory(), work)

    def test_r6_who_has_acknowledged_hears_of_the_commit(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.5)
            feed = replica.open_feed(connection)
            hello = Hello(WIRE_VERSION, CACHE, "f-1", "run", "", 0, GENESIS, GENESIS, "")
            for message in (hello, Renew(1)):
                replica.feed_message(feed, encode(message))
            self.assertEqual(connection.sent[-1], Grant(1, 1, LEASE_S))
            writing = asyncio.create_task(replica.write({"op": "sell"}, 5.0))
            await asyncio.sleep(0.1)
            assert replica.primary is not None
            mark = replica.primary.tail
            replica.feed_message(feed, encode(Ack(mark)))
            await writing
            self.assertEqual(connection.sent[-1], Commit(mark))

        connection = Noting()
        self.live(Memory(), work)

    def hello(self, committed: Mark) -> Hello:
        return Hello(WIRE_VERSION, REPLICA, "r-2", "run", "s2", 1, committed, committed, "")

    def test_j2_who_lacks_some_of_the_log_is_sent_it(self) -> None:
        entries = log(GENESIS, "a", "b")

        async def work(replica: Replica) -> None:
            await asyncio.sleep(2.0)
            replica.feed_message(replica.open_feed(connection), encode(self.hello(GENESIS)))
            await asyncio.sleep(0.1)

        memory, connection = Memory(entries[-1].mark), Noting()
        memory.recorded = Membership(3, frozenset({OURS}), LEASE_S)
        memory.pages = {0: LogPage(GENESIS, entries, end=True)}
        self.live(memory, work)
        self.assertIn(Prepare(entries), connection.sent)

    def test_j3_who_lacks_too_much_is_sent_a_snapshot_and_the_log_is_kept_for_it(self) -> None:
        mark = log(GENESIS, "a", "b")[-1].mark

        async def work(replica: Replica) -> None:
            await asyncio.sleep(2.0)
            replica.feed_message(replica.open_feed(connection), encode(self.hello(GENESIS)))
            await asyncio.sleep(0.1)
            await replica.write({"op": "sell"}, 1.0)
            self.assertEqual(memory.keep_from, mark.seq)

        memory, connection = Memory(mark), Noting()
        memory.recorded = Membership(3, frozenset({OURS}), LEASE_S)
        memory.pages = {0: LogPage(None, (), end=False)}
        self.live(memory, work)
        self.assertIn(Snapshot(mark, {}, first=True, final=True), connection.sent)

    def test_t5_a_primary_hands_over(self) -> None:
        async def work(replica: Replica) -> None:
            await asyncio.sleep(0.5)
            replica.open_feed(connection)
            assert replica.primary is not None
            replica.primary.phase = type(replica.primary.phase).EXECUTING  # a batch is under way
            writing = asyncio.create_task(replica.write({"op": "sell"}, 9.0))
            await asyncio.sleep(0.1)
            stopping = asyncio.create_task(replica.stop())
            await asyncio.sleep(0.1)
            with self.assertRaisesRegex(Unavailable, "hands over"):
                await writing
            self.assertFalse(stopping.done())
            replica._perform(replica.primary.abort(replica.clock()))
            await stopping

        memory, connection = Memory(), Noting()
        self.live(memory, work)
        self.assertEqual(memory.asked[-3:], ["sync", "record 1 clean", "release"])
        self.assertTrue(connection.closed)
        self.assertEqual(self.fatal, [])
