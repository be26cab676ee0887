"""Databases that lose what they have confirmed, as operators let them who say so."""

from __future__ import annotations

from bazar.replication.shared.hold import Tempo
from tests.simulation.shared.aimed import AimedFaults
from tests.simulation.shared.truth import shared
from tests.simulation.shared.world import SharedGroup
from tests.simulation.shopworld import Node
from tests.world.database import Database


class LossyFaults(AimedFaults):
    """All faults of a shop over a database. Where commits are lost the old server is dead by then:
    two that confirm what they are told void everything."""

    def _groups(self, database: Database) -> list[SharedGroup]:
        groups = [group for group in self.world.groups if isinstance(group, SharedGroup)]
        return [group for group in groups if group.database is database]

    def lose_commits(self, node: Node) -> None:
        """Promote a standby that lacks the last commits, or all of an epoch, which then nobody has
        heard of."""
        database = self._some()
        old = database.primary
        standbys = [name for name, one in database.servers.items() if one.in_recovery]
        alive = all(one.process.alive for one in database.servers.values())
        if database in self._failing or not standbys or not alive:
            return
        self._failing.add(database)
        new = standbys[self.tape.below(len(standbys))]
        database.cut(old, new)
        for_s, epoch = 0.4 * self._lease_s * self.random(), self.tape.chance(0.4)
        if epoch:
            tempo = Tempo(self._lease_s, self.world.profile.pause_s)
            for_s += 1.5 * tempo.over_s
            for group in self._groups(database):
                self._crash_primary(group)
        self.world.after(for_s, None, self._lose, database, new, epoch)

    def _lose(self, database: Database, new: str, epoch: bool) -> None:
        if self.over:
            self._failing.discard(database)
            return
        database.crash(database.primary)
        for group in self._groups(database) if epoch else ():
            for node in group.replicas:
                self.crash(node, 0.1)
        self.world.after(0.02 + 0.3 * self.random(), None, self._promote_behind, database, new)

    def _promote_behind(self, database: Database, new: str) -> None:
        old = database.primary
        database.promote(new)
        for group in self._groups(database):
            shared(group.truth).may_lose(self.clients)
        for name in database.servers:
            if name not in (old, new):
                database.follow(name, new)
        self.world.after(0.2 + self.random(), None, self._take_back, database, old)
