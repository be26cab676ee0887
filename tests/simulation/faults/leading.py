"""Faults of the nodes that lead, may lead, or lead another cluster."""

from __future__ import annotations

from tests.simulation.clients import Clients
from tests.simulation.faults.disks import DiskFaults
from tests.simulation.faults.files import FileFaults
from tests.simulation.shopworld import Group, Node, ShopWorld
from tests.simulation.strays import Stray
from tests.world.world import Process

AIM_S = 0.05


class LeadingFaults(DiskFaults, FileFaults):
    """Faults of leading."""

    def __init__(self, world: ShopWorld, clients: Clients) -> None:
        super().__init__(world, clients)
        self._stray: Stray | None = None

    def crash_twice(self, node: Node) -> None:
        """Kill the primary, and then its successor before it has begun to commit."""
        self._crash_primary(node.group)
        self.world.after(0.1 + 0.9 * self.random(), None, self._second, node.group)

    def _crash_primary(self, group: Group) -> None:
        holder = group.holder
        if holder is not None:
            self.crash(holder.node)

    def _second(self, group: Group) -> None:
        holder = group.holder
        if holder is None or self.over:
            return
        if self.tape.chance(0.3):
            self._stop(holder)
        else:
            self.crash(holder.node)

    def forsake(self, node: Node) -> None:
        """Let the primary leave in order, or die and its successor leave at once, while a
        subscriber can't be reached, whose lease runs on."""
        group, holder = node.group, node.group.holder
        others = [other for other in group.nodes if other.process not in (holder, None)]
        if holder is None or len(others) < 2:
            return
        self.isolate(others[self.tape.below(len(others))])
        if self.tape.chance(0.5):
            self._stop(holder)
        else:
            self.crash(holder.node)
            self.world.after(0.3 * self.random(), None, self._leave, group)

    def _leave(self, group: Group) -> None:
        if not self.over and group.holder is not None:
            self._stop(group.holder)

    def betray(self, node: Node) -> None:
        """Have the primary hand over to a follower whose disk has lost commits, or is new."""
        holder = node.group.holder
        if holder is not None and holder.node is not node:
            (self._damage if self.tape.chance(0.5) else self.wipe)(node)
            self._stop(holder)

    def bury(self, node: Node) -> None:
        """Let a batch reach only one follower, which dies with the primary. The primary returns
        with an empty disk, and both come back while the other follower takes over."""
        holder, keeper = node.group.holder, self._cut_heir_off(node.group)
        if holder is not None and keeper is not None:
            self.world.after(AIM_S, None, self._hit, "wipe", holder.node)
            self.world.after(AIM_S, None, self._hit, "crash", keeper)

    def scatter(self, node: Node) -> None:
        """Let a batch of the dying primary reach only one follower, which is then away until the
        other has taken over."""
        holder, keeper = node.group.holder, self._cut_heir_off(node.group)
        if holder is not None and keeper is not None:
            self.world.after(AIM_S, None, self.crash, holder.node)
            self.world.after(0.1 + 0.2 * self.random(), None, self.crash, keeper)

    def outlive(self, node: Node) -> None:
        """Kill the primary before a follower learns that the last batch is committed, which others
        have read."""
        group, holder = node.group, node.group.holder
        if holder is not None and len(group.replicas) > 1:
            for other in group.replicas:
                if other.process is not holder:
                    self._cut(holder, other)
            self.world.after(0.1 + 0.2 * self.random(), None, self.crash, holder.node)

    def _cut_heir_off(self, group: Group) -> Node | None:
        """Cut one follower off from the primary, and return another, which is not cut off."""
        holder = group.holder
        followers = [other for other in group.replicas if other.process is not holder]
        if holder is None or len(followers) < 2:
            return None
        keeper, heir = sorted(followers, key=lambda _: self.random())[:2]
        self._cut(holder, heir)
        return keeper

    def usurp(self, node: Node) -> None:
        """Delete the lock's file, so that another replica finds it free, and stop the primary until
        that one leads."""
        holder = node.group.holder
        if holder is not None and self._may_lead_instead(node):
            holder.pause(self._depose(node))

    def seize(self, node: Node) -> None:
        """Do the same, but stop the primary in the middle of a step. It then goes on with the step,
        without an overdue timer."""
        holder = node.group.holder
        if holder is not None and holder is self.world.current and self._may_lead_instead(node):
            holder.elsewhere(self._depose(node))

    def overtake(self, node: Node) -> None:
        """Do the same between the read of a membership's file and the write of the next: the
        primary has just made the file that is to replace it."""
        files, holder, group = self.world.files, node.group.holder, node.group
        passed, prefix = files.created, f"{group.members_path}."

        def created(path: str) -> None:
            if self.world.current is holder and holder is not None and path.startswith(prefix):
                files.created = passed
                if holder is group.holder and not self.over and self._may_lead_instead(node):
                    self._stop_whole(holder, self._depose(node))

        files.created = created

    def _stop_whole(self, process: Process, for_s: float) -> None:
        """Stop the process in a system call, all of its threads at once."""
        beside, process.in_thread = process.in_thread, False
        try:
            process.elsewhere(for_s)
        finally:
            process.in_thread = beside

    def _may_lead_instead(self, node: Node) -> list[Node]:
        group = node.group
        return [other for other in group.replicas if other.process is not group.holder]

    def _depose(self, node: Node) -> float:
        """Let another node get the lock, and return how long it takes until that one commits."""
        others = self._may_lead_instead(node)
        self.steal(node)
        self.crash(others[self.tape.below(len(others))], 0.02)
        longest_s = max(other.timing.lease_s for other in node.group.replicas)
        return longest_s * (1.1 + self.random())

    def stray(self, node: Node) -> None:
        """Start a node over another directory, new or a copy, which meets the others later."""
        if node.disk is None or node.process is None or not self._others_are_whole(node):
            return
        if self.world.strays:
            return
        node.process.die("killed")
        self._stray = stray = Stray(self.world, node, copied=self.tape.chance(0.5))
        met_s = self.tape.choice((0.0, 1.5)) * self.random()
        self.world.after(met_s, None, stray.meet)
        self.world.after(met_s + 2.0 + self.random(), None, stray.put_right)
