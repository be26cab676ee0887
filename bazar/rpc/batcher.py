"""Batching: items for one kind of call travel together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from bazar.errors import BazarError, Indeterminate, Unavailable
from bazar.futures import resolve

MAX_BATCH_ITEMS = 128
MAX_WAITING_ITEMS = 4096
SLOW_S = 0.05  # most calls take less; one that waits for a lease to end takes a second
GATHER = 1 / 8  # of what the last call took: so long those that it has answered may ask again
MAX_SLOW_CALLS = 32


@dataclass(slots=True, eq=False)
class _Waiting:
    item: Any
    timeout_s: float
    done: asyncio.Future[Any] = field(repr=False)


class Batcher:
    """A queue of items for one kind of call. While a call is under way, the items that arrive wait,
    and are sent together as the next call. An item that finds no call under way is sent at once;
    but those that the last call has answered tend to ask again together, and the first of them
    waits a little for the others: else it would go alone, and they would wait for it.

    `call` takes (items, timeout in seconds) and returns one result or BazarError per item, or
    raises for all of them. A call takes as long as its slowest item; after `slow_s` no further item
    waits for it.
    """

    def __init__(
        self,
        call: Callable[[list[Any], float], Coroutine[Any, Any, Sequence[Any]]],
        slow_s: float = SLOW_S,
    ) -> None:
        self.calls, self.items = 0, 0
        """How many calls were sent, and how many items with them."""
        self._call = call
        self._slow_s = slow_s
        self._waiting: deque[_Waiting] = deque()
        self._lane: asyncio.Task[None] | None = None
        """The task that sends one call after the other."""
        self._calling = False
        """Whether its call is under way."""
        self._slow = 0
        """How many slow calls are still under way beside it."""
        self._expected = 1
        """How many wait if all that the last call has answered ask again."""
        self._gather_s = 0.0
        """How long to wait for them."""
        self._gathered: asyncio.Future[None] | None = None
        """Has its result once the last wait for them was over."""

    @property
    def gathers(self) -> bool:
        """Whether items wait here for others, and for no call that is under way."""
        return bool(self._waiting) and self._lane is not None and not self._calling

    async def submit(self, item: Any, timeout_s: float) -> Any:
        """Return the item's result. Raises what `call` raised; Unavailable if the item was not sent
        in time; Indeterminate if it was sent and no answer came in time."""
        if len(self._waiting) >= MAX_WAITING_ITEMS:
            raise Unavailable(f"{MAX_WAITING_ITEMS} calls wait already")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(item, timeout_s, loop.create_future())
        self._waiting.append(waiting)
        if self._gathered is not None and len(self._waiting) >= self._expected:
            resolve(self._gathered, None)
        self._go_on()
        timer = loop.call_later(timeout_s, self._is_late, waiting)
        try:
            return await waiting.done
        finally:
            timer.cancel()

    def _is_late(self, waiting: _Waiting) -> None:
        error: BazarError = Indeterminate(f"no answer in {waiting.timeout_s} s")
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            error = Unavailable(f"the call could not be sent in {waiting.timeout_s} s")
        resolve(waiting.done, error)

    def _go_on(self) -> None:
        if self._waiting and self._lane is None and self._slow < MAX_SLOW_CALLS:
            # Of no request's context: it works for many.
            self._lane = asyncio.create_task(self._drain(), context=Context())

    async def _drain(self) -> None:
        lane = asyncio.current_task()
        loop = asyncio.get_running_loop()
        try:
            while self._waiting and self._lane is lane:
                await self._gather()
                count = min(len(self._waiting), MAX_BATCH_ITEMS)
                batch = [self._waiting.popleft() for _ in range(count)]
                timer = loop.call_later(self._slow_s, self._leave_behind)
                began = loop.time()
                self._calling = True
                try:
                    await self._send(batch)
                finally:
                    timer.cancel()
                    if self._lane is lane:
                        self._calling = False
                self._expected = min(len(self._waiting) + count, MAX_BATCH_ITEMS)
                self._gather_s = GATHER * min(loop.time() - began, self._slow_s)
        finally:
            if self._lane is lane:
                self._lane = None
            else:
                self._slow -= 1
            # An unexpected error in a call ends this task; the items that wait go on in a new one.
            self._go_on()

    async def _gather(self) -> None:
        """Wait a little for as many items as are expected."""
        if len(self._waiting) >= self._expected:
            return
        loop = asyncio.get_running_loop()
        self._gathered = loop.create_future()
        timer = loop.call_later(self._gather_s, resolve, self._gathered, None)
        try:
            await self._gathered
        finally:
            timer.cancel()

    def _leave_behind(self) -> None:
        """Let new items go on without the call under way, which takes long."""
        self._lane, self._calling = None, False
        self._slow += 1
        self._go_on()

    async def _send(self, batch: list[_Waiting]) -> None:
        if not batch:  # while they waited for others they were too late
            return
        results: Sequence[Any]
        self.calls += 1
        self.items += len(batch)
        try:
            timeout_s = max(one.timeout_s for one in batch)
            results = await self._call([one.item for one in batch], timeout_s)
        except BazarError as error:
            results = [error] * len(batch)
        except BaseException:
            results = [Indeterminate("the call was interrupted")] * len(batch)
            raise
        finally:
            for one, result in zip(batch, results, strict=True):
                resolve(one.done, result)
