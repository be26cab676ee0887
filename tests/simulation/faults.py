"""What goes wrong, and when it is over."""

from __future__ import annotations

from bazar.replication.effects import Effect, Record, Send
from tests.simulation.world import Connection, Group, Node, Process, World

AIM_S = 0.05


class Faults:
    """Picks a fault and a victim every now and then, until it is told to stop."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng
        self.kinds = list(world.profile.faults)
        self.weights = list(world.profile.faults.values())
        self.over = False
        world.aim = self.aim
        self._next()

    def _next(self) -> None:
        delay_s = self.world.profile.fault_every_s * 2.0 * self.world.random()
        self.world.after(delay_s, None, self._strike)

    def _strike(self) -> None:
        if self.over:
            return
        self._next()
        kind = self.rng.choices(self.kinds, self.weights)[0]
        group = self.world.groups[0]
        if len(self.world.groups) > 1 and self.rng.random() < 0.4:
            group = self.world.groups[1]
        node = group.nodes[self.world.below(len(group.nodes))]
        getattr(self, kind)(node)

    # --- faults ----------------------------------------------------------------------------------

    def aim(self, node: Node, effect: Effect) -> None:
        """Strike just behind an effect, where a rule is about that very moment."""
        moment = type(effect.message if isinstance(effect, Send) else effect).__name__
        if isinstance(effect, Record):
            before = node.group.arbiter.membership
            if before is not None and len(effect.membership.members) > len(before.members):
                moment = "Join"
        kind, probability = self.world.profile.aims.get(moment, ("", 0.0))
        if not self.over and self.world.random() < probability:
            behind_s = 0.0 if kind == "blackout" else AIM_S * self.world.random()
            self.world.after(behind_s, None, self._hit, kind, node)

    def _hit(self, kind: str, node: Node) -> None:
        if not self.over:
            getattr(self, kind)(node)

    def crash(self, node: Node, down_s: float | None = None) -> None:
        if node.process is not None:
            node.process.die("killed")
            self._start_again(node, down_s)

    def crash_twice(self, node: Node) -> None:
        """The primary, and its successor before it has begun to commit."""
        self._crash_primary(node.group)
        self.world.after(0.1 + 0.9 * self.rng.random(), None, self._second, node.group)

    def _crash_primary(self, group: Group) -> None:
        holder = group.arbiter.holder
        if holder is not None:
            self.crash(holder.node)

    def _second(self, group: Group) -> None:
        holder = group.arbiter.holder
        if holder is None or self.over:
            return
        if self.rng.random() < 0.3:
            self._stop(holder)
        else:
            self.crash(holder.node)

    def pause(self, node: Node) -> None:
        if node.process is not None and not node.process.paused:
            longest_s = self.rng.choice((0.05, 0.5, 2.5))
            node.process.pause(longest_s * self.rng.random())

    def terminate(self, node: Node) -> None:
        holder = node.group.arbiter.holder
        if holder is not None and self.rng.random() < 0.4:
            node = holder.node
        if node.process is not None:
            self._stop(node.process)

    def _stop(self, process: Process) -> None:
        if not process.paused:
            process.terminate()
            self._start_again(process.node)

    def lose(self, node: Node) -> None:
        connection = self._some_connection(node)
        if connection is not None:
            self.world.say("network", f"loses [{connection.id}]")
            late_s = self.world.profile.late_s
            connection.lose((late_s * self.rng.random(), late_s * self.rng.random()))

    def stall(self, node: Node) -> None:
        connection = self._some_connection(node)
        if connection is not None:
            to, for_s = self.world.below(2), 2.0 * self.rng.random()
            self.world.say(
                "network", f"[{connection.id}] to {connection.ends[to].name} takes {for_s:.2f} s"
            )
            connection.stall(to, for_s)

    def isolate(self, node: Node) -> None:
        if node.isolated:
            return
        self.world.say(node.name, "is isolated")
        node.isolated = True
        process = node.process
        for connection in list(process.connections.values()) if process is not None else []:
            connection.lose((0.3 * self.rng.random(), 0.3 * self.rng.random()))
        self.world.after(1.5 * self.rng.random(), None, self._rejoin, node)

    def slow_disk(self, node: Node) -> None:
        if node.disk is not None:
            self.world.say(node.name, "its disk is slow")
            node.disk.slow = True
            self.world.after(2.0 * self.rng.random(), None, self._heal_disk, node)
            if self.rng.random() < 0.5:
                self.world.after(0.3 * self.rng.random(), None, self._reconnect, node)

    def full_disk(self, node: Node) -> None:
        if node.disk is not None:
            self.world.say(node.name, "its disk is full")
            node.disk.full = True
            self.world.after(1.5 * self.rng.random(), None, self._heal_disk, node)

    def damage(self, node: Node) -> None:
        """A crash, and the WAL loses its last transactions while the node is down (J5). A power
        cut does so to several at once."""
        self._damage(node)
        for other in node.group.replicas:
            if other is not node and self.rng.random() < 0.5:
                self._damage(other)

    def _damage(self, node: Node, down_s: float | None = None) -> None:
        if node.process is None or node.disk is None or not self._others_are_whole(node):
            return
        node.process.die("killed")
        if node.disk.damage(self.rng.choice(self.world.profile.lost_transactions)):
            self.world.say(node.name, f"its WAL is back at {node.disk.image.committed}")
            node.group.truth.check_member(node.disk, node.name)
        self._start_again(node, down_s)

    def power_cut(self, node: Node) -> None:
        """Everybody dies; all but one may have lost what was fsynced last, or everything."""
        others = [other for other in node.group.replicas if other is not node]
        for other in others:
            lost = self.rng.random()
            if lost < 0.6:
                self._damage(other)
            elif lost < 0.85:
                self.wipe(other)
        for other in node.group.replicas:
            self.crash(other)

    def blackout(self, node: Node) -> None:
        """Everybody dies, and the followers' last commits are undone, though their logs are whole;
        the primary returns last."""
        holder = node.group.arbiter.holder
        if holder is None:
            return
        if not node.group.arbiter.settled:
            self.world.after(0.002, None, self._hit, "blackout", node)
            return
        for other in node.group.replicas:
            if other is not holder.node and other.disk is not None:
                down_s = 0.1 * self.rng.random()
                if other.disk.applied_last:
                    self._damage(other, down_s)
                else:
                    self.crash(other, down_s)
        holder.die("killed")
        self.world.after(1.0 + self.rng.random(), None, self._start, holder.node)

    def betray(self, node: Node) -> None:
        """A follower's disk has lost commits, or is new, and the primary hands over to it."""
        holder = node.group.arbiter.holder
        if holder is not None and holder.node is not node:
            (self._damage if self.rng.random() < 0.5 else self.wipe)(node)
            self._stop(holder)

    def scatter(self, node: Node) -> None:
        """A batch of the primary that dies reaches one follower only, who is then away until the
        other has taken over."""
        holder = node.group.arbiter.holder
        followers = [other for other in node.group.replicas if other.process is not holder]
        if holder is None or len(followers) < 2:
            return
        keeper, heir = sorted(followers, key=lambda _: self.rng.random())[:2]
        for connection in list(holder.connections.values()):
            if heir.process is connection.other(holder):
                connection.lose((0.0, 0.0))
        self.world.after(AIM_S, None, self.crash, holder.node)
        self.world.after(0.1 + 0.2 * self.rng.random(), None, self.crash, keeper)

    def wipe(self, node: Node) -> None:
        """A crash, and the node returns with an empty disk."""
        if node.process is None or node.disk is None or not self._others_are_whole(node):
            return
        node.process.die("killed")
        self.world.say(node.name, "its disk is empty")
        node.disk.wipe()
        self._start_again(node)

    def _reconnect(self, node: Node) -> None:
        """A connection breaks, and a new one is there while the disk still works off the old."""
        connection = self._some_connection(node)
        if connection is not None:
            self.world.say("network", f"[{connection.id}] breaks")
            connection.lose((0.02, 0.02))

    # --- helpers ---------------------------------------------------------------------------------

    def _some_connection(self, node: Node) -> Connection | None:
        process = node.process
        if process is None or not process.connections:
            return None
        connections = list(process.connections.values())
        return connections[self.world.below(len(connections))]

    def _others_are_whole(self, node: Node) -> bool:
        """Whether another member's process runs on an undamaged disk: then nothing is lost."""
        group: Group = node.group
        membership = group.arbiter.membership
        if membership is None or not group.arbiter.settled:
            return False
        stores = {member.store for member in membership.members}
        return any(
            other is not node
            and other.process is not None
            and other.disk is not None
            and not other.disk.damaged
            and other.disk.store in stores
            for other in group.replicas
        )

    def _start_again(self, node: Node, down_s: float | None = None) -> None:
        if down_s is None:
            down_s = self.rng.choice(self.world.profile.down_s) * self.rng.random()
        self.world.after(0.1 + down_s, None, self._start, node)

    def _start(self, node: Node) -> None:
        if node.process is None and not (self.over and node.disk is not None and node.disk.full):
            self.world.start(node)

    def _rejoin(self, node: Node) -> None:
        if node.isolated:
            self.world.say(node.name, "is reachable again")
            node.isolated = False

    def _heal_disk(self, node: Node) -> None:
        if node.disk is not None:
            node.disk.slow = node.disk.full = False

    def encore(self) -> None:
        """Everything is well, and then the primary dies amid the last writes, and others with it.
        Nothing is written afterwards that would paper over what they left behind."""
        if self.rng.random() < self.world.profile.scattered:
            self.scatter(self.world.groups[0].replicas[0])
            return
        for group in self.world.groups:
            holder = group.arbiter.holder
            for node in group.replicas:
                is_primary = holder is not None and node is holder.node
                if node.disk is None or node.disk.hangs:
                    continue
                if not is_primary and self.rng.random() < 0.6:
                    continue
                if self.rng.random() < 0.3:
                    self._damage(node)
                else:
                    self.crash(node)

    # --- the supervisor, and the end of all faults -----------------------------------------------

    def supervise(self) -> None:
        """Whoever has stopped by itself is started again."""
        for group in self.world.groups:
            for node in group.nodes:
                if node.process is None and (self.over or self.world.profile.chance(0.3)):
                    self.world.start(node)
        self.world.after(0.3, None, self.supervise)

    def _hang(self) -> None:
        """One follower's disk never answers again: the others must go on without it."""
        group = self.world.groups[0]
        followers = [
            node
            for node in group.replicas
            if node.process is not None
            and group.arbiter.holder not in (node.process, None)
            and self._others_are_whole(node)  # or it may hold the only copy
        ]
        if followers:
            node = followers[self.world.below(len(followers))]
            assert node.disk is not None
            self.world.say(node.name, "its disk hangs")
            node.disk.hangs = True
            if self.rng.random() < 0.5:
                self.crash(node)

    def stop(self) -> None:
        self.over = True
        world = self.world
        if world.profile.hangs:
            self._hang()
        world.say("network", "no more faults")
        world.profile.calm = True
        for group in world.groups:
            for node in group.nodes:
                self._rejoin(node)
                self._heal_disk(node)
                if node.process is None:
                    world.start(node)
                    continue
                node.process.resume()
                for connection in list(node.process.connections.values()):
                    # What is lost without anybody's notice is a fault that goes on.
                    if any(connection.cut) or max(connection.arrival) > world.now + 0.1:
                        connection.lose((0.05, 0.05))
