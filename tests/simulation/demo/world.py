"""A small world without chance, in which a scenario is performed and drawn.

It is the simulation's own world, with the product in it, but without random draws. A message takes
5 ms and an fsync 2 ms, unless the scenario says otherwise, so that a scenario is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from bazar.errors import BazarError
from bazar.replication.timing import Timing
from tests.simulation.demo.traced_nodes import cast
from tests.simulation.demo.words import answered, asked, said
from tests.simulation.disk import Disk
from tests.simulation.invariants import Truth
from tests.simulation.node import NodeProcess, kind_of
from tests.simulation.profile import Profile
from tests.simulation.shopworld import Group, Node, ShopWorld
from tests.simulation.trace import Trace
from tests.simulation.wire import Said
from tests.world.network import Stream
from tests.world.tape import Tape
from tests.world.world import Excused, Violation

NETWORK_S = 0.005
FSYNC_S = 0.002
LATE_S = 0.02
GAP_S = 0.2
COLUMNS = 100
REHEARSAL_S = 3.0  # until all nodes have joined, and every wait of a start is over


class Story(Trace):
    """The events that the audience sees."""

    digits = 0
    width = COLUMNS
    late_s = LATE_S
    gap_s = GAP_S
    zero_s = 0.0

    def add(
        self, time_s: float, who: str, text: str, to: str | None = None, arrives_s: float = 0.0
    ) -> None:
        # Events at one time stay in their order, however floats are rounded.
        at, arrives = round(time_s - self.zero_s, 6), round(arrives_s - self.zero_s, 6)
        super().add(at, who, text, to, arrives)

    def mark(self, who: str, told_ms: float, words: str) -> None:
        """Mark the answer that `who` got at that time."""
        for index, event in enumerate(self.events):
            if event.to == who and round(1000 * event.arrives_s, 1) == told_ms:
                self.events[index] = replace(event, text=f"{event.text}  ◀\u00a0{words}")


class Calm(Profile):
    """The profile of a world in which nothing remarkable happens."""

    write_attempt_s = 1.2

    def timing_of(self, name: str) -> Timing:
        return Timing(lease_s=0.8)  # so short that a write lasts longer than the lease

    def clock_rate(self) -> float:
        return 1.0

    def delay(self) -> float:
        return NETWORK_S

    def disk_delay(self, slow: bool) -> float:
        return FSYNC_S


class Witness(Truth):
    """A truth that checks nothing (`Stage.guard`)."""

    def committed(self, *told: Any) -> None:
        pass

    def on_log(self, *told: Any) -> None:
        pass

    def check_member(self, *told: Any) -> None:
        pass


@dataclass(slots=True)
class Asked:
    """One request of a customer, and its answer. Times are in ms."""

    who: str
    server: str
    at_ms: float
    found: Any = None
    told_ms: float = inf

    @property
    def failed(self) -> bool:
        return self.found is None or isinstance(self.found, BazarError)


class Stage(ShopWorld):
    """The world, its cast and its story. The scenario begins at 0 ms, when all have joined."""

    def __init__(self, customers: Sequence[str], frontends: int, catalogs: int, books: int) -> None:
        names = [f"frontend-{number}" for number in range(1, frontends + 1)]
        names += [f"catalog-{number}" for number in range(1, catalogs + 1)]
        self.story = Story([*customers, *names])
        super().__init__(0, self.story)
        self.profile.calm = True
        self.profile.books, self.profile.stock = books, 10
        self.start = self._start
        self.deaf: set[str] = set()  # customers who do not receive their answers
        self.runs: list[NodeProcess] = []
        truth = Witness(books, self.profile.stock)
        self.group = group = truth.group = Group(self, "catalog", truth)
        self.groups.append(group)
        for name in names:
            role, _, number = name.partition("-")
            disk = Disk(name, self.profile.log_kept()) if role == "catalog" else None
            node = Node(self, name, role, int(number), disk)
            node.group = group
            (group.caches if disk is None else group.replicas).append(node)

    def tape(self, name: str) -> Tape:
        """Return a tape whose draws are all the least remarkable."""
        tape = super().tape(name)
        tape.random = lambda: 0.0
        return tape

    def draw(self, tapes: dict[str, Tape], focus: str, core: bool) -> Profile:
        return Calm(tapes, focus, core=core)

    def rehearse(self) -> None:
        """Start all nodes, and let each front end connect to each replica."""
        for node in self.group.nodes:
            self._start(node)
        self.run(REHEARSAL_S - 0.5)
        for cache in self.group.caches:
            for _ in self.group.replicas:
                # This answer is cached by no front end.
                self.ask(cache, "read", ({"op": "books", "books": [1]},), lambda found: None)
                self.run(self.now + 0.1)
        self.run(REHEARSAL_S)
        self.story.events.clear()
        self.story.zero_s = REHEARSAL_S

    def _start(self, node: Node) -> None:
        self.say(node.name, "starts")
        self.runs.append(kind_of(node)(self, node))

    @property
    def ms(self) -> float:
        return 1000 * (self.now - REHEARSAL_S)

    # --- what the scenario does ------------------------------------------------------------------

    def at(self, ms: float, happens: Callable[..., None], *args: Any) -> None:
        """Have something happen at that time of the scenario."""
        self.due(REHEARSAL_S + ms / 1000, None, happens, *args)

    def request(
        self, at_ms: float, who: str, server: Node, method: str, item: dict[str, Any]
    ) -> Asked:
        """Send a customer's request at that time."""
        request = Asked(who, server.name, at_ms)

        def send() -> None:
            self.story.add(self.now, who, asked(item), server.name, self.now + NETWORK_S)
            self.ask(server, method, (item,), hear)

        def hear(found: Any) -> None:
            arrives_s = inf if who in self.deaf else self.now
            words = answered(item, found)
            self.story.add(self.now - NETWORK_S, server.name, words, who, arrives_s)
            if who not in self.deaf:
                request.found, request.told_ms = found, round(self.ms, 1)

        self.at(at_ms, send)
        return request

    def stall(self, node: Node, path: str, for_s: float) -> None:
        """Stop the traffic to a node on its connections to `path` for a while."""
        assert node.process is not None
        for stream in node.process.streams:
            if self.wire.leads_to(stream, path):
                stream.stall(for_s)

    def cut(self, one: Node, other: Node, for_s: float) -> None:
        """Cut the link between two nodes for a while, in both directions. What is sent meanwhile
        arrives afterwards."""
        self.say(other.name, f"its link to {one.name} is cut for {for_s:.1f} s")
        assert other.process is not None
        for stream in other.process.streams:
            if stream.peer is not None and stream.peer.name == one.name:
                stream.stall(for_s)
                stream.peer.stall(for_s)

    def delete(self, node: Node, path: str) -> None:
        """Delete a file of the machine, which this node uses."""
        self.say(node.name, f"somebody deletes {path}")
        self.files.unlink(path)

    def play(self, until_ms: float) -> None:
        self.run(REHEARSAL_S + until_ms / 1000)
        self.story.over_s = until_ms / 1000

    # --- what is drawn ---------------------------------------------------------------------------

    def tell(self, sender: Stream, to: Stream, what: Said, arrives_s: float) -> None:
        for words in said(what):
            self.story.add(self.now, sender.name, words, to.name, arrives_s)

    def guard(self, check: Callable[..., Any], *args: Any) -> Any:
        """Let everything happen: here the audience judges, by the answers to the customers."""
        with suppress(Violation, Excused):
            return check(*args)


@contextmanager
def staged(
    *customers: str, frontends: int = 1, catalogs: int = 2, books: int = 1
) -> Iterator[Stage]:
    """Yield a stage on which all nodes have joined."""
    stage = Stage(customers, frontends, catalogs, books)
    with cast(stage):
        try:
            stage.rehearse()
            yield stage
        finally:
            for process in stage.runs:
                process.loop.dispose()
