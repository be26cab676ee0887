"""The event queue of a world, and the processes that live in it.

Everything that happens is an event `(time, number, process, function, arguments)`. An event of a
dead process is void. An event of a process that is paused, or busy in a system call, waits in its
inbox until the process goes on. A crash and a SIGSTOP are no more than that.
"""

from __future__ import annotations

from asyncio import current_task, events, tasks
from collections.abc import Callable, Container, Mapping
from heapq import heappop, heappush
from typing import Any

from tests.world.tape import Tape

MOST_EVENTS = 400_000
DEEPEST = 3
BLINK_S = 0.05  # how often a paused process that is in a system call is checked


class Violation(AssertionError):
    """Something happened that is promised never to happen. Its text begins with the promise's
    name and a colon."""


class Excused(Exception):
    """The world has left the conditions under which promises hold: this run has nothing more to
    show."""


class InCircles(RuntimeError):
    """There are so many events that the run will hardly end."""


class Killed(BaseException):
    """The process has died in the middle of a step: nothing more of it runs, `except Exception`
    included. Its `finally` has no effect: a dead process reaches nothing."""


class World:
    """Time, chance and order."""

    def __init__(self, seed: object, silent: Mapping[str, Container[int]] | None = None) -> None:
        self.seed = seed
        self._silent = silent
        self.tapes: dict[str, Tape] = {}
        self.now = 0.0
        self.events = 0
        self.processes = 0
        self.failure: BaseException | None = None
        self.error: str = ""
        """An exception that no code handled, and that is no violation."""
        self.current: Process | None = None
        self.depth = 0
        """How many processes are held in the middle of a step. The last one goes on first:
        more than a few would hold the first for ever."""
        self._heap: list[tuple[float, int, Process | None, Callable[..., None], Any]] = []
        self._number = 0

    def tape(self, name: str) -> Tape:
        """Return the stream of this name. What is drawn from one leaves the others as they are."""
        if name not in self.tapes:
            silent = None if self._silent is None else self._silent.get(name, ())
            self.tapes[name] = Tape((self.seed, name), silent)
        return self.tapes[name]

    # --- events ----------------------------------------------------------------------------------

    def after(
        self, delay_s: float, process: Process | None, function: Callable[..., None], *args: Any
    ) -> None:
        """Have `function` called after this delay."""
        self._number = number = self._number + 1
        heappush(self._heap, (self.now + delay_s, number, process, function, args))

    def due(
        self, time_s: float, process: Process | None, function: Callable[..., None], *args: Any
    ) -> None:
        """Have `function` called at this time; of two at the same time, the one that was asked for
        first."""
        self._number = number = self._number + 1
        heappush(self._heap, (time_s, number, process, function, args))

    def run(self, until: float) -> None:
        """Process all events before `until`. Raises the first Violation."""
        self._count()  # a process that only waits inside system calls has no events
        heap, pop = self._heap, heappop
        while heap and heap[0][0] <= until:
            at, _, process, function, args = pop(heap)
            if at > self.now:
                self.now = at
            if process is not None and (process.paused or process.busy or not process.alive):
                if process.alive:
                    process.inbox.append((function, args))
                continue
            self._count()
            function(*args)
            if self.failure is not None:
                raise self.failure
        self.now = max(self.now, until)

    def _count(self) -> None:
        self.events += 1
        if self.events > MOST_EVENTS and self.failure is None:
            self.failure = InCircles(f"more than {MOST_EVENTS} events: it runs in circles")
        if self.failure is not None:
            raise self.failure

    # --- what goes wrong -------------------------------------------------------------------------

    def violate(self, text: str) -> None:
        """Raise a Violation, and keep it: code under test may swallow exceptions."""
        failure = Violation(text)
        self.failure = self.failure or failure
        raise failure

    def guard(self, check: Callable[..., Any], *args: Any) -> Any:
        """Return what a check returns; keep the Violation, or Excused, that it raises."""
        try:
            return check(*args)
        except (Violation, Excused) as failure:
            self.failure = self.failure or failure
            raise

    def unforeseen(self, who: str, error: object) -> None:
        """Note an exception that no code has handled."""
        if not isinstance(error, Violation | Excused):  # `run` raises those
            self.error = self.error or f"{who}: {error!r}"

    def say(self, who: str, text: str) -> None:
        """Report what happens to the trace, if there is one."""


