"""Faults of one process: it dies, is paused, is told to leave, and is started again."""

from __future__ import annotations

from tests.simulation.clients import Clients
from tests.simulation.node import NodeProcess
from tests.simulation.shopworld import Group, Node, ShopWorld


class ProcessFaults:
    """Faults of processes, and the base of all other faults."""

    def __init__(self, world: ShopWorld, clients: Clients) -> None:
        self.world = world
        self.clients = clients
        self.tape = world.tape("faults")
        self.random = self.tape.random
        self._below = world.tape("deletions")  # whether a file is deleted while it is open
        self.over = False

    def _begin(self) -> None:
        """Pick a fault and a victim from time to time, until it is over."""
        self.kinds = ["nothing", *self.world.profile.faults]
        self.weights = [0.001, *self.world.profile.faults.values()]
        self._next()

    def _next(self) -> None:
        delay_s = self.world.profile.fault_every_s * 2.0 * (self.random() or 0.5)
        self.world.after(0.001 + delay_s, None, self._strike)

    def _strike(self) -> None:
        if self.over:
            return
        self._next()
        kind = self.tape.weighted(self.kinds, self.weights)
        group = self.world.groups[0]
        if len(self.world.groups) > 1 and self.tape.chance(0.4):
            group = self.world.groups[1]
        node = group.nodes[self.tape.below(len(group.nodes))]
        if kind != "nothing":
            getattr(self, kind)(node)

    def supervise(self) -> None:
        """Start again every node that has stopped by itself."""
        for group in self.world.groups:
            for node in group.nodes:
                if node.process is None and (self.over or not self.tape.chance(0.7)):
                    self.world.start(node)
        self.world.after(0.3, None, self.supervise)

    def _hit(self, kind: str, node: Node) -> None:
        if not self.over:
            getattr(self, kind)(node)

    def crash(self, node: Node, down_s: float | None = None) -> None:
        if node.process is not None:
            node.process.die("killed")
            self._start_again(node, down_s)

    def pause(self, node: Node) -> None:
        if node.process is not None and not node.process.paused:
            longest_s = self.tape.choice((0.05, 0.5, 2.5))
            node.process.pause(longest_s * self.random())

    def terminate(self, node: Node) -> None:
        holder = node.group.holder
        if holder is not None and self.tape.chance(0.4):
            node = holder.node
        if node.process is not None:
            self._stop(node.process)

    def slow_process(self, node: Node) -> None:
        """Make each step slow, as if many processes shared few processors."""
        if node.process is not None:
            self.world.say(node.name, "gets little of the processor")
            node.process.step_s = 0.05
            self.world.after(1.5 * self.random(), None, self._heal_process, node.process)

    def _heal_process(self, process: NodeProcess) -> None:
        process.step_s = self.world.profile.step_s

    def _stop(self, process: NodeProcess) -> None:
        if not process.paused:
            process.terminate()
            self._start_again(process.node)

    def _start_again(self, node: Node, down_s: float | None = None) -> None:
        if down_s is None:
            down_s = self.tape.choice(self.world.profile.down_s) * self.random()
        self.world.after(0.1 + down_s, None, self._start, node)

    def _start(self, node: Node) -> None:
        if node.process is None and not (self.over and node.disk is not None and node.disk.full):
            self.world.start(node)

    def _others_are_whole(self, node: Node) -> bool:
        """Return whether another member runs on an undamaged disk: then nothing is lost."""
        group: Group = node.group
        membership = group.membership
        if membership is None or not group.settled:
            return False
        stores = {member.store for member in membership.members}
        return any(
            other is not node
            and other.process is not None
            and other.disk is not None
            and not (other.disk.damaged or other.disk.deleted)
            and other.disk.store in stores
            for other in group.replicas
        )
