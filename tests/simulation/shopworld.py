"""The world of one shop: its groups and nodes, and the requests of its clients."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from bazar.config import NodeConfig
from bazar.errors import Unavailable
from bazar.replication.file_arbiter import parse_membership
from bazar.replication.messages import Member, Membership
from tests.simulation.profile import Profile
from tests.simulation.wire import Said, Wire
from tests.world.files import File, Files
from tests.world.network import Host, Network, Stream
from tests.world.system import SYSTEM
from tests.world.tape import Tape
from tests.world.world import Violation, World

if TYPE_CHECKING:
    from tests.simulation.disk import Disk
    from tests.simulation.invariants import Truth
    from tests.simulation.node import NodeProcess
    from tests.simulation.trace import Trace

Reply = Callable[[Any], None]
"""Called with the answer, or with the error that was answered."""

LOCAL_WALL_MS = 1_700_000_000_000
TAPES = ("profile", "network", "disk", "clients", "faults")


class Node:
    """A name in the cluster, and what outlives its processes: its port, its disk, its clock."""

    def __init__(
        self, world: ShopWorld, name: str, role: str, number: int, disk: Disk | None
    ) -> None:
        self.name = name
        self.disk = disk
        self.group: Group
        port = 1000 + len(world.nodes)
        self.config = NodeConfig(name, role, port, number=number)
        self.host = world.network.hosts[port] = Host(name, waits=world.profile.supervised)
        self.timing = world.profile.timing_of(name)
        self.rate = world.profile.clock_rate()
        if world.profile.walls_apart_s:
            wrong = 2.0 * world.profile.draw.random() - 1.0
            world.ahead_ms[name] = int(wrong * world.walls_apart_ms)
        self.process: NodeProcess | None = None
        self.runs = 0
        world.nodes.append(self)

    def __repr__(self) -> str:
        return self.name


class Group:
    """The nodes of one replicated service, and the truth about their log."""

    def __init__(self, world: ShopWorld, name: str, truth: Truth, directory: str = "/data") -> None:
        self.world = world
        self.name = name
        self.directory = directory
        self.truth = truth
        self.members_path = f"{directory}/{name}.members"
        self.replicas: list[Node] = []
        self.caches: list[Node] = []
        self._read = b""
        self._membership: Membership | None = None
        self.misplaced: File | None = None
        """An older membership's file, put back below a primary; the recorded one stays valid."""
        self.hangs_next: Node | None = None
        """The node whose disk hangs if it is the next to lead."""

    @property
    def nodes(self) -> list[Node]:
        return self.replicas + self.caches

    @property
    def membership(self) -> Membership | None:
        """Return the membership that the arbiter's file holds now."""
        file = self.world.files.names.get(self.members_path)
        if file is None:
            return None
        if file is not self.misplaced and file.content is not self._read:
            self._read, self._membership = file.content, parse_membership(file.content)
        return self._membership

    @property
    def is_recorded(self) -> bool:
        """Whether the file exists, and is the one that was recorded last."""
        file = self.world.files.names.get(self.members_path)
        return file is not None and file is not self.misplaced

    def known_epoch(self) -> int:
        """Return the newest epoch that a file of this group knows: the next one has a higher
        number."""
        logs = [node.disk.image.newest.number for node in self.replicas if node.disk is not None]
        return max(logs + ([] if self.membership is None else [self.membership.epoch]))

    @property
    def holder(self) -> NodeProcess | None:
        """Return the process that holds the lock."""
        file = self.world.files.names.get(f"{self.directory}/{self.name}.lock")
        if file is None or file.locked_by is None or not file.locked_by.process.alive:
            return None
        return file.locked_by.process  # type: ignore[return-value]

    @property
    def settled(self) -> bool:
        """Whether no other membership is on its way to the disk."""
        primary = getattr(self.holder, "primary", None)
        return primary is None or primary.membership == self.membership

    def recorded(self, by: object) -> None:
        """Check a membership that `by` has just recorded."""
        before, now = self._membership, self.membership
        assert now is not None
        if not self.truth.lock_lost and by is not self.holder:
            raise Violation(f"I1: {by} records {now} without the lock")
        if before is not None and now.epoch < before.epoch:
            raise Violation(f"I1: {now} is recorded after {before}")
        disk = getattr(by, "disk", None)
        if disk is not None and disk.deleted and now != before:
            raise Violation(f"R8: {by} records {now}, and its file is deleted")
        if not now.members:
            raise Violation(f"I3: nobody is left in the in-sync set: {now}")
        self.world.say(getattr(by, "name", "?"), f"records {describe(now)}")
        self.truth.check_members()

    def is_member(self, member: Member) -> bool:
        membership = self.membership
        return membership is not None and member in membership.members


