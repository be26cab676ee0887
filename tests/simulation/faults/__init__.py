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
        world.aim = self.aim
        self._begin()

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

    # --- the end of all faults -------------------------------------------------------------------

    def stop(self) -> None:
        self.over = True
        world = self.world
        if self._stray is not None:
            self._stray.put_right()
        if world.profile.hangs:
            self._hang()
        self._calm()
        if world.profile.silent and not world.profile.hangs:
            self.silence()

    def _heal(self, node: Node) -> None:
        super()._heal(node)
        self._heal_disk(node)

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
