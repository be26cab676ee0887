"""Faults of a node's disk: it is slow, full, hangs, or has lost what was fsynced."""

from __future__ import annotations

from tests.simulation.faults.network import NetworkFaults
from tests.simulation.shopworld import Node

JUDGED_S = 0.5  # for the duration of a start
SLOW_STEP_S = 0.01


class DiskFaults(NetworkFaults):
    """Faults of disks."""

    def slow_disk(self, node: Node) -> None:
        if node.disk is not None:
            self.world.say(node.name, "its disk is slow")
            node.disk.slow = True
            self.world.after(2.0 * self.random(), None, self._heal_disk, node)
            if self.tape.chance(0.5):
                self.world.after(0.3 * self.random(), None, self._reconnect, node)

    def full_disk(self, node: Node) -> None:
        if node.disk is not None:
            self.world.say(node.name, "its disk is full")
            node.disk.full = True
            self.world.after(1.5 * self.random(), None, self._heal_disk, node)

    def _heal_disk(self, node: Node) -> None:
        if node.disk is not None:
            node.disk.slow = node.disk.full = False

    def _hang(self) -> None:
        """Let one follower's disk hang for ever: the others must go on without it."""
        group = self.world.groups[0]
        followers = [
            node
            for node in group.replicas
            if node.process is not None
            and group.holder is not None
            and group.holder is not node.process
            and self._others_are_whole(node)  # else it may hold the only copy
        ]
        if followers:
            node = followers[self.tape.below(len(followers))]
            assert node.disk is not None
            # Once the node leads, and has shown that its disk takes a write (T1).
            if self.tape.chance(self.world.profile.hangs_leading):
                assert group.holder is not None
                group.hangs_next = node
                if self.tape.chance(0.5):  # one that was restarted waits for its members (L4)
                    self.crash(node, 0.05)
                self.crash(group.holder.node)
                return
            if self.tape.chance(0.5):  # while it joins
                self.crash(node, 0.05)
                self.world.after(0.15 + 0.4 * self.random(), None, self._hang_disk, node)
                return
            self._hang_disk(node)
            if self.tape.chance(0.5):
                self.crash(node)

    def _hang_disk(self, node: Node) -> None:
        self.world.say(node.name, "its disk hangs")
        assert node.disk is not None
        node.disk.hangs = True

    def damage(self, node: Node) -> None:
        """Crash the node, and remove the last transactions of its WAL while it is down (J5). A
        power cut does so to several nodes at once."""
        self._damage(node)
        for other in node.group.replicas:
            if other is not node and self.tape.chance(0.5):
                self._damage(other)

    def _damage(self, node: Node, down_s: float | None = None) -> None:
        if node.process is None or node.disk is None or not self._others_are_whole(node):
            return
        node.process.die("killed")
        if node.disk.damage(self.tape.choice(self.world.profile.lost_transactions)):
            self.world.say(node.name, f"its WAL is back at {node.disk.image.committed}")
            node.group.truth.check_member(node.disk, node.name)
        self._start_again(node, down_s)

    def power_cut(self, node: Node) -> None:
        """Kill all nodes; all but one may have lost what was fsynced last, or everything."""
        others = [other for other in node.group.replicas if other is not node]
        for other in others:
            lost = self.random()
            if lost < 0.6:
                self._damage(other)
            elif lost < 0.85:
                self.wipe(other)
        for other in node.group.replicas:
            self.crash(other)

    def blackout(self, node: Node) -> None:
        """Kill all nodes, and undo the followers' last commits, though their logs are whole. The
        primary returns last."""
        holder = node.group.holder
        if holder is None:
            return
        if not node.group.settled:
            self.world.after(0.002, None, self._hit, "blackout", node)
            return
        for other in node.group.replicas:
            if other is not holder.node and other.disk is not None:
                down_s = 0.1 * self.random()
                if other.disk.applied_last:
                    self._damage(other, down_s)
                else:
                    self.crash(other, down_s)
        holder.die("killed")
        self.world.after(1.0 + self.random(), None, self._start, holder.node)

    def lost_writes(self, node: Node) -> None:
        """Kill all nodes. The primary has lost what was fsynced last; it returns first, leads, and
        then reads slowly. The others are whole, but may not have heard what was committed."""
        holder = node.group.holder
        if holder is None:
            return
        self._damage(holder.node, 0.0)
        self.world.after(0.25, None, self._hit, "slow_disk", holder.node)
        for other in node.group.replicas:
            if other is not holder.node:
                self.crash(other, 0.2 + 0.2 * self.random())

    def wipe(self, node: Node) -> None:
        """Crash the node, which returns with an empty disk; or delete its file while it runs."""
        if node.process is None or node.disk is None or not self._others_are_whole(node):
            return
        if self._below.chance(0.5):
            self._delete(node)
            return
        node.process.die("killed")
        self.world.say(node.name, "its disk is empty")
        node.disk.wipe()
        self._start_again(node)

    def _delete(self, node: Node) -> None:
        """Check R8: the node leaves by itself, within a third of a lease and the duration of a
        step."""
        process, disk = node.process, node.disk
        assert process is not None and disk is not None
        self.world.say(node.name, "its file is deleted")
        disk.deleted = True
        before = process.pauses, process.absences

        def judge() -> None:
            stood = process.paused or (process.pauses, process.absences) != before
            stood |= disk.slow or disk.hangs or process.step_s > SLOW_STEP_S
            if process.alive and process.ready and not stood:
                self.world.violate(f"R8: {process.name} stays, and its file is deleted")

        self.world.after(node.timing.lease_s + JUDGED_S, None, judge)
