"""The cluster as those see it who watch: every node is asked again and again, as long as somebody
does, and what has changed since is told in words."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from bazar.app import Context
from bazar.client import Client
from bazar.config import NodeConfig
from bazar.errors import BazarError, Unavailable
from handlers.pages.view import Status, counts, happenings, rates, view

POLL_S = 0.25
ASK_S = 0.5
MAX_WATCHERS = 32
MAX_BEHIND = 4  # views that a slow watcher may have before it misses some
MAX_EVENTS = 60


class Watch:
    """One for all who watch at this front end."""

    def __init__(self, context: Context, client: Client) -> None:
        self._context = context
        self._client = client
        self._watchers: set[asyncio.Queue[dict[str, Any]]] = set()
        self._task: asyncio.Task[None] | None = None
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)

    def join(self) -> asyncio.Queue[dict[str, Any]]:
        """Where the views will come. Raises Unavailable if too many watch."""
        if len(self._watchers) >= MAX_WATCHERS:
            raise Unavailable(f"{MAX_WATCHERS} watch already")
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_BEHIND)
        self._watchers.add(queue)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        queue.put_nowait({"events": list(self._events)})
        return queue

    def leave(self, queue: asyncio.Queue[dict[str, Any]]) -> None:
        self._watchers.discard(queue)
        if not self._watchers:
            self.close()

    def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _run(self) -> None:
        nodes = self._context.config.nodes
        before: dict[str, Any] | None = None
        counted: dict[str, Any] | None = None
        at = 0.0
        while True:
            began = self._context.clock()
            statuses = await asyncio.gather(*(self._ask(node) for node in nodes.values()))
            seen = view(nodes, dict(zip(nodes, statuses, strict=True)))
            counting = counts(statuses)
            told: Sequence[dict[str, str]] = ()
            if before is not None and counted is not None:
                told = happenings(before, seen, counted, counting)
                seen["rates"] = rates(counted, counting, began - at)
            events = [{"at": time.time(), **event} for event in told]
            self._events.extend(events)
            for queue in self._watchers:
                if not queue.full():
                    queue.put_nowait({**seen, "events": events})
            before, counted, at = seen, counting, began
            await asyncio.sleep(max(POLL_S - (self._context.clock() - began), 0.05))

    async def _ask(self, node: NodeConfig) -> Status | None:
        try:
            status: Status = await self._client.call(node, "/status", None, ASK_S)
        except BazarError:
            return None
        return status
