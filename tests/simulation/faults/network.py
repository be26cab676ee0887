"""Faults of connections: they are slow, stuck, or lost, and this is not always noticed."""

from __future__ import annotations

from tests.simulation.faults.processes import ProcessFaults
from tests.simulation.node import NodeProcess
from tests.simulation.shopworld import Node
from tests.world.network import Stream


class NetworkFaults(ProcessFaults):
    """Faults of the network."""

    def lose(self, node: Node) -> None:
        stream = self._some_stream(node)
        if stream is not None:
            self.world.say("network", f"loses [{stream.number}]")
            late_s = self.world.profile.late_s
            stream.vanish((late_s * self.random(), late_s * self.random()))

    def stall(self, node: Node) -> None:
        """Make one direction of a connection slow, or stop it."""
        stream = self._some_stream(node)
        if stream is not None:
            for_s = self.tape.choice(self.world.profile.stalls_s) * self.random()
            self.world.say("network", f"[{stream.number}] to {node} takes {for_s:.2f} s")
            stream.stall(for_s)

    def detain(self, node: Node) -> None:
        """Delay what the orders ask of the catalog's primary; nothing is lost."""
        holder, orders = self.world.groups[0].holder, self.world.groups[-1].replicas
        self.world.say("network", f"what is asked of {holder} is long on its way")
        asking = [other.process for other in orders if other.process is not None]
        for stream in list(holder.streams) if holder is not None else ():
            if stream.peer is not None and stream.peer.process in asking:
                stream.stall(0.4 + self.random())

    def lapse(self, node: Node) -> None:
        """Cut a cache off from its primary for longer than a lease, and from the others still
        longer: what they answer is old."""
        holder, lease_s = node.group.holder, node.timing.lease_s
        if node not in node.group.caches or node.process is None:
            return
        gone_s = lease_s * (1.0 + self.random())
        self.world.say(node.name, f"hears nothing of its primary for {gone_s:.2f} s")
        for stream in list(node.process.streams):
            if stream.peer is not None and stream.peer.process is holder:
                stream.vanish((gone_s, gone_s))
            else:
                stream.stall(gone_s + lease_s * (0.5 + self.random()))

    def isolate(self, node: Node) -> None:
        if node.host.isolated:
            return
        self.world.say(node.name, "is isolated")
        node.host.isolated = True
        for stream in list(node.process.streams) if node.process is not None else []:
            stream.vanish((0.3 * self.random(), 0.3 * self.random()))
        self.world.after(1.5 * self.random(), None, self._rejoin, node)

    def _calm(self) -> None:
        """Let all nodes run, and reach each other."""
        world = self.world
        world.say("network", "no more faults")
        world.profile.calm, world.profile.calm_since = True, world.now
        for group in world.groups:
            for node in group.nodes:
                self._heal(node)
                if node.process is None:
                    world.start(node)
                    continue
                node.process.resume()
                node.process.step_s, node.process.syscall_chance = 0.0002, 0.0
                for stream in list(node.process.streams):
                    # Traffic that is lost unnoticed is a fault that goes on.
                    if stream.cut or stream.arrival > world.now + 0.1:
                        stream.vanish((0.05, 0.05))

    def _heal(self, node: Node) -> None:
        self._rejoin(node)

    def _rejoin(self, node: Node) -> None:
        if node.host.isolated:
            self.world.say(node.name, "is reachable again")
            node.host.isolated = False

    def silence(self) -> None:
        """Silence a subscriber's connections, without any end noticing."""
        group = self.world.groups[self.tape.below(len(self.world.groups))]
        for node in group.nodes:
            if node.process is not None and group.holder is not node.process:
                late_s = 0.0
                if self.tape.chance(0.5):  # while it joins
                    node.process.die("killed")
                    self._start(node)
                    late_s = 0.3 * self.random()
                self.world.after(late_s, None, self._silence, node)
                return

    def _silence(self, node: Node) -> None:
        self.world.say(node.name, "hears nothing on its connections")
        for stream in node.process.streams if node.process is not None else ():
            stream.silence()

    def _cut(self, holder: NodeProcess, node: Node) -> None:
        for stream in list(holder.streams):
            if stream.peer is not None and stream.peer.process is node.process:
                stream.vanish((0.0, 0.0))

    def _reconnect(self, node: Node) -> None:
        """Break a connection; a new one is there while the disk still works off the old one."""
        stream = self._some_stream(node)
        if stream is not None:
            self.world.say("network", f"[{stream.number}] breaks")
            stream.vanish((0.02, 0.02))

    def _some_stream(self, node: Node) -> Stream | None:
        streams = list(node.process.streams) if node.process is not None else []
        return streams[self.tape.below(len(streams))] if streams else None
