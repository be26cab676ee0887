"""What catalog and order have in common: a replica over its store, and the calls between nodes."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Generic, TypeVar

from bazar import deadlines
from bazar.background_tasks import Tasks
from bazar.config import NodeConfig
from bazar.errors import Indeterminate, ShuttingDown, Unavailable
from bazar.http.known_targets import KnownTargets
from bazar.http.rate_limit import RateLimit
from bazar.metrics.figures import Figures
from bazar.metrics.tell import tell_client, tell_disk, tell_replica
from bazar.node.server import INTERNAL, MAX_INTERNAL_BODY_BYTES, PUBLIC, Context, Route
from bazar.replication.engine import Engine
from bazar.replication.feed_client import FEED_PATH
from bazar.replication.messages import Entry
from bazar.replication.part import Part, Wiring
from bazar.replication.store import Answer, Operation
from bazar.rpc.client import CALLS_PATH, RPCClient
from bazar.rpc.frames import FrameConnection
from handlers import described, links, metrics, status, writes
from handlers.assets import AssetHandler
from handlers.calls import BatchHandler, Call, CallsHandler
from handlers.feed import FeedHandler
from handlers.kinds import Object
from handlers.paths import FORWARDED_PATH, KNOCK_PATH, READ_PATH, WRITE_PATH

log = logging.getLogger(__name__)

KNOCK_S = 1.0

R = TypeVar("R")


class ReplicatedService(ABC, Generic[R]):
    """A node of a replicated role, over the engine that keeps its state. Subclasses know what may
    be read and written."""

    prefix: str
    max_body_bytes = MAX_INTERNAL_BODY_BYTES
    for_nodes = True
    writes: Mapping[str, Object]
    """The operations that it takes from other nodes, by their names."""
    replica: Part
    limit: RateLimit | None = None

    def __init__(self, context: Context, engine: Engine[R], routes: Sequence[Route]) -> None:
        """Serve the role's own `routes`, before those of every replica."""
        self.context = context
        self.engine = engine
        self._routes = routes
        self.client = RPCClient(context.token, dial=context.links.dial, clock=context.clock)
        self._joining = Tasks(context.on_fatal)
        self.known = KnownTargets()
        self.callers: dict[FrameConnection, None] = {}
        self.calls: dict[str, Call] = {
            READ_PATH: Call(self.read),
            WRITE_PATH: Call(self.write_item),
            FORWARDED_PATH: Call(self.write_forwarded),
            KNOCK_PATH: Call(self.knocked, logging.DEBUG),
        }

    def routes(self) -> Sequence[Route]:
        return (
            *self._routes,
            *status.ROUTES,
            metrics.ROUTE,
            links.ROUTE,
            *described.ROUTES,
            Route("/static/([^/]+)", AssetHandler, PUBLIC),
            Route(FEED_PATH, FeedHandler, INTERNAL),
            Route(CALLS_PATH, CallsHandler, INTERNAL),
            *(
                Route(path, BatchHandler, INTERNAL, {"call": one})
                for path, one in self.calls.items()
            ),
        )

    async def start(self) -> None:
        """Open the log, take part in the group."""
        config, node = self.context.config, self.context.node
        is_whole = await self.engine.open()
        self.replica = self.engine.part(
            Wiring(
                node,
                [peer for peer in config.group(node.role) if peer.name != node.name],
                config.replication,
                token=self.context.token,
                dial=self.context.links.dial,
                run=self.context.run,
                clock=self.context.clock,
                forward=self._forward,
                knock=self._knock,
                on_commit=self.committed,
                on_install=self.installed,
                on_fatal=self.context.on_fatal,
            )
        )
        if is_whole:
            await self._join()
        else:
            self._joining.spawn(self._check())

    async def _check(self) -> None:
        """Take part once the log is known to be whole; until then this node answers no read."""
        await self.engine.check()
        await self._join()

    async def _join(self) -> None:
        await self.replica.start()

    def committed(self, entries: Sequence[Entry]) -> None:
        """Hear of entries that are committed here now, behind all that came before."""

    async def installed(self) -> None:
        """Hear of another committed state: a snapshot's, or that with which the log was opened."""

    @property
    def reader(self) -> R:
        return self.engine.reader

    async def stop(self) -> None:
        for connection in self.callers:
            connection.close()
        await self._joining.close()
        await self.replica.stop()
        await self.engine.close()
        self.client.close()
        self.context.links.close()

    def ready(self) -> None:
        """Raise Unavailable while this node may not answer reads."""
        self.replica.reads.index(frozenset())

    def status(self) -> dict[str, Any]:
        return self.replica.status()

    def measure(self, figures: Figures) -> None:
        group, queue = self.context.node.role, self.replica.queue
        tell_replica(figures, self.status(), len(self.context.config.group(group)))
        figures.counter("bazar_batches", queue.batches, group=group)
        figures.counter("bazar_batch_operations", queue.operations, group=group)
        tell_disk(figures, group, self.replica.disk.spent)
        tell_client(figures, self.client)

    # --- the calls between nodes, one item each --------------------------------------------------

    @abstractmethod
    async def read(self, item: dict[str, Any]) -> Answer:
        """Answer one read, linearizably. Raises its refusal, or Unavailable."""

    async def write_item(self, item: dict[str, Any]) -> Answer:
        """Write at the primary: any replica takes any write (R7)."""
        return await self.write(writes.read(self.writes, item))

    async def write_forwarded(self, item: dict[str, Any]) -> Answer:
        """Write what another replica passed on: one hop at the most (R7)."""
        return await self._write(writes.read(self.writes, item), may_forward=False)

    async def write(self, operation: Operation) -> Answer:
        """Write an operation that is known to be one."""
        return await self._write(operation, may_forward=True)

    async def knocked(self, item: dict[str, Any]) -> Answer:
        """Tell another node of the group under which arbiter this one is (A3)."""
        return self.replica.knocked(item)

    async def _knock(self, node: NodeConfig, item: Answer) -> Answer:
        answer: Answer = await self.client.submit(node, KNOCK_PATH, item, KNOCK_S)
        return answer

    async def _write(self, operation: Operation, may_forward: bool) -> Answer:
        timeout_s = self.context.config.pool.write_attempt_s
        return await self.replica.write(operation, timeout_s, may_forward=may_forward)

    async def _forward(self, leader: NodeConfig, operation: Operation) -> Answer:
        timeout_s, clock = self.context.config.pool.write_attempt_s, self.context.clock
        asked_by_client = deadlines.current.get() == inf
        submit = self.client.submit
        try:
            with deadlines.bounded(timeout_s, clock()) as until:
                answer: Answer = await submit(leader, FORWARDED_PATH, operation, timeout_s)
        except ShuttingDown as error:  # the leader leaves, not we
            raise Unavailable(str(error)) from error
        except Indeterminate:
            if asked_by_client:  # who is told that the outcome is unknown (R9)
                await asyncio.sleep(until - clock())
            raise
        return answer
