"""One process's event loop: virtual time on the machine's own clock; first in, first out as in
asyncio.

A turn does what `BaseEventLoop._run_once` does: what has arrived, timers that are due, then the
handles that were ready at its beginning. Turns are events of the world. Between two handles of a
turn other processes may run, as the kernel may take the processor from a process at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, copy_context
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Any

from tests.world.world import Killed, Process

if TYPE_CHECKING:
    from tests.world.network import Network

SLICED = 0.1  # how often others may run between two handles of a turn
KEPT_TASKS = 200
SOON_S = 1e-6  # a timer is never early, however clocks are rounded


class Handle:
    """A callback to be called, like `asyncio.Handle`, but with less in it."""

    __slots__ = ("_when", "args", "callback", "context")

    def __init__(
        self,
        callback: Callable[..., Any] | None,
        args: tuple[Any, ...],
        context: Context | None,
        when: float = 0.0,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self._when = when

    def cancel(self) -> None:
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        return self.callback is None

    def when(self) -> float:
        return self._when


class NodeLoop(asyncio.AbstractEventLoop):
    """The loop of one process. There are no real threads, sockets or signals: to use what is not
    simulated is an error, as it is in the base class."""

    network: Network

    def __init__(self, process: Process) -> None:
        self.process = process
        self.world = process.world
        self.dead = False
        self._tasks: list[asyncio.Task[Any]] = []
        # Kept, or the garbage collector would run the `finally` of a killed process at some time.
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._arrived: deque[Handle] = deque()
        self._outside = Context()
        """The context of callbacks from outside: not that of the step which the world is in."""
        self._most_tasks = KEPT_TASKS
        self._number = 0
        self._left = 0  # handles that remain of the turn under way
        self._planned = inf
        self._plans = 0
        self._in_turn = False
        self._slices = self.world.tape("steps").random

    # --- what asyncio asks -----------------------------------------------------------------------

    def time(self) -> float:
        return self.process.time()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self.dead

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, context)
        if not self.dead:
            self._ready.append(handle)
            if not self._in_turn:
                self._plan()
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, context, when)
        if not self.dead:
            self._number += 1
            heappush(self._timers, (when, self._number, handle))
            if not self._in_turn:
                self._plan()
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: object = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name="task", context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.append(task)
        if len(self._tasks) > self._most_tasks:
            self._tasks = [task for task in self._tasks if not task.done() or _unheard(task)]
            self._most_tasks = max(KEPT_TASKS, 2 * len(self._tasks))
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: None, function: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run `function` a little later, as in a thread: this loop goes on while the function is in
        a system call."""
        done = self.create_future()
        self.world.after(self.process.step_takes(), self.process, self._job, done, function, args)
        return done

    def _job(
        self, done: asyncio.Future[Any], function: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        if done.cancelled():
            return  # it died before its thread began
        world, process = self.world, self.process
        current, world.current = world.current, process
        process.in_thread = True
        try:
            result = Context().run(function, *args)
        except Killed:
            return
        except Exception as error:
            self.post(resolve, done, None, error)
        else:
            self.post(resolve, done, result, None)
        finally:
            world.current = current
            process.in_thread = False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self.world.unforeseen(
                self.process.name, context.get("exception") or context.get("message")
            )

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None) -> Any:  # type: ignore[override]
        return await self.network.dial(self.process, factory, port)

    async def create_server(self, factory: Any, host: Any = None, port: Any = None) -> Any:  # type: ignore[override]
        return self.network.listen(self.process, factory, port)

    # --- what the world does ---------------------------------------------------------------------

    def post(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> None:
        """Have `callback` called in the next turn, because something has arrived."""
        if not self.dead:
            self._arrived.append(Handle(callback, args, context or self._outside))
            if not self._in_turn:
                self._plan()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Begin a task from outside the loop."""
        self.post(lambda: self.create_task(work()))

    def _plan(self) -> None:
        world, late_s = self.world, 0.0
        if self._ready or self._arrived:
            at = world.now + self.process.step_takes()
        else:
            timers = self._timers
            while timers and timers[0][2].callback is None:
                heappop(timers)
            if not timers:
                return
            at = max(world.now, self.process.world_time(timers[0][0])) + SOON_S
            late_s = self.process.step_takes()
        if at < self._planned:
            self._planned = at
            self._plans += 1
            world.due(at + late_s, self.process, self._turn, self._plans)

    def _turn(self, plan: int) -> None:
        if plan != self._plans:
            return  # an earlier turn is planned
        self._planned = inf
        world, ready = self.world, self._ready
        if not self._left:
            arrived = self._arrived
            while arrived:
                ready.append(arrived.popleft())
            now, timers = self.time() + 1e-9, self._timers
            while timers and timers[0][0] <= now:
                ready.append(heappop(timers)[2])
            self._left = len(ready)
        self._in_turn = True
        events._set_running_loop(self)
        current, world.current = world.current, self.process
        try:
            while self._left and not self.dead:
                self._left -= 1
                handle = ready.popleft()
                if handle.callback is None:
                    continue
                try:
                    handle.context.run(handle.callback, *handle.args)
                except Killed:
                    return
                except Exception as error:
                    self.call_exception_handler({"exception": error})
                if self._slices() >= 1.0 - SLICED:
                    break
        finally:
            events._set_running_loop(None)
            world.current = current
            self._in_turn = False
        if not self.dead:
            self._plan()

    def kill(self) -> None:
        """Let nothing of the process run any more, `finally` included."""
        self.dead = True
        self._ready.clear()
        self._timers.clear()
        self._arrived.clear()
        self._left = 0

    def dispose(self) -> None:
        """Unwind what is suspended, when the run is over. First report the failures that no code
        has read, unless a failure of the world has kept it from that: asyncio reports them only
        when the garbage collector finds them."""
        for task in self._tasks:
            if not self.dead and self.world.failure is None and _unheard(task):
                self.call_exception_handler({"exception": task.exception()})
        self.kill()
        events._set_running_loop(self)
        try:
            with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
                for task in self._tasks:
                    with contextlib.suppress(BaseException):  # it belongs to a dead process
                        if not task.done():
                            task.get_coro().close()  # it has never begun
        finally:
            events._set_running_loop(None)
        self._tasks.clear()

    def waits(self) -> list[str]:
        """Return which task waits for what, for a run that makes no progress."""
        return [
            f"{self.process.name}: {' > '.join(_frames(task.get_coro()))}"
            for task in self._tasks
            if not task.done()
        ]


def _unheard(task: asyncio.Task[Any]) -> bool:
    """Return whether a task has failed and no code has read its error."""
    return bool(task._log_traceback)


def _frames(waiting: Any) -> Iterator[str]:
    """Yield where a coroutine is, from its own code to what it waits for in the end."""
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "ag_frame", None)
        if frame is None:
            return
        yield f"{frame.f_code.co_qualname}:{frame.f_lineno}"
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "ag_await", None)


def resolve(done: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    """Settle a future, unless its waiter has given up."""
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)