class Process:
    """One run of a program on one machine, from its start to its end."""

    def __init__(self, world: World, name: str, *, rate: float = 1.0, offset: float = 0.0) -> None:
        from tests.world.loop import NodeLoop

        self.world = world
        self.name = name
        world.processes += 1
        self.number = world.processes
        self.rate = rate
        self.offset = offset
        self.alive = True
        self.paused = False
        self.busy = False
        self.in_thread = False
        self.step_s = 0.0002
        """The longest that a step takes, most take far less."""
        self.syscall_chance = 0.0
        """How often other processes run between two system calls, or two reads of a clock."""
        self.syscall_s: tuple[float, ...] = (0.005, 0.1, 1.0)
        self.inbox: list[tuple[Callable[..., None], Any]] = []
        self.files: dict[int, Any] = {}  # descriptor -> what it is open on
        self.streams: dict[Any, None] = {}
        """Its ends of connections, as `network.Stream` has them."""
        self.at_death: list[Callable[[], None]] = []
        self.pauses = 0
        self.absences = 0
        """How often other processes have run while it was in a system call."""
        self._step = world.tape("steps").random
        self._calls = world.tape("calls")
        self.loop = NodeLoop(self)  # type: ignore[abstract]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    # --- time ------------------------------------------------------------------------------------

    def time(self) -> float:
        """Return this machine's own clock: another zero and another rate than its neighbours'."""
        return self.offset + self.rate * self.world.now

    def clock(self) -> float:
        """Return the same for the program: others may have run before the program gets it."""
        if not self.syscall_chance:
            return self.offset + self.rate * self.world.now
        self.elsewhere()
        now = self.offset + self.rate * self.world.now
        self.elsewhere()
        return now

    def world_time(self, mine: float) -> float:
        return (mine - self.offset) / self.rate

    def step_takes(self) -> float:
        return 0.00002 + self.step_s * self._step() ** 4

    def elsewhere(self, for_s: float | None = None) -> None:
        """Be in a system call: sometimes other processes run meanwhile. Raises Killed if this
        process dies before the call returns."""
        world = self.world
        if not self.alive:
            raise Killed
        if world.depth >= DEEPEST:
            return
        if for_s is None:
            if world.depth or not self._calls.chance(self.syscall_chance):
                return
            for_s = self._calls.choice(self.syscall_s) * self._calls.random()
        self.absences += 1
        loop, current, busy = events._get_running_loop(), world.current, self.busy
        beside, self.in_thread = self.in_thread, False  # then its own loop runs meanwhile, too
        task = None if loop is None else current_task(loop)
        if task is not None and loop is not None:
            tasks._leave_task(loop, task)
        events._set_running_loop(None)
        world.current = None
        self.busy = busy or not beside
        world.depth += 1
        try:
            world.run(world.now + for_s)
            while self.paused and self.alive:
                world.run(world.now + BLINK_S)
        finally:
            world.depth -= 1
            self.busy, self.in_thread, world.current = busy, beside, current
            events._set_running_loop(loop)
            if task is not None and loop is not None:
                tasks._enter_task(loop, task)
        if not self.alive:
            raise Killed
        if not busy:
            self._go_on()

    # --- what happens to it ----------------------------------------------------------------------

    def pause(self, for_s: float) -> None:
        """SIGSTOP, and SIGCONT `for_s` later."""
        if self.paused or not self.alive:
            return
        self.world.say(self.name, f"pauses for {for_s:.2f} s")
        self.paused = True
        self.pauses += 1
        self.world.after(for_s, None, self._end_pause, self.pauses)

    def _end_pause(self, number: int) -> None:
        if number == self.pauses:  # else a later pause has replaced this one
            self.resume()

    def resume(self) -> None:
        if self.alive and self.paused:
            self.world.say(self.name, "goes on")
            self.paused = False
            if not self.busy:
                self._go_on()

    def _go_on(self) -> None:
        waiting, self.inbox = self.inbox, []
        for function, args in waiting:
            self.world.after(0.0, self, function, *args)

    def die(self, why: str) -> None:
        """End, as by SIGKILL: what was only in its memory is gone."""
        if not self.alive:
            return
        self.world.say(self.name, f"dies: {why}")
        self.alive = False
        self.inbox.clear()
        self.loop.kill()
        for last in self.at_death:
            last()
        for stream in list(self.streams):
            stream.close()

    def dispose(self) -> None:
        """Let go of what the garbage collector does not find, when the run is over."""
        self.loop.dispose()

    def exit(self, why: str) -> None:
        """End itself in the middle of a step (`os._exit`)."""
        self.die(why)
        if self.world.current is self:
            raise Killed