class ShopWorld(World):
    """One cluster, its network and its machine."""

    def __init__(
        self,
        seed: object,
        trace: Trace | None = None,
        focus: str = "",
        *,
        core: bool = False,
        silent: Mapping[str, Container[int]] | None = None,
    ) -> None:
        super().__init__(seed, silent)
        self.trace = trace
        tapes = {name: self.tape(name) for name in TAPES}
        self.profile = profile = self.draw(tapes, focus, core)
        self.disk_tape, self.client_tape = tapes["disk"], tapes["clients"]
        self.network = Network(self)
        self.network.delay = profile.delay
        self.network.window, self.network.split_chance = profile.window, profile.splits
        self.wire = Wire(self.tell)
        if trace is not None:
            self.network.seen = self.wire
        self.files = SYSTEM.files = Files(self)
        self.files.make_directory("/data")
        self.files.replaced = self._replaced
        self.files.delay = lambda: 0.3 * profile.disk_delay(False)
        self.nodes: list[Node] = []
        self.groups: list[Group] = []
        self.strays: list[Group] = []
        """Groups of the same names, over other directories."""
        self.met_at = inf
        """Since when the strays can reach the others."""
        self.group_of: dict[str, Group] = {}  # run -> its group
        self.ahead_ms: dict[str, int] = {}  # by node: its time of day, of the true one
        self.order_ids = 0
        self.acknowledged = 0
        self.reads = 0
        self.takeovers = 0
        self.start: Callable[[Node], None]
        self.aim: Callable[[Node, Any], None] = lambda node, effect: None

    def _replaced(self, path: str) -> None:
        for group in (*self.groups, *self.strays):
            if path == group.members_path:
                self.guard(group.recorded, self.current)

    def draw(self, tapes: dict[str, Tape], focus: str, core: bool) -> Profile:
        """Return the profile of this world."""
        return Profile(tapes, focus, core=core)

    def wall_ms(self) -> int:
        """Return the time of day, as the node has it that runs."""
        ahead_ms = 0 if self.current is None else self.ahead_ms.get(self.current.name, 0)
        return self.true_wall_ms(self.now) + ahead_ms

    def true_wall_ms(self, at: float) -> int:
        passed_ms, tick_ms = self.walls_ms(at), self.walls_ms(self.profile.wall_tick_s)
        return LOCAL_WALL_MS + passed_ms - (passed_ms % tick_ms if tick_ms else 0)

    def walls_ms(self, seconds: float) -> int:
        """Return how long that is by the clocks on the nodes' walls."""
        return int(1000 * self.profile.wall_rate * seconds)

    @property
    def walls_apart_ms(self) -> int:
        return self.walls_ms(self.profile.walls_apart_s)

    def say(self, who: str, text: str) -> None:
        if self.trace is not None:
            self.trace.add(self.now, who, text)

    def tell(self, sender: Stream, to: Stream, what: Said, arrives_s: float) -> None:
        """Report to the trace what one node sends to another."""
        if self.trace is not None:
            words = f"[{sender.number}] {what}"
            self.trace.add(self.now, sender.name, words, to.name, arrives_s)

    # --- requests from outside -------------------------------------------------------------------

    def ask(self, server: Node, method: str, args: tuple[Any, ...], reply: Reply) -> None:
        """Send a request; call `reply` with its answer, unless either of them is lost."""
        if not self.profile.loses(server):
            self.after(self.profile.delay(), None, self._asked, server, method, args, reply)

    def _asked(self, server: Node, method: str, args: tuple[Any, ...], reply: Reply) -> None:
        process = server.process

        def answer(found: Any) -> None:
            if not self.profile.loses(server):
                self.after(self.profile.delay(), None, reply, found)

        if process is None:
            answer(Unavailable("connection refused"))
        else:
            process.loop.spawn(lambda: process.serve(method, args, answer))


def describe(membership: Membership) -> str:
    members = ",".join(sorted(member.store for member in membership.members))
    return f"epoch {membership.epoch} {{{members}}}{' clean' if membership.clean else ''}"
