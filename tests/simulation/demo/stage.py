"""A small world without chance, in which a play is performed and drawn.

It is the simulation's own world, with the production Primary, Subscriber, Cache and ReplicaPool in
it; only nothing is drawn by lot. A message takes 5 ms and an fsync 2, unless the play says
otherwise, so that a play is the same each time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from random import Random
from typing import Any

from bazar.replication.messages import Message
from bazar.replication.timing import Timing
from tests.simulation.arbiter import Arbiter
from tests.simulation.demo.cast import ShownFrontEnd, ShownReplica
from tests.simulation.demo.words import GONE, answered, asked, said
from tests.simulation.disk import Disk
from tests.simulation.invariants import Truth
from tests.simulation.profile import Profile
from tests.simulation.trace import Trace
from tests.simulation.world import REFUSED, Connection, Group, Node, Process, Reply, World

NETWORK_S = 0.005
FSYNC_S = 0.002
READ_S = 0.001
TTL_S = 300.0
LATE_S = 0.02
GAP_S = 0.2
COLUMNS = 100
REHEARSAL_S = 3.0  # until everyone has joined, and every wait of a start is over


class Story(Trace):
    """What the audience sees."""

    digits = 0
    width = COLUMNS
    late_s = LATE_S
    gap_s = GAP_S

    def mark(self, who: str, told_ms: float, words: str) -> None:
        """Point at the answer that `who` got then."""
        for index, event in enumerate(self.events):
            if event.to == who and round(1000 * event.arrives_s, 1) == told_ms:
                self.events[index] = replace(event, text=f"{event.text}  ◀\u00a0{words}")


class Never(Random):
    """A die that never shows what one hoped for: what may happen at times does not."""

    def random(self) -> float:
        return 0.99


class Calm(Profile):
    """Nothing is left to chance."""

    def __init__(self, books: int, stock: int) -> None:
        super().__init__(Never())
        self.calm = True
        self.books, self.stock = books, stock
        self.log_entries, self.page_entries, self.batch_size, self.chunk_rows = 1000, 100, 8, 50
        self.encodes = True
        self.shelf_entries, self.ttl_s = 10, TTL_S
        self.tick_s, self.linger_s = 0.01, 0.02

    def timing_of(self, name: str) -> Timing:
        return Timing()

    def clock_rate(self) -> float:
        return 1.0

    def chance(self, probability: float) -> bool:
        return False

    def delay(self) -> float:
        return NETWORK_S

    def report_delay(self) -> float:
        return 0.0

    def disk_delay(self, slow: bool) -> float:
        return FSYNC_S

    def read_delay(self) -> float:
        return READ_S

    def lag(self) -> float:
        return 0.0

    def loses(self, node: Node) -> bool:
        return False


class Witness(Truth):
    """Lets everything happen: here the audience judges, by what the customers were told."""

    def on_log(self, image: Any, who: str) -> None:
        pass

    def acknowledged(self, seq: int) -> None:
        pass

    def check_member(self, disk: Disk, name: str) -> None:
        pass


@dataclass(slots=True)
class Asked:
    """One request of a customer, and what was answered. Times in ms."""

    who: str
    server: str
    at_ms: float
    status: int = 0
    value: Any = None
    told_ms: float = inf


class Stage(World):
    """The world, its cast and its story. The play begins at 0 ms, when all have joined."""

    def __init__(
        self,
        customers: Sequence[str],
        *,
        frontends: int = 1,
        catalogs: int = 2,
        books: int = 1,
        stock: int = 10,
    ) -> None:
        super().__init__(0)
        self.random = lambda: 0.5
        self.profile = profile = Calm(books, stock)
        self.start = self._start
        self.delays: dict[tuple[str, str], float] = {}  # (from, to) -> how long a request takes
        self.group = group = Group("catalog", Arbiter(self), Witness(books, stock))
        group.truth.group = group
        self.groups.append(group)
        for number in range(1, catalogs + 1):
            disk = Disk(f"catalog-{number}", profile.log_entries)
            group.replicas.append(Node(disk.name, group, disk, profile))
        for number in range(1, frontends + 1):
            group.caches.append(Node(f"frontend-{number}", group, None, profile))
        nodes = [node.name for node in (*group.caches, *group.replicas)]
        self.story = Story([*customers, *nodes])
        for node in group.nodes:
            self._start(node)
        self.run(REHEARSAL_S)
        self.trace = self.story

    def _start(self, node: Node) -> None:
        self.say(node.name, "starts")
        kind = ShownFrontEnd if node.disk is None else ShownReplica
        node.process = kind(self, node)

    @property
    def ms(self) -> float:
        return 1000 * (self.now - REHEARSAL_S)

    # --- what the play does ----------------------------------------------------------------------

    def at(self, ms: float, happens: Any, *args: Any) -> None:
        self.after(REHEARSAL_S + ms / 1000 - self.now, None, happens, *args)

    def ask(self, at_ms: float, who: str, server: Node, method: str, *args: Any) -> Asked:
        """A customer's request, sent at that time."""
        asked = Asked(who, server.name, at_ms)

        def heard(status: int, value: Any) -> None:
            asked.status, asked.value, asked.told_ms = status, value, round(self.ms, 1)

        self.at(at_ms, self._call, who, None, server, method, args, heard)
        return asked

    def play(self, until_ms: float) -> None:
        self.run(REHEARSAL_S + until_ms / 1000)
        self.story.over_s = until_ms / 1000

    # --- requests, drawn -------------------------------------------------------------------------

    def call(
        self, caller: Process | None, server: Node, method: str, args: tuple[Any, ...], reply: Reply
    ) -> None:
        who = "client" if caller is None else caller.name
        self._call(who, caller, server, method, args, reply)

    def _call(
        self,
        who: str,
        caller: Process | None,
        server: Node,
        method: str,
        args: tuple[Any, ...],
        reply: Reply,
    ) -> None:
        def arrive() -> None:
            if server.process is None:
                answer(REFUSED, GONE)
            else:
                getattr(server.process, method)(*args, answer)

        def answer(status: int, value: Any) -> None:
            words = answered(method, args, status, value)
            self.after(self._sent(server.name, who, words), caller, reply, status, value)

        self.after(self._sent(who, server.name, asked(method, args)), None, arrive)

    def _sent(self, who: str, to: str, words: str) -> float:
        """Draw it; how long it takes."""
        delay_s = self.delays.get((who, to), NETWORK_S)
        self._add(who, words, to, self.now + delay_s)
        return delay_s

    def _add(self, who: str, words: str, to: str | None = None, at: float = 0.0) -> None:
        if self.trace is not None:
            self.trace.add(self.ms / 1000, who, words, to, at - REHEARSAL_S)

    def say(self, who: str, text: str) -> None:
        entries = re.findall(r"\((\d+), \(([^)]*)\)\)", text)
        if text.startswith("executes"):
            text = "executes " + ", ".join(f"entry {seq}: {keys}" for seq, keys in entries)
        text = re.sub(r"closes \[\d+\]", "ends the feed", text)
        self._add(who, re.sub(r"/\d+|'|,$", "", text))

    def tell(self, connection: Connection, who: str, to: str, message: Message, at: float) -> None:
        words = said(message)
        if words:
            self._add(who, words, to, at)
