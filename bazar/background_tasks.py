"""Background tasks: a node can't go on if one of them fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from bazar.errors import BazarError

log = logging.getLogger(__name__)


class Tasks:
    """Tasks that live as long as their owner; the first failure is given to `on_fatal`."""

    def __init__(self, on_fatal: Callable[[BaseException], None]) -> None:
        self._on_fatal = on_fatal
        self._tasks: dict[asyncio.Task[None], None] = {}  # in order, which a set is not
        self._closed = False

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task, and return it."""
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Report a failure to `on_fatal`, unless one was reported or the tasks are closed."""
        if self._closed:
            return
        self._closed = True
        if not isinstance(error, BazarError):
            log.error("unexpected failure", exc_info=error)
        self._on_fatal(error)

    async def close(self) -> None:
        """Cancel the tasks that are left, and wait for their ends."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
