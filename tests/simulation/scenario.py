"""One seed's run: the cluster that it draws, its faults, and the checks at the end (I3, I4, I6,
I7)."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from bazar.errors import Indeterminate, Unavailable
from bazar.replication.disk import DISK_S
from bazar.replication.primary import Primary
from storage.postgresql.session import Broken, Refused
from tests.simulation import shop
from tests.simulation.backups import Operator
from tests.simulation.clearing import Clearing, sample_numbers
from tests.simulation.clients import Clients
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.invariants import Item, Truth, copies, items, larger
from tests.simulation.node import (
    FrontEndProcess,
    NodeProcess,
    ReplicaProcess,
    kind_of,
    production,
)
from tests.simulation.requests import Read, Write
from tests.simulation.shop import TOPICS
from tests.simulation.shopworld import Group, Node, ShopWorld
from tests.simulation.trace import Trace
from tests.world.sealed import sealed
from tests.world.world import Excused, InCircles, Violation

FAULTY_S = 5.0
RESUME_S = 1.6  # beyond the leases: restarts, backoff of clients and subscribers
SETTLE_S = 2.5
BEGIN_S = 4.0
ENCORE_S = 4.5
ASK_S = 1.0
JOINING_S = 0.6
CALM_S = 0.35
ATTEMPTS_S = 3.0


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one seed. `error` is an exception that no code handled, or a run that makes no
    progress: a fault, too, but without a name."""

    seed: int
    violation: str = ""
    error: str = ""
    excused: str = ""
    events: int = 0
    reads: int = 0
    acknowledged: int = 0
    takeovers: int = 0
    draws: Mapping[str, int] = field(default_factory=dict)
    """How many draws each tape has made; counted only where some may be silent."""
    waits: tuple[str, ...] = ()
    """What each task waits for, in a run that made no progress."""


class Alarm(logging.Handler):
    """A log handler that reports the product's errors, unless the simulated disk caused them."""

    def __init__(self, world: ShopWorld) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        foreseen = isinstance(error, OSError | Violation | Excused | Broken | Refused)
        if not foreseen and record.levelno < logging.CRITICAL:
            self._world.unforeseen("log", f"{record.getMessage()}: {error!r}")


