"""What catalog and order have in common: a replica over its store, and the calls between nodes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Any

from bazar.app import INTERNAL, MAX_INTERNAL_BODY_BYTES, Context, Route
from bazar.client import CALLS_PATH, Client
from bazar.config import NodeConfig
from bazar.errors import ConfigError, Fatal, Leaving, Unavailable
from bazar.frames import Connection
from bazar.replication.arbiter import FileArbiter, hold_alone
from bazar.replication.feed import FEED_PATH
from bazar.replication.messages import Member
from bazar.replication.node import Replica
from bazar.replication.store import Answer, Operation
from bazar.tasks import Tasks
from handlers import status
from handlers.calls import BatchHandler, Call, CallsHandler
from handlers.feed import FeedHandler
from storage.compare import damage
from storage.damage import Damaged, set_aside
from storage.database import rewrite_wal
from storage.log import Model, ReplicatedStore

log = logging.getLogger(__name__)

CHECK_S = 5.0  # a start waits so long for the check of its file; a large one is checked beside it

READ_PATH = "/read"
WRITE_PATH = "/write"
SALES_PATH = "/sales"
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
        self._path = context.config.data_dir / f"{context.node.name}.db"
        self._arbiter = FileArbiter(context.config.data_dir, context.node.role)
        self._joining = Tasks(context.on_fatal)
        self.callers: set[Connection] = set()
        self.calls: dict[str, Call] = {
            READ_PATH: Call(self.read),
            WRITE_PATH: Call(self.write),
            FORWARDED_PATH: Call(self.write_forwarded),
        }

    def routes(self) -> Sequence[Route]:
        return (
            *status.ROUTES,
            Route(FEED_PATH, FeedHandler, INTERNAL),
            Route(CALLS_PATH, CallsHandler, INTERNAL),
            *(
                Route(path, BatchHandler, INTERNAL, {"call": one})
                for path, one in self.calls.items()
            ),
        )

    async def start(self) -> None:
        """Check and open the file, take part in the group."""
        config, node = self.context.config, self.context.node
        self._alone = hold_alone(config.data_dir / f"{node.name}.pid")
        await asyncio.to_thread(rewrite_wal, self._path)
        check = asyncio.create_task(asyncio.to_thread(damage, self._path, self.model))
        await asyncio.wait([check], timeout=CHECK_S)
        if check.done() and (found := check.result()) is not None:
            self._set_aside(found)
        try:
            self.store = await ReplicatedStore.open(
                self._path, self.model, config.replication.log_entries
            )
        except Damaged as error:
            self._set_aside(str(error))
            raise
        self._say_if_none_can_lead()
        self.replica = Replica(
            node,
            [peer for peer in config.group(node.role) if peer.name != node.name],
            self.store,
            self._arbiter,
            config.replication,
            token=self.context.token,
            run=self.context.run,
            clock=self.context.clock,
            forward=self._forward,
            on_fatal=self.context.on_fatal,
        )
        if check.done():
            self.replica.start()
        else:
            self._joining.spawn(self._join(check))

    async def _join(self, check: asyncio.Task[str | None]) -> None:
        """Take part once the file is known to be whole; until then this node answers no read."""
        found = await check
        if found is not None:
            self._set_aside(found)
            raise Fatal(f"{self.context.node.name} starts again, empty")
        self.replica.start()

    def _set_aside(self, found: str) -> None:
        """The file is damaged: without it this node is nobody's member, and its primary fills it
        again (J3). Raises ConfigError where that would begin a new shop."""
        if self._arbiter.read() is None:
            raise ConfigError(
                f"{self._path}: is damaged ({found}), and its group's membership is missing:"
                " restore the .members file, or move the database away to begin anew"
            )
        log.error(
            "%s: is damaged: %s. It is kept as %s; %s starts empty and fills itself from its"
            " primary",
            *(self._path, found, set_aside(self._path), self.context.node.name),
        )

    def _say_if_none_can_lead(self) -> None:
        """Only a member with its own file may lead (T1): say so if the last such file is gone."""
        membership = self._arbiter.read()
        node = self.context.node
        if membership is None or Member(node.name, self.store.store_id) in membership.members:
            return
        if {member.node for member in membership.members} == {node.name}:
            log.critical(
                "%s: the file that was the only one in sync is gone, and no %s replica can lead."
                " Put it back, or go on with what another has: python -m bazar promote NODE",
                *(node.name, node.role),
            )

    async def stop(self) -> None:
        for connection in self.callers:
            connection.close()
        await self._joining.close()
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
        """Any replica takes any write (R7). With `tell` the answer says how it went."""
        return await self._write(operation, may_forward=True)

    async def write_forwarded(self, operation: Operation) -> Answer:
        """A write that another replica passed on: one hop at the most (R7)."""
        return await self._write(operation, may_forward=False)

    async def _write(self, operation: Operation, may_forward: bool) -> Answer:
        tell = operation.get("tell", False)
        if tell:  # it is no part of what is asked
            operation = {name: value for name, value in operation.items() if name != "tell"}
        timeout_s = self.context.config.pool.write_attempt_s
        return await self.replica.write(operation, timeout_s, may_forward=may_forward, tell=tell)

    async def _forward(self, leader: NodeConfig, operation: Operation) -> Answer:
        timeout_s = self.context.config.pool.write_attempt_s
        try:
            answer: Answer = await self.client.submit(leader, FORWARDED_PATH, operation, timeout_s)
        except Leaving as error:  # the leader leaves, not we
            raise Unavailable(str(error)) from error
        return answer
