"""Databases that lose what they have confirmed: as their operator has said they may, or because
they are put back from a backup."""

from __future__ import annotations

from collections.abc import Iterable

from bazar.replication.shared.hold import Tempo
from tests.simulation.clients import Clients
from tests.simulation.shared.aimed import WRITES, AimedFaults
from tests.simulation.shared.truth import shared
from tests.simulation.shared.world import SharedGroup, SharedWorld
from tests.simulation.shopworld import Node
from tests.world.database import Database

FORGOTTEN = (1, 5, 30, 100)  # commits, beats among them


class LossyFaults(AimedFaults):
    """All faults of a shop over a database. Where commits are lost the old server is dead by then:
    two that confirm what they are told void everything."""

    def __init__(self, world: SharedWorld, clients: Clients, databases: Iterable[Database]) -> None:
        super().__init__(world, clients, databases)
        self._begun = {one: len(one[one.primary].wal) for one in self.databases}
        """How long each WAL was when the shop had begun: no backup is older."""

    def _groups(self, database: Database) -> list[SharedGroup]:
        groups = [group for group in self.world.groups if isinstance(group, SharedGroup)]
        return [group for group in groups if group.database is database]

    def lose_commits(self, node: Node) -> None:
        """Promote a standby that lacks the last commits, or all of an epoch, which then nobody has
        heard of."""
        database = self._some()
        if not self._is_whole(database):
            return
        new = self._leave_behind(database)
        for_s, epoch = 0.4 * self._lease_s * self.random(), self.tape.chance(0.4)
        if epoch:
            tempo = Tempo(self._lease_s, self.world.profile.pause_s)
            for_s += 1.5 * tempo.over_s
            for group in self._groups(database):
                self._crash_primary(group)
        self.world.after(for_s, None, self._lose, database, new, epoch)

    def lose_last(self, node: Node) -> None:
        """Promote a standby that lacks what the primary writes next."""
        found = self._holder(node)
        if found is None:
            return
        holder, database = found

        def strike() -> bool:
            if self._is_whole(database):
                new = self._leave_behind(database)
                self.world.after(0.05, None, self._lose, database, new, False)
            return True

        self._when_sent(database, holder, WRITES, strike)

    def _is_whole(self, database: Database) -> bool:
        """Return whether there is another server, and nothing fails."""
        alive = all(one.process.alive for one in database.servers.values())
        return alive and len(database.servers) > 1 and database not in self._failing

    def _leave_behind(self, database: Database) -> str:
        """Let a standby get nothing more, and return which."""
        self._failing.add(database)
        old = database.primary
        standbys = [name for name in database.servers if name != old]
        new = standbys[self.tape.below(len(standbys))]
        database.cut(old, new)
        return new

    def _lose(self, database: Database, new: str, epoch: bool) -> None:
        if self.over:
            self._failing.discard(database)
            return
        database.crash(database.primary)
        if epoch:
            self._crash_all(database)
        self.world.after(0.02 + 0.3 * self.random(), None, self._promote_behind, database, new)

    def _promote_behind(self, database: Database, new: str) -> None:
        old = database.primary
        database.promote(new)
        self._may_lose(database)
        for name in database.servers:
            if name not in (old, new):
                database.follow(name, new)
        self.world.after(0.2 + self.random(), None, self._take_back, database, old)

    # --- backups ---------------------------------------------------------------------------------

    def put_back(self, node: Node) -> None:
        """Restore a database to an earlier moment, below nodes that run or while they are down. It
        takes longer than any hold: a beat that was released then is taken over at once."""
        database = self._some()
        alive = all(one.process.alive for one in database.servers.values())
        if database in self._failing or not alive:
            return
        if self.tape.chance(0.5):
            self._crash_all(database)
        self._failing.add(database)
        for server in database.servers.values():
            server.stop()
        for_s = Tempo(self._lease_s, self.world.profile.pause_s).over_s + self.random()
        self.world.after(for_s, None, self._restore, database, self.tape.choice(FORGOTTEN))

    def _restore(self, database: Database, commits: int) -> None:
        since = len(database[database.primary].wal) - self._begun[database]
        database.put_back(min(commits, since))
        self._failing.discard(database)
        self._may_lose(database)

    # --- what follows ----------------------------------------------------------------------------

    def _crash_all(self, database: Database) -> None:
        for group in self._groups(database):
            for node in group.replicas:
                self.crash(node, 0.1)

    def _may_lose(self, database: Database) -> None:
        for group in self._groups(database):
            shared(group.truth).may_lose(self.clients)
            self.world.after(1.2 * self._lease_s, None, self._must_have_stopped, group)

    def _must_have_stopped(self, group: SharedGroup) -> None:
        """Check P4: a primary that holds by now has its beats confirmed by the new server, and sees
        what that lacks, although nobody may write."""
        holder, number = group.holder, group.newest("mark")["number"]
        if holder is not None and not holder.paused and number < group.truth.seq:
            self.world.violate(f"P4: {holder.run} leads on, and is at {number} again")
