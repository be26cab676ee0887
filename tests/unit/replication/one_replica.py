"""A replica in virtual time, over a store and an arbiter in memory."""

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
    GENESIS,
    ArbiterId,
    Change,
    Entry,
    Mark,
    Member,
    Membership,
    Snapshot,
    Welcome,
)
from bazar.replication.part import Wiring
from bazar.replication.replica import Replica
from bazar.replication.store import Answer, Extend, Operation, Outcome
from tests.unit.replication.steps import HERE
from tests.unit.replication.test_following import Link
from tests.world.lab import play
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


class OneReplicaCase(unittest.TestCase):
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