class Scenario:
    """The cluster of one seed."""

    world: ShopWorld
    faulty_s, begin_s, ask_s = FAULTY_S, BEGIN_S, ASK_S

    def __init__(
        self,
        seed: int,
        trace: Trace | None = None,
        focus: str = "",
        *,
        core: bool = False,
        silent: Mapping[str, Container[int]] | None = None,
    ) -> None:
        self.world = world = self.make_world(seed, trace, focus, core, silent)
        profile = world.profile
        world.start = self._start
        self.processes: list[NodeProcess] = []
        truth = self.make_truth(profile.books, profile.stock)
        self.catalog = self._group("catalog", profile.catalogs, truth)
        truth.watch_samples(sample_numbers(profile))
        self.orders = None
        if profile.orders:
            orders = self.make_truth(0, 0, truth)
            self.orders = self._group("order", profile.orders, orders)
        for number in range(1, profile.caches + 1):
            node = Node(world, f"frontend-{number}", "frontend", number, None)
            node.group = self.catalog
            self.catalog.caches.append(node)
        self.clients = Clients(world, self.catalog, self.orders)

    def make_world(
        self,
        seed: int,
        trace: Trace | None,
        focus: str,
        core: bool,
        silent: Mapping[str, Container[int]] | None,
    ) -> ShopWorld:
        return ShopWorld(seed, trace, focus, core=core, silent=silent)

    def make_truth(self, books: int, stock: int, sales: Truth | None = None) -> Truth:
        return Truth(books, stock, sales)

    def make_faults(self) -> Any:
        return Faults(self.world, self.clients)

    def _group(self, name: str, size: int, truth: Truth) -> Group:
        world = self.world
        group = truth.group = Group(world, name, truth)
        for number in range(1, size + 1):
            disk = Disk(f"{name}-{number}", world.profile.log_kept())
            node = Node(world, disk.name, name, number, disk)
            node.group = group
            group.replicas.append(node)
        world.groups.append(group)
        return group

    def _start(self, node: Node) -> None:
        self.world.say(node.name, "starts")
        self.processes.append(kind_of(node)(self.world, node))

    # --- the run ---------------------------------------------------------------------------------

    def run(self) -> None:
        world = self.world
        for group in world.groups:
            for index, node in enumerate(group.nodes):
                late = world.profile.late_start and index > 0
                late_s = 2.0 * world.profile.draw.random() if late else 0.0
                world.after(late_s, None, self._start_once, node)
        if world.profile.eager:
            self.clients.start(buyers=1, keepers=0, readers=3)
        world.run(0.6)
        # Other processes run between two system calls.
        bound_s = self.begin_s * (2 if world.profile.syscalls else 1)
        while not self.catalog.truth.seq and world.now < bound_s:
            world.run(world.now + 0.1)
        if not self.catalog.truth.seq:
            raise Violation("I6: nobody has begun")
        self.clients.start(buyers=2, keepers=1, readers=world.profile.readers)
        if world.profile.samples:
            Clearing(self.clients).start()
        faults = self.make_faults()
        if self.orders is not None:
            Operator(world, self.orders)
        faults.supervise()
        world.run(world.now + self.faulty_s)
        faults.stop()
        if world.profile.hangs:
            world.run(world.now + JOINING_S)  # by now whatever hangs while joining does hang
        deadline = self._must_resume()
        if world.profile.encore and hasattr(faults, "encore"):
            world.run(world.now + world.profile.draw.random())
            faults.encore()
            deadline = max(deadline, world.now + ENCORE_S)
        self.clients.running = False
        world.run(deadline + SETTLE_S)
        self._must_converge()
        self.clients.must_be_linearizable()

    def _start_once(self, node: Node) -> None:
        if node.process is None:
            self._start(node)

    def _must_resume(self) -> float:
        """Check I6: writes resume within two leases; then there is no need to wait. Return when the
        two leases and the rest are over."""
        world = self.world
        longest_s = max(node.timing.lease_s for node in self.catalog.replicas)
        if world.profile.hangs or any(n.disk and n.disk.damaged for n in self.catalog.replicas):
            # The last lease of a hung node has to end first, before any hand-over. And a node that
            # has lost commits, or hangs, may hold the lock until that is known (J5, T1).
            longest_s *= 3
        if world.profile.busy:
            self.clients.crowd(8)
        update = {"op": "update", "key": "resumed", "book": 1, "fields": {"topic": TOPICS[0]}}
        write = Write(self.clients, update, None, patient=True)
        if world.profile.silent:
            longest_s += 2 * longest_s  # a silenced node notices that by itself
        deadline = world.now + 2 * longest_s + RESUME_S
        if self.catalog.hangs_next is not None or self._hangs_since_its_probe():
            deadline += DISK_S  # T1: it had just shown that its disk takes a write
        while not write.settled or (world.profile.busy and self._outsiders()):
            if world.now >= deadline:
                raise Violation(
                    f"I6: {self._outsiders()[0]} can't join under load"
                    if write.settled
                    else "I6: writes have not resumed"
                )
            world.run(min(world.now + 0.1, deadline))
        return deadline

    def _hangs_since_its_probe(self) -> bool:
        """Whether a disk hangs whose node leads, or is about to: it may yet ask its peers (A3)."""
        return any(
            isinstance(node.process, ReplicaProcess)
            and (node.process.disk.hangs or node.process.hangs_soon)
            and node.process.has_probed
            for node in self.catalog.replicas
        )

    def _outsiders(self) -> list[Node]:
        """Return the replicas that are not in sync, although their disk is in order."""
        return [
            node
            for node in self.catalog.replicas
            if not (node.disk and node.disk.hangs) and not self._takes_part(node.process)
        ]

    def _takes_part(self, process: NodeProcess | None) -> bool:
        if not isinstance(process, ReplicaProcess) or process.replica is None:
            return False
        subscriber = process.replica.subscriber
        return process.primary is not None or subscriber.lease_valid(process.time())

    def _must_converge(self) -> None:
        """Check I6 and I7: all replicas hold the same, and caches show it."""
        self._replicas_must_be_whole()
        self._nothing_is_lost()
        self._all_must_answer()
        profile = self.world.profile
        if self.orders is not None and not profile.hangs and not profile.silent:
            self._must_sell_at_once()

    def _replicas_must_be_whole(self) -> None:
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
                if not isinstance(process, ReplicaProcess) or not group.is_member(process.me):
                    raise Violation(f"I6: {node.name} is not back in the set")
                if process.replica is None:
                    raise Violation(f"I6: {node.name} does not get open")
                core = process.replica.core
                if not isinstance(core, Primary):
                    if not core.lease_valid(process.time()):
                        raise Violation(f"I6: {node.name} has no lease")
                    if core.touched(None):
                        raise Violation(f"I6: {node.name} still waits for a commit")

    def _nothing_is_lost(self) -> None:
        """Check I3, I7 and R5: what was answered to clients is so."""
        truth, clients = self.catalog.truth, self.clients
        for key, answer in clients.bought.items():
            order_id = answer["order_id"]
            is_sold = ("sales", order_id) in truth.state
            if not is_sold and order_id not in truth.lost:
                raise Violation(f"I3: the sale {key} is lost")
            orders = self.orders.truth if self.orders is not None else None
            if orders is None or ("orders", order_id) in orders.state:
                continue
            if is_sold or order_id not in orders.lost:
                raise Violation(f"I7: the order of {key} is lost, which was acknowledged")
        for key in clients.refused & truth.keys.keys():
            raise Violation(f"R5: {key} was refused with 503 each time, and happened")
        for key in clients.denied.keys() & truth.keys.keys():
            raise Violation(f"{clients.denied[key]}: {key} was answered by a refusal, and happened")
        if self.orders is not None:
            sales = shop.rows(truth.state, "sales")
            sold = {row["order_id"] for row in sales}
            ordered = {row["order_id"] for row in shop.rows(self.orders.truth.state, "orders")}
            if sold - ordered:
                raise Violation(f"I7: sales without an order: {sorted(sold - ordered)}")
            orders = self.orders.truth
            for row in shop.rows(truth.state, "cancellations"):
                cancelled, order_id = copies(row), row["order_id"]
                shown = copies(orders.state.get(("orders", order_id)))
                # S5: what the catalog has lost since stays.
                known = cancelled if not truth.lives else larger(shown, cancelled)
                if shown != known:
                    raise Violation(f"S6: of {order_id} {cancelled} is cancelled, not {shown}")
            if ordered - sold - truth.lost.keys():
                raise Violation(f"I7: orders without a sale: {sorted(ordered - sold)}")

    def _all_must_answer(self) -> None:
        """Check I6: every node that may answer answers every question, as it is now."""
        asked: list[tuple[Node, Item, Read]] = []
        for node in self.catalog.nodes:
            if node.disk is not None and node.disk.hangs:
                continue
            if isinstance(node.process, FrontEndProcess) and not self._soon(node.process):
                raise Violation(f"I6: {node.name} is not back as a cache")
            for item in items(self.world.profile.books):
                asked += [(node, item, Read(self.clients, node, item, None, patient=True))]
        # A node whose disk hangs, or whose connection is dead, makes a reader wait until it asks
        # another one.
        profile = self.world.profile
        self.world.run(
            self.world.now + (ATTEMPTS_S if profile.hangs or profile.silent else self.ask_s)
        )
        for node, item, read in asked:
            if read.open or isinstance(read.answer, Exception):
                raise Violation(f"I6: {node.name} does not answer {dict(item)}: {read.answer!r}")

    def _must_sell_at_once(self) -> None:
        """Check I6: in a calm shop a purchase takes no longer than its messages and writes."""
        world, truth = self.world, self.catalog.truth
        assert self.orders is not None
        world.profile.network_s = world.profile.disk_s = 0.002
        world.run(world.now + self.ask_s)
        for turn in range(4):
            heard: list[Any] = []
            nodes = [*self.orders.replicas, *self.catalog.caches]
            for node in nodes:
                books = shop.rows(truth.state, "books")
                left = [book["id"] for book in books if book["count"] > len(nodes)]
                line = {"book": (left or [1])[0], "quantity": 1}
                item = {"key": f"calm-{node}-{turn}", "lines": [line]}
                world.ask(node, "purchase", (item,), heard.append)
            # The first purchase may have to open connections.
            until = world.now + (CALM_S if turn else ATTEMPTS_S)
            while len(heard) < len(nodes) and world.now < until:
                world.run(world.now + 0.01)
            late = len(nodes) - len(heard)
            wrong = [one for one in heard if isinstance(one, Unavailable | Indeterminate)]
            if turn and (late or wrong):
                raise Violation(f"I6: {late} purchases in a calm shop take over {CALM_S} s {wrong}")

    def _soon(self, process: FrontEndProcess) -> bool:
        """Return whether the cache may serve, now or in a moment: over a slow network a short lease
        is sometimes renewed a little late."""
        world, subscriber = self.world, process.service.catalog.subscriber
        until = world.now + subscriber.timing.lease_s
        while not subscriber.clean(None, process.time()) and world.now < until:
            world.run(world.now + 0.01)
        return subscriber.clean(None, process.time())


