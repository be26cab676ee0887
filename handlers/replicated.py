"""What catalog and order have in common: a replica over its store, and the calls between nodes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from bazar.app import INTERNAL, MAX_INTERNAL_BODY_BYTES, Context, Route
from bazar.client import Client, error_body
from bazar.config import NodeConfig
from bazar.errors import BadRequest, BazarError
from bazar.replication.arbiter import FileArbiter, hold_alone
from bazar.replication.feed import FEED_PATH
from bazar.replication.node import Replica
from bazar.replication.store import Answer, Operation
from handlers import status
from handlers.base import Handler
from handlers.feed import FeedHandler
from storage.log import Model, ReplicatedStore

READ_PATH = "/read"
WRITE_PATH = "/write"
FORWARDED_PATH = "/write/forwarded"


class ReplicatedService:
    """A node of a replicated role. Subclasses know what may be read and written."""

    prefix: str
    max_body_bytes = MAX_INTERNAL_BODY_BYTES
    model: Model
    store: ReplicatedStore
    replica: Replica

    def __init__(self, context: Context) -> None:
        self.context = context
        self.client = Client(context.token)

    def routes(self) -> Sequence[Route]:
        return (
            *status.ROUTES,
            Route(FEED_PATH, FeedHandler, INTERNAL),
            Route(READ_PATH, BatchHandler, INTERNAL, {"method": self.read}),
            Route(WRITE_PATH, BatchHandler, INTERNAL, {"method": self.write}),
            Route(FORWARDED_PATH, BatchHandler, INTERNAL, {"method": self.write_forwarded}),
        )

    async def start(self) -> None:
        """Open the file, take part in the group."""
        config, node = self.context.config, self.context.node
        self._alone = hold_alone(config.data_dir / f"{node.name}.pid")
        self.store = await ReplicatedStore.open(
            config.data_dir / f"{node.name}.db", self.model, config.replication.log_entries
        )
        self.replica = Replica(
            node,
            [peer for peer in config.group(node.role) if peer.name != node.name],
            self.store,
            FileArbiter(config.data_dir, node.role),
            config.replication,
            token=self.context.token,
            run=self.context.run,
            clock=self.context.clock,
            forward=self._forward,
            on_fatal=self.context.on_fatal,
        )
        self.replica.start()

    async def stop(self) -> None:
        await self.replica.stop()
        await self.store.close()
        self.client.close()
        os.close(self._alone)

    def ready(self) -> None:
        """Raises Unavailable while this node may not answer reads."""
        self.replica.readable(frozenset())

    def status(self) -> dict[str, Any]:
        return self.replica.status()

    # --- the calls between nodes, one item each --------------------------------------------------

    async def read(self, item: dict[str, Any]) -> Answer:
        """Answer one read, linearizably. Raises its refusal, or Unavailable."""
        raise NotImplementedError

    async def write(self, operation: Operation) -> Answer:
        """Any replica takes any write (R7)."""
        return await self.replica.write(operation, self.context.config.pool.write_attempt_s)

    async def write_forwarded(self, operation: Operation) -> Answer:
        """A write that another replica passed on: one hop at the most (R7)."""
        timeout_s = self.context.config.pool.write_attempt_s
        return await self.replica.write(operation, timeout_s, may_forward=False)

    async def _forward(self, leader: NodeConfig, operation: Operation) -> Answer:
        timeout_s = self.context.config.pool.write_attempt_s
        answer: Answer = await self.client.submit(leader, FORWARDED_PATH, operation, timeout_s)
        return answer


class BatchHandler(Handler):
    """Takes a list of items and answers each by itself: `{"answer": …}` or `{"error": …}`."""

    max_body_bytes = MAX_INTERNAL_BODY_BYTES

    def initialize(self, service: Any, access: str, method: Any = None) -> None:
        super().initialize(service, access)
        self.method = method

    async def post(self) -> None:
        items = self.json_body().get("items")
        if not isinstance(items, list):
            raise BadRequest("items: must be a list")
        self.note(f"{len(items)} items")
        self.answer({"results": await asyncio.gather(*(self._one(item) for item in items))})

    async def _one(self, item: Any) -> dict[str, Any]:
        try:
            return {"answer": await self.method(item)}
        except BazarError as error:
            return {"error": error_body(error)}
