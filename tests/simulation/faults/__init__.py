"""The faults that a seed meets, and their end."""

from __future__ import annotations

from bazar.replication.effects import Effect, Record, Send
from tests.simulation.clients import Clients
from tests.simulation.faults.leading import AIM_S, LeadingFaults
from tests.simulation.shopworld import Node, ShopWorld

IN_THE_STEP = ("outlive", "seize", "overtake")  # faults of which the effect is a part


class Faults(LeadingFaults):
    """The faults of a run: it picks a fault and a victim from time to time, until it is stopped."""

    def __init__(self, world: ShopWorld, clients: Clients) -> None:
        super().__init__(world, clients)
        self.kinds = ["nothing", *world.profile.faults]
        self.weights = [0.001, *world.profile.faults.values()]
        world.aim = self.aim
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

    def aim(self, node: Node, effect: Effect) -> None:
        """Strike directly after an effect, if a rule is about that moment."""
        moment = type(effect.message if isinstance(effect, Send) else effect).__name__
        if isinstance(effect, Record):
            before = node.group.membership
            grown = 0 if before is None else len(effect.membership.members) - len(before.members)
            moment = "Join" if grown > 0 else "Shrink" if grown < 0 else moment
        kind, probability = self.world.profile.aims.get(moment, ("", 0.0))
        if self.over or not self.tape.chance(probability):
            return
        if kind in IN_THE_STEP:
            self._hit(kind, node)
        else:
            behind_s = 0.0 if kind == "blackout" else AIM_S * self.random()
            self.world.after(behind_s, None, self._hit, kind, node)

    # --- the supervisor, and the end of all faults -----------------------------------------------

    def supervise(self) -> None:
        """Start again every node that has stopped by itself."""
        for group in self.world.groups:
            for node in group.nodes:
                if node.process is None and (self.over or not self.tape.chance(0.7)):
                    self.world.start(node)
        self.world.after(0.3, None, self.supervise)

    def stop(self) -> None:
        self.over = True
        world = self.world
        if self._stray is not None:
            self._stray.put_right()
        if world.profile.hangs:
            self._hang()
        world.say("network", "no more faults")
        world.profile.calm, world.profile.calm_since = True, world.now
        silenced = world.profile.silent and not world.profile.hangs
        for group in world.groups:
            for node in group.nodes:
                self._rejoin(node)
                self._heal_disk(node)
                if node.process is None:
                    world.start(node)
                    continue
                node.process.resume()
                node.process.step_s, node.process.syscall_chance = 0.0002, 0.0
                for stream in list(node.process.streams):
                    # Traffic that is lost unnoticed is a fault that goes on.
                    if stream.cut or stream.arrival > world.now + 0.1:
                        stream.vanish((0.05, 0.05))
        if silenced:
            self.silence()

    def encore(self) -> None:
        """Wait until all is well, then kill the primary during the last writes, and others with it.
        Nothing is written afterwards, which could hide the damage."""
        if self.tape.chance(self.world.profile.scattered):
            self.scatter(self.world.groups[0].replicas[0])
            return
        for group in self.world.groups:
            holder = group.holder
            for node in group.replicas:
                is_primary = holder is not None and node is holder.node
                if node.disk is None or node.disk.hangs:
                    continue
                if not is_primary and self.tape.chance(0.6):
                    continue
                if self.tape.chance(0.3):
                    self._damage(node)
                else:
                    self.crash(node)