def run(
    seed: int,
    trace: Trace | None = None,
    focus: str = "",
    *,
    core: bool = False,
    silent: Mapping[str, Container[int]] | None = None,
    kind: type[Scenario] = Scenario,
) -> Result:
    """Run one seed, under a focus of its own choice or under this one; in a `core` world there are
    only replicas. `silent` draws are 0."""
    violation = excused = error = ""
    waits: tuple[str, ...] = ()
    with production(), sealed() as leaks:
        scenario = kind(seed, trace, focus, core=core, silent=silent)
        world = scenario.world
        alarm = Alarm(world)
        for name in ("bazar", "handlers"):
            logging.getLogger(name).addHandler(alarm)
        try:
            scenario.run()
        except Violation as fault:
            violation = str(fault)
        except Excused as why:
            excused = str(why)
        except Exception as fault:
            if trace is not None and not isinstance(fault, InCircles):
                raise
            error = f"{type(fault).__name__}: {fault}"
        finally:
            if violation.startswith("I6") or isinstance(world.failure, InCircles):
                alive = [process.loop for process in scenario.processes if process.alive]
                waits = tuple(line for loop in alive for line in loop.waits())
            for process in scenario.processes:
                process.dispose()
            for name in ("bazar", "handlers"):
                logging.getLogger(name).removeHandler(alarm)
    error = error or world.error or "".join(f"Leak: {where}" for where in leaks[:1])
    counts = (world.events, world.reads, world.acknowledged, world.takeovers)
    draws = {name: tape.drawn for name, tape in world.tapes.items()}
    return Result(seed, violation, error, excused, *counts, draws, waits)
