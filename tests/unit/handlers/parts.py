"""What a service of a node stands on, as tests have it: no files, no sockets, no other node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bazar import clock
from bazar.cluster_file import parse
from bazar.config import NodeConfig
from bazar.errors import Unavailable
from bazar.latency_histogram import LatencyHistogram
from bazar.node.server import Context
from bazar.replication.messages import GENESIS
from bazar.replication.part import Wiring
from bazar.replication.store import Answer, Operation
from bazar.rpc.frames import FrameConnection
from handlers import ROLES

PORTS = {"frontend-1": 8001, "catalog-1": 8000, "catalog-2": 8003, "order-1": 8002, "order-2": 8004}


def context(
    name: str, now: Callable[[], float] = clock.now, *, fatal: Any = None, **settings: Any
) -> Context:
    """Make what the node of this name is made of, with nothing of it on a disk."""
    nodes = {one: {"role": one.rpartition("-")[0], "port": port} for one, port in PORTS.items()}
    config = parse({"nodes": nodes, **settings}, Path("/nowhere"), ROLES)
    failed = fatal or (lambda error: None)
    return Context(config, config.nodes[name], "the token", failed, clock=now)


async def turns() -> None:
    """Let all tasks go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Links:
    """What the node's connections go over."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    async def dial(self, node: NodeConfig, *arguments: Any) -> FrameConnection:
        self._events.append(f"dials {node.name}")
        raise ConnectionRefusedError

    def close(self) -> None:
        self._events.append("closes its links")


class Reads:
    """Remembers which barriers were passed; refuses while it is `closed`."""

    def __init__(self) -> None:
        self.closed = False
        self.passed: list[frozenset[str] | None] = []
        self.caught: list[int] = []
        self.waited: list[tuple[int, float]] = []
        self.applies: Callable[[], bool] = lambda: False

    async def barrier(self, tags: frozenset[str] | None) -> None:
        self.index(tags)
        self.passed.append(tags)

    def index(self, tags: frozenset[str] | None) -> int:
        if self.closed:
            raise Unavailable("this replica has no lease")
        return 0

    def is_open(self, tags: frozenset[str] | None) -> bool:
        return not self.closed

    async def caught_up(self, seq: int) -> None:
        self.index(frozenset())
        self.caught.append(seq)

    async def wait_applied(self, seq: int, timeout_s: float) -> bool:
        self.waited.append((seq, timeout_s))
        return self.applies()


class Part:
    """A replica's part in its group, which notes what it is told."""

    def __init__(self, events: list[str], group: str = "catalog") -> None:
        self._events, self._group = events, group
        self.reads = Reads()
        self.leader: NodeConfig | None = None
        self.leading = asyncio.Event()
        self.core = SimpleNamespace(committed=GENESIS, pending=(), epoch=1, epoch_id="e")
        self.queue = SimpleNamespace(batches=3, operations=5)
        self.disk = SimpleNamespace(spent={"apply": LatencyHistogram()})
        self.written: list[tuple[Operation, bool]] = []
        self.answers: Callable[[Operation], Answer] = lambda operation: {}

    async def start(self) -> None:
        self._events.append("takes part")

    async def stop(self) -> None:
        self._events.append("leaves the group")

    def refuse_other(self, arbiter: str | None) -> None:
        if arbiter not in (None, "ours"):
            raise Unavailable("this replica belongs to another cluster than its caller")

    def status(self) -> dict[str, Any]:
        """Say what a follower says that knows nobody to follow."""
        standing = {"primary": None, "epoch": 1, "committed": 9, "pending": 0, "lease_s": 0.0}
        return {"group": self._group, **standing}

    async def write(
        self, operation: Operation, timeout_s: float, *, may_forward: bool = True
    ) -> Answer:
        self.written.append((operation, may_forward))
        return self.answers(operation)


class Engine:
    """Keeps nothing; `whole` says whether what it keeps need not be checked."""

    def __init__(self, reader: Any = None, *, whole: bool = True) -> None:
        self.events: list[str] = []
        self.reader = reader
        self.replica = Part(self.events)
        self.wiring: Wiring | None = None
        self.checked = asyncio.Event()
        self._whole = whole

    async def open(self) -> bool:
        self.events.append("opens")
        return self._whole

    def part(self, wiring: Wiring) -> Any:
        self.wiring = wiring
        return self.replica

    async def check(self) -> None:
        await self.checked.wait()
        self.events.append("is checked")

    async def close(self) -> None:
        self.events.append("is closed")
