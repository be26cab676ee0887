"""One replica from its start to its end, in virtual time, over a store and an arbiter in memory."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from bazar.config import NodeConfig, ReplicationConfig
from bazar.errors import FatalError, Unavailable
from bazar.replication.effects import LogPage
from bazar.replication.messages import (
    CACHE,
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Ack,
    ArbiterId,
    Change,
    Commit,
    Entry,
    Grant,
    Hello,
    Mark,
    Member,
    Membership,
    Prepare,
    Release,
    Renew,
    Snapshot,
    Welcome,
    encode,
    tail_mark,
)
from bazar.replication.part import Wiring
from bazar.replication.replica import CHECKS_PER_LEASE, LONG_LEASES, POLLS_PER_LEASE, Replica
from bazar.replication.store import Answer, Extend, Operation, Outcome
from tests.unit.replication.steps import HERE, THERE, log, play
from tests.unit.replication.test_following import Link
from tests.unit.replication.test_part import Noting
from tests.world.world import Process

LEASE_S = 1.0
ME, PEER = NodeConfig("r-1", "catalog", 8001), NodeConfig("r-2", "catalog", 8002)
OURS, THEIRS = Member("r-1", "s1"), Member("r-2", "s2")


@dataclass
class Memory:
    """A store that keeps nothing, and an arbiter, with what is asked of both, in order."""

    committed: Mark = GENESIS
    pending: list[Entry] = field(default_factory=list)
    seeds: tuple[Operation, ...] = ()
    recorded: Membership | None = None
    free: list[bool] = field(default_factory=list)
    """Whether the lock is free, at each try; and then always."""
    other_leads: bool = False
    asked: list[str] = field(default_factory=list)
    pages: dict[int, LogPage] = field(default_factory=dict)
    tries: int = 0
    slow_s: float = 0.0
    """How long the disk takes to make entries durable."""
    gone: bool = False
    probed: Callable[[], None] = lambda: None

    store_id = "s1"
    epoch = 0
    epoch_id = ""
    keep_from: int | None = None
    id: ArbiterId = HERE

    def note(self, what: str) -> None:
        self.asked.append(what)

    # --- the store -------------------------------------------------------------------------------

    def seed(self) -> Sequence[Operation]:
        return self.seeds

    async def execute(
        self, operations: Sequence[Operation], epoch: int, extend: Extend
    ) -> tuple[list[Outcome], tuple[Entry, ...]]:
        self.note(f"execute {[one['op'] for one in operations]}")
        outcomes = [Outcome({"did": one["op"]}, Change(("a",), None)) for one in operations]
        return outcomes, extend(outcomes)

    async def rollback(self) -> None: ...

    def check(self) -> None:
        if self.gone:
            raise FatalError("its file is gone")

    async def probe(self) -> None:
        self.note("probe")
        self.probed()

    async def sync(self) -> None:
        self.note("sync")

    async def persist(self, after: Mark, entries: tuple[Entry, ...]) -> None:
        await asyncio.sleep(self.slow_s)
        self.note(f"persist {len(entries)}")

    async def apply(self, mark: Mark, *, synced: bool = True) -> None:
        self.note(f"apply {mark.seq} {synced}")

    async def install(self, chunk: Snapshot) -> None:
        self.note(f"install {chunk.final}")

    async def read_log(self, after_seq: int) -> LogPage:
        return self.pages[after_seq]

    async def snapshot(self) -> AsyncGenerator[Snapshot, None]:
        yield Snapshot(self.committed, {}, first=True, final=True)

    # --- the arbiter -----------------------------------------------------------------------------

    def read(self) -> Membership | None:
        return self.recorded

    look = read

    def try_acquire(self) -> bool:
        self.tries += 1
        return self.free.pop(0) if self.free else True

    def release(self) -> None:
        self.note("release")

    async def record(self, membership: Membership) -> None:
        self.note(f"record {membership.epoch}{' clean' * membership.clean}")
        self.recorded = membership

    def lock_owner(self) -> int | None:
        return None

    def check_epoch(self, epoch: int) -> None:
        if self.other_leads:
            raise FatalError(f"another leads, and not {epoch}")


class Lock:
    """The arbiter's half of a memory: `check` is another question there than at a store."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    def check(self, epoch: int) -> None:
        self._memory.check_epoch(epoch)


class OneReplicaTest(unittest.TestCase):
    welcome = Welcome(1, GENESIS, GENESIS, False, "e1", HERE)

    def live(
        self,
        memory: Memory,
        work: Callable[[Replica], Coroutine[Any, Any, None]],
        *peers: NodeConfig,
        link: Link | None = None,
        for_s: float = 30.0,
    ) -> None:
        """Do `work` while this replica lives; its peers do not answer, but for one over `link`."""
        self.fatal: list[str] = []
        self.committed: list[int] = []
        self.installed = 0
        self.knocked: list[str] = []
        self.looked = 0

        async def dial(node: NodeConfig, path: str, token: str, within_s: float) -> Link:
            if link is None or link.closed:
                raise ConnectionRefusedError("it is down")
            link.pause()
            return link

        async def knock(node: NodeConfig, ours: Answer) -> Answer:
            if ours["leads"] is None:  # a primary looks for others, too
                self.knocked.append(node.name)
            else:
                self.looked += 1
            raise Unavailable("it is down")

        async def forward(node: NodeConfig, operation: Operation) -> Answer:
            raise AssertionError("nobody to pass it on to")

        async def installed() -> None:
            self.installed += 1

        async def founding() -> None:
            memory.note("found")

        async def run(process: Process) -> None:
            wiring = Wiring(
                *(ME, peers, ReplicationConfig(LEASE_S), "token", dial, "run", process.loop.time),
                *(forward, knock),
                lambda entries: self.committed.extend(entry.seq for entry in entries),
                *(installed, lambda error: self.fatal.append(str(error))),
            )
            replica = Replica(wiring, memory, Lock(memory), founding=founding)
            await replica.start()
            await work(replica)
            await replica._tasks.close()

        play(run, for_s)

    # --- taking over -----------------------------------------------------------------------------

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

    # --- leading ---------------------------------------------------------------------------------

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
            with self.assertRaises(Exception):  # noqa: B017 - nobody knows what becomes of it
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

    # --- leaving ---------------------------------------------------------------------------------

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

    # --- following -------------------------------------------------------------------------------

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
