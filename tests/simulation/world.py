"""The simulated world: one event queue, one random stream, processes and the network between them.

Everything that happens is an event `(time, number, process, function, arguments)`. An event of a
dead process is void; one of a paused process waits in its inbox until it goes on. That is all a
crash and a SIGSTOP are.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from bazar.replication.effects import Effect
from bazar.replication.messages import Message, decode, encode

if TYPE_CHECKING:
    from tests.simulation.arbiter import Arbiter
    from tests.simulation.disk import Disk
    from tests.simulation.invariants import Truth
    from tests.simulation.profile import Profile
    from tests.simulation.trace import Trace

Reply = Callable[[int, Any], None]

REFUSED = 503
MOST_EVENTS = 100_000


class Violation(AssertionError):
    """Something happened that the protocol promises never to let happen."""


class Excused(Exception):
    """The seed has left what the protocol promises: the only whole disks did not return in time."""


class Node:
    """A name in the cluster, and what of it outlives a process: its disk."""

    def __init__(self, name: str, group: Group, disk: Disk | None, profile: Profile) -> None:
        self.name = name
        self.group = group
        self.disk = disk
        self.timing = profile.timing_of(name)
        self.rate = profile.clock_rate()
        self.process: Process | None = None
        self.runs = 0
        self.isolated = False

    def __repr__(self) -> str:
        return self.name


class Group:
    """The nodes of one replicated service, their arbiter, and what is true of their log."""

    def __init__(self, name: str, arbiter: Arbiter, truth: Truth) -> None:
        self.name = name
        self.arbiter = arbiter
        self.truth = truth
        self.replicas: list[Node] = []
        self.caches: list[Node] = []

    @property
    def nodes(self) -> list[Node]:
        return self.replicas + self.caches


class World:
    """The event queue, the random stream and the network."""

    def __init__(self, seed: int, trace: Trace | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.random = self.rng.random
        self.now = 0.0
        self.trace = trace
        self.profile: Profile
        self.groups: list[Group] = []
        self.events = 0
        self.acknowledged = 0
        self.reads = 0
        self.takeovers = 0
        self.faults_over = False
        self.start: Callable[[Node], None]
        self.aim: Callable[[Node, Effect], None] = lambda node, effect: None
        self._heap: list[tuple[float, int, Process | None, Callable[..., None], Any]] = []
        self._number = 0
        self._connections = 0

    def below(self, bound: int) -> int:
        """A random number from 0 to `bound` - 1, at a third of what `randrange` costs."""
        return int(self.random() * bound)

    def after(
        self, delay_s: float, process: Process | None, function: Callable[..., None], *args: Any
    ) -> None:
        self._number = number = self._number + 1
        heappush(self._heap, (self.now + delay_s, number, process, function, args))

    def due(
        self, time_s: float, process: Process | None, function: Callable[..., None], *args: Any
    ) -> None:
        """Exactly then: what is due at the same time happens in the order of these calls."""
        self._number = number = self._number + 1
        heappush(self._heap, (time_s, number, process, function, args))

    def run(self, until: float) -> None:
        """Let everything happen that happens before `until`."""
        heap, pop = self._heap, heappop
        while heap and heap[0][0] <= until:
            self.now, _, process, function, args = pop(heap)
            if process is not None:
                if not process.alive:
                    continue
                if process.paused:
                    process.inbox.append((function, args))
                    continue
            self.events += 1
            if self.events > MOST_EVENTS:
                raise Violation("I6: it runs in circles")
            function(*args)
        self.now = until

    def say(self, who: str, text: str) -> None:
        if self.trace is not None:
            self.trace.add(self.now, who, text)

    def tell(self, connection: Connection, who: str, to: str, message: Message, at: float) -> None:
        """For the trace: `who` has sent `to` a message that arrives `at`."""
        if self.trace is not None:
            self.trace.add(self.now, who, f"[{connection.id}] {message!r}", to, at)

    # --- the network -----------------------------------------------------------------------------

    def connect(self, client: Process, server: Node) -> None:
        """Open a connection; the client hears `opened(connection)` or `refused()`."""
        self.after(self.profile.delay(), None, self._accept, client, server)

    def _accept(self, client: Process, server: Node) -> None:
        process = server.process
        cut = client.node.isolated or server.isolated
        if process is None or cut:
            self.after(self.profile.delay(), client, client.refused)
            return
        self._connections += 1
        connection = Connection(self, self._connections, client, process)
        if client.alive:
            client.connections[connection.id] = connection
        process.connections[connection.id] = connection
        self.after(self.profile.delay(), client, client.opened, connection)
        if not client.alive:
            connection.end(client)

    def call(
        self, caller: Process | None, server: Node, method: str, args: tuple[Any, ...], reply: Reply
    ) -> None:
        """A request and its answer. Either may be lost: then nothing is heard."""
        if self.profile.loses(server):
            return
        self.after(self.profile.delay(), None, self._called, caller, server, method, args, reply)

    def _called(
        self, caller: Process | None, server: Node, method: str, args: tuple[Any, ...], reply: Reply
    ) -> None:
        process = server.process
        if process is None:
            self.after(self.profile.delay(), caller, reply, REFUSED, "connection refused")
            return

        def answer(status: int, value: Any) -> None:
            if not self.profile.loses(server):
                self.after(self.profile.delay(), caller, reply, status, value)

        if process.paused:
            # It has been reached all the same: its kernel accepts.
            process.inbox.append((getattr(process, method), (*args, answer)))
        else:
            getattr(process, method)(*args, answer)


class Connection:
    """One TCP connection: first in, first out each way, each way with its own delays.

    An end that is closed or dead processes nothing more, but what it had sent may still arrive.
    """

    def __init__(self, world: World, number: int, client: Process, server: Process) -> None:
        self.world = world
        self.id = number
        self.ends = (client, server)
        self.arrival = [0.0, 0.0]  # when the last message towards each end arrives
        self.cut = [False, False]  # nothing more arrives at this end
        self.closed = [False, False]  # this end has closed it, or noticed that it is lost
        self.wire = world.profile.encodes

    def other(self, process: Process) -> Process:
        return self.ends[process is self.ends[0]]

    def send(self, sender: Process, message: Message) -> None:
        to = 1 if sender is self.ends[0] else 0
        if self.cut[to] or self.closed[1 - to]:
            return
        world = self.world
        arrival = max(self.arrival[to], world.now + world.profile.delay())
        self.arrival[to] = arrival
        if world.trace is not None:
            world.tell(self, sender.name, self.ends[to].name, message, arrival)
        if self.wire:
            message = decode(encode(message))
        world.due(arrival, self.ends[to], self._arrive, to, message)

    def _arrive(self, to: int, message: Message) -> None:
        if not self.cut[to] and not self.closed[to]:
            self.ends[to].received(self, message)

    def end(self, process: Process, *, late_s: float | None = None) -> None:
        """One end closes, or dies. The other notices after all that was sent, or `late_s` from
        now and with what was under way lost."""
        mine = 0 if process is self.ends[0] else 1
        if self.closed[mine]:
            return
        self.closed[mine] = True
        process.connections.pop(self.id, None)
        self._notice(1 - mine, late_s)

    def lose(self, late_s: tuple[float, float]) -> None:
        """The network drops it; each end notices some time later."""
        self.cut = [True, True]
        for end in (0, 1):
            self._notice(end, late_s[end])

    def stall(self, to: int, for_s: float) -> None:
        """Nothing more gets through towards one end for a while; nothing is lost."""
        self.arrival[to] = max(self.arrival[to], self.world.now + for_s)

    def _notice(self, end: int, late_s: float | None) -> None:
        world = self.world
        if late_s is None:
            noticed_at = max(self.arrival[end], world.now + world.profile.delay())
        else:
            self.cut[end] = True
            noticed_at = world.now + late_s
        world.due(noticed_at, self.ends[end], self._noticed, end)

    def _noticed(self, end: int) -> None:
        if not self.closed[end]:
            self.closed[end] = True
            self.ends[end].connections.pop(self.id, None)
            self.ends[end].lost(self)


class Process:
    """One run of a node, from its start to its crash."""

    def __init__(self, world: World, node: Node) -> None:
        self.world = world
        self.node = node
        self.name = node.name
        node.runs += 1
        self.run = f"{node.name}#{node.runs}"
        self.timing = node.timing
        self.alive = True
        self.paused = False
        self.inbox: list[tuple[Callable[..., None], Any]] = []
        self.connections: dict[int, Connection] = {}
        self._rate = node.rate
        self._offset = world.random() * 1000.0

    def now(self) -> float:
        """This node's own clock: another zero and another rate than its neighbours'."""
        return self._offset + self._rate * self.world.now

    def say(self, text: str) -> None:
        if self.world.trace is not None:
            self.world.say(self.name, text)

    # --- what happens to it ----------------------------------------------------------------------

    def received(self, connection: Connection, message: Message) -> None:
        raise NotImplementedError

    def opened(self, connection: Connection) -> None:
        raise NotImplementedError

    def refused(self) -> None:
        raise NotImplementedError

    def lost(self, connection: Connection) -> None:
        raise NotImplementedError

    def terminate(self) -> None:
        """SIGTERM."""
        raise NotImplementedError

    def pause(self, for_s: float) -> None:
        """SIGSTOP, and SIGCONT `for_s` later."""
        self.say(f"pauses for {for_s:.2f} s")
        self.paused = True
        self.world.after(for_s, None, self.resume)

    def resume(self) -> None:
        if self.alive and self.paused:
            self.say("goes on")
            self.paused = False
            waiting, self.inbox = self.inbox, []
            for function, args in waiting:
                self.world.after(0.0, self, function, *args)

    def die(self, why: str) -> None:
        """The process is gone, and with it all that was only in its memory."""
        if not self.alive:
            return
        self.say(f"dies: {why}")
        self.alive = False
        self.inbox.clear()
        self.node.process = None
        for connection in list(self.connections.values()):
            late_s = None
            if not self.world.profile.calm and self.world.profile.chance(0.3):
                late_s = self.world.random() * self.world.profile.late_s
            connection.end(self, late_s=late_s)
