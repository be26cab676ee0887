"""A replicated service as the front end uses it."""

from __future__ import annotations

from typing import Any

from bazar.cache import Cache
from bazar.config import NodeConfig
from bazar.errors import Indeterminate, Unavailable
from bazar.http.known_targets import Note
from bazar.node.server import Context
from bazar.replication.cache_subscriber import CacheSubscriber
from bazar.replication.effects import Drop, Effect, Reset
from bazar.replication.feed_client import FeedClient
from bazar.replication.store import Answer
from bazar.replication.timing import Timing
from bazar.rpc.client import RPCClient
from bazar.rpc.pool import ReplicaPool
from handlers.paths import READ_PATH


class Source:
    """One replicated service as the front end uses it: a pool to ask, and a cache that the
    service's feed keeps coherent."""

    def __init__(self, context: Context, client: RPCClient, role: str) -> None:
        config = context.config
        self.role = role
        self.activity = context.activity
        self.client = client
        self.settings = config.pool
        self.nodes = config.group(role)
        self.pool = ReplicaPool(self.nodes, config.pool, context.clock)
        leases = config.replication
        timing = Timing(leases.lease_s, leases.ack_timeout_s)
        self.subscriber = CacheSubscriber(context.node.name, context.run, timing)
        client.arbiters[role] = self._arbiter
        self.cache = Cache(self.subscriber, context.clock)
        self.feed = FeedClient(
            *(self.subscriber, self.nodes, context.token, context.clock, self._carry_out),
            dial=context.links.dial,
        )

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Drop(tags):
                self.cache.drop(tags)
            case Reset():
                self.cache.reset()

    def _arbiter(self) -> str | None:
        arbiter = self.subscriber.arbiter
        return None if arbiter is None else arbiter.digest

    async def ask(
        self,
        path: str,
        item: dict[str, Any],
        attempt_s: float,
        deadline_s: float,
        note: Note,
        begun_within_s: float | None = None,
    ) -> tuple[Answer, str]:
        """Return the answer to one item, and the replica that gave it."""

        async def attempt(node: NodeConfig) -> tuple[Answer, str]:
            note(f"Forwarding request to replica: {node.number}")
            return await self.client.submit(node, path, item, attempt_s), node.name

        together = self.client.gathers(self.nodes, path)
        return await self.pool.call(attempt, deadline_s, together, begun_within_s=begun_within_s)

    async def read(
        self, item: dict[str, Any], note: Note, path: str = READ_PATH
    ) -> tuple[Answer, str]:
        settings = self.settings
        try:
            return await self.ask(
                path, item, settings.read_attempt_s, settings.read_deadline_s, note
            )
        except Indeterminate as error:
            raise Unavailable(str(error)) from error  # a read changes nothing

    async def write(self, path: str, item: dict[str, Any], note: Note) -> tuple[Answer, str]:
        settings = self.settings
        attempt_s, deadline_s = settings.write_attempt_s, settings.write_deadline_s
        return await self.ask(path, item, attempt_s, deadline_s, note, begun_within_s=attempt_s)
