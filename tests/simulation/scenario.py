"""One seed's run: the cluster it draws, its faults, and the checks at the end (I4, I6, I7)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.arbiter import Arbiter
from tests.simulation.clients import Clients, Write
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.frontend import FrontEnd
from tests.simulation.history import linearizable
from tests.simulation.invariants import Truth
from tests.simulation.node import READ_TIMEOUT_S, Replica, question_for
from tests.simulation.profile import Profile
from tests.simulation.shop import TOPICS, Op, row, search
from tests.simulation.trace import Trace
from tests.simulation.world import Excused, Group, Node, Process, Violation, World

FAULTY_S = 5.0
RESUME_S = 1.2  # beyond the leases: restarts, backoff of clients and subscribers
SETTLE_S = 2.5
ENCORE_S = 4.0


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one seed."""

    seed: int
    violation: str = ""
    excused: str = ""
    events: int = 0
    reads: int = 0
    acknowledged: int = 0
    takeovers: int = 0


class Scenario:
    """The cluster of one seed."""

    def __init__(self, seed: int, trace: Trace | None = None, focus: str = "") -> None:
        self.world = world = World(seed, trace)
        world.profile = profile = Profile(world.rng, focus)
        world.start = self._start
        catalog_truth = Truth(profile.books, profile.stock)
        self.catalog = self._group("catalog", profile.catalogs, catalog_truth)
        self.clients = Clients(world, self.catalog, profile.books)
        for number in range(1, profile.caches + 1):
            node = Node(f"frontend-{number}", self.catalog, None, profile)
            self.catalog.caches.append(node)
        if profile.orders:
            self._group("order", profile.orders, Truth(0, 0, catalog_truth))
        self.resumed: dict[str, float] = {}

    def _group(self, name: str, size: int, truth: Truth) -> Group:
        group = Group(name, Arbiter(self.world), truth)
        truth.group = group
        profile = self.world.profile
        for number in range(1, size + 1):
            disk = Disk(f"{name}-{number}", profile.log_kept())
            group.replicas.append(Node(f"{name}-{number}", group, disk, profile))
        self.world.groups.append(group)
        return group

    def _start(self, node: Node) -> None:
        if self.world.trace is not None:
            self.world.say(node.name, "starts")
        kind = FrontEnd if node.disk is None else Replica
        node.process = kind(self.world, node)

    # --- the run ---------------------------------------------------------------------------------

    def run(self) -> None:
        world = self.world
        for group in world.groups:
            for index, node in enumerate(group.nodes):
                late = world.profile.late_start and index > 0
                world.after(2.0 * world.random() if late else 0.0, None, self._start_once, node)
        world.run(0.6)
        while not self.catalog.truth.seq and world.now < 4.0:
            world.run(world.now + 0.1)
        if not self.catalog.truth.seq:
            raise Violation("I6: nobody has begun")
        self.clients.start(buyers=2, updaters=1, readers=3)
        faults = Faults(world)
        faults.supervise()
        world.run(world.now + FAULTY_S)
        faults.stop()
        deadline = self._must_resume()
        if world.profile.encore:
            world.run(world.now + world.random())
            faults.encore()
            deadline = max(deadline, world.now + ENCORE_S)
        self.clients.running = False
        world.run(deadline + SETTLE_S)
        self._must_converge()
        self._must_be_linearizable()

    def _start_once(self, node: Node) -> None:
        if node.process is None:
            self._start(node)

    def _must_resume(self) -> float:
        """I6: writes resume within two leases; then there is no need to wait. Returns when the
        two leases and the rest are over."""
        world = self.world
        longest_s = max(node.timing.lease_s for node in self.catalog.replicas)
        if world.profile.hangs or any(n.disk and n.disk.damaged for n in self.catalog.replicas):
            # The hung node's last lease has to run out first, before any hand-over; and who has
            # lost commits may begin to lead, until the other shows it (J5).
            longest_s *= 2
        if world.profile.busy:
            self.clients.crowd(8)
        write = Write(self.clients, Op("update", "resumed", 1, topic=TOPICS[0]), None, patient=True)
        deadline = world.now + 2 * longest_s + RESUME_S
        while not write.done or (world.profile.busy and self._outsiders()):
            if world.now >= deadline:
                raise Violation(
                    f"I6: {self._outsiders()[0]} can't join under load"
                    if write.done
                    else "I6: writes have not resumed"
                )
            world.run(min(world.now + 0.1, deadline))
        return deadline

    def _outsiders(self) -> list[Node]:
        """The replicas that do not take part, though their disk is in order."""
        return [
            node
            for node in self.catalog.replicas
            if not (node.disk and node.disk.hangs) and not self._takes_part(node.process)
        ]

    def _takes_part(self, process: Process | None) -> bool:
        return isinstance(process, Replica) and (
            process.primary is not None or process.subscriber.lease_valid(process.now())
        )

    def _must_converge(self) -> None:
        """I6, I7: all replicas hold the same, and caches show it."""
        for group in self.world.groups:
            truth = group.truth
            for node in group.replicas:
                assert node.disk is not None
                if node.disk.hangs:
                    continue
                image = node.disk.image
                if image.committed != truth.mark or image.pending:
                    raise Violation(
                        f"I6: {node.name} is at {image.committed} +{len(image.pending)}, "
                        f"the log at {truth.mark}"
                    )
                if image.state != truth.state:
                    raise Violation(f"I6: the rows of {node.name} are not those of the log")
                process = node.process
                if not isinstance(process, Replica) or not group.arbiter.is_member(process.me):
                    raise Violation(f"I6: {node.name} is not back in the set")
                if process.primary is None:
                    if not process.subscriber.lease_valid(process.now()):
                        raise Violation(f"I6: {node.name} has no lease")
                    if process.subscriber.touched(None):
                        raise Violation(f"I6: {node.name} still waits for a commit")
        sales = {key[5:] for key in self.catalog.truth.state if key.startswith("sale:")}
        for key in self.clients.bought:
            if key not in sales:
                raise Violation(f"I3: the sale {key} is lost")
        for key in self.clients.refused:
            if key in sales or f"update:{key}" in self.catalog.truth.state:
                raise Violation(f"R5: {key} was refused with 503 each time, and happened")
        for group in self.world.groups[1:]:
            orders = {key[6:] for key in group.truth.state if key.startswith("order:")}
            if orders != sales:
                raise Violation(f"I7: sales without an order: {sorted(sales - orders)}")
        self._caches_must_agree()

    def _caches_must_agree(self) -> None:
        answers: list[str] = []
        truth, books = self.catalog.truth, self.world.profile.books
        questions = [question_for(book) for book in range(1, books + 1)]
        expected = 0
        for node in self.catalog.caches:
            process = node.process
            if not isinstance(process, FrontEnd) or not self._soon(process):
                raise Violation(f"I6: {node.name} is not back as a cache")
            for key, name, tag in questions:
                process.get(
                    (key, name, tag),
                    lambda status, value, name=name: answers.append(  # type: ignore[misc]
                        "" if status == 200 and value == truth.state[name] else f"{name}: {value}"
                    ),
                )
                expected += 1
            for topic in TOPICS:
                shown = search(truth.state, topic, books)
                process.get(
                    ("search", topic),
                    lambda status, value, shown=shown, topic=topic: answers.append(  # type: ignore[misc]
                        "" if status == 200 and value == shown else f"{topic}: {value}"
                    ),
                )
                expected += 1
        # A replica whose disk hangs keeps a reader waiting before another is asked.
        self.world.run(self.world.now + READ_TIMEOUT_S + RESUME_S)
        wrong = [answer for answer in answers if answer]
        if wrong or len(answers) != expected:
            raise Violation(f"I6: a cache answers {wrong}, {len(answers)} of {expected}")

    def _soon(self, process: FrontEnd) -> bool:
        """Whether the cache may serve, now or in a moment: a short lease over a slow network is now
        and then renewed a little late."""
        until = self.world.now + process.subscriber.timing.lease_s
        while not process.subscriber.clean(None, process.now()) and self.world.now < until:
            self.world.run(self.world.now + 0.01)
        return process.subscriber.clean(None, process.now())

    def _must_be_linearizable(self) -> None:
        profile, rows = self.world.profile, self.catalog.truth.state
        places = {
            key.partition(":")[2]: value[0]
            for key, value in rows.items()
            if key.startswith(("sale:", "update:"))
        }
        for book, operations in self.clients.history.items():
            stocked = ("first", TOPICS[book % 2], profile.stock)
            if not linearizable(operations, stocked, places):
                raise Violation(f"I4: the history of {row(book)} is not linearizable")


def run(seed: int, trace: Trace | None = None, focus: str = "") -> Result:
    """Run one seed, under a focus of its own choice or this one. A violation is a result; any
    other exception is one too, with its type."""
    scenario = Scenario(seed, trace, focus)
    world = scenario.world
    violation = excused = ""
    try:
        scenario.run()
    except Violation as fault:
        violation = str(fault)
    except Excused as why:
        excused = str(why)
    except Exception as fault:
        if trace is not None:
            raise
        violation = f"{type(fault).__name__}: {fault}"
    return Result(
        seed, violation, excused, world.events, world.reads, world.acknowledged, world.takeovers
    )
