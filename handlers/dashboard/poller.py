"""The cluster as the dashboard's watchers see it. Every node is asked again and again while there
is a watcher, and changes are described in words."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from bazar.config import NodeConfig
from bazar.errors import BazarError
from bazar.node.server import Context
from bazar.node.status import STATUS_PATH, Status
from bazar.rpc.client import RPCClient
from handlers.dashboard.snapshot import counts, happenings, rates, view

POLL_S = 0.2
ASK_S = 0.25  # a slower node is shown as one that does not answer
MAX_WATCHERS = 32
MAX_BEHIND = 4  # views that wait for a slow watcher; it misses further ones
MAX_EVENTS = 60

Views = asyncio.Queue[dict[str, Any]]


def send_away(queue: Views) -> None:
    """Wake the watcher that waits for views: an empty view says that it is the last."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait({})


class Watch:
    """The poller that all watchers of this front end share."""

    def __init__(self, context: Context, client: RPCClient) -> None:
        self._context = context
        self._client = client
        self._watchers: dict[Views, None] = {}  # in the order they came
        self._task: asyncio.Task[None] | None = None
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._noted: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)  # not shown yet

    def join(self) -> Views:
        """Return the queue of views for a new watcher. If there are too many, the oldest watcher is
        sent away by an empty view, and may come back."""
        if len(self._watchers) >= MAX_WATCHERS:
            longest = next(iter(self._watchers))
            self._watchers.pop(longest)
            send_away(longest)
        queue: Views = asyncio.Queue(MAX_BEHIND)
        self._watchers[queue] = None
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        queue.put_nowait({"events": list(self._events)})
        return queue

    def leave(self, queue: Views) -> None:
        self._watchers.pop(queue, None)
        if not self._watchers:
            self.close()

    def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def note(self, text: str, rule: str = "", kind: str = "") -> None:
        """Send a text to all watchers, with the next view."""
        self._noted.append({"at": time.time(), "text": text, "rule": rule, "kind": kind})

    async def _run(self) -> None:
        nodes = self._context.config.nodes
        before: dict[str, Any] | None = None
        counted: dict[str, Any] | None = None
        at = 0.0
        while True:
            began = self._context.clock()
            statuses = await asyncio.gather(*(self._ask(node) for node in nodes.values()))
            seen = view(nodes, dict(zip(nodes, statuses, strict=True)), before)
            counting = counts(statuses)
            if before is not None and counted is not None:
                for event in happenings(before, seen, counted, counting):
                    self.note(**event)
                seen["rates"] = rates(counted, counting, began - at)
            events = list(self._noted)
            self._noted.clear()
            self._events.extend(events)
            for queue in self._watchers:
                if not queue.full():
                    queue.put_nowait({**seen, "events": events})
            before, counted, at = seen, counting, began
            await asyncio.sleep(max(POLL_S - (self._context.clock() - began), 0.05))

    async def _ask(self, node: NodeConfig) -> Status | None:
        try:
            status: Status = await self._client.call(node, STATUS_PATH, None, ASK_S)
        except BazarError:
            return None
        return status
