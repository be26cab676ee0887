"""What happens to the servers, and on the ways to them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from math import inf

from bazar.replication.shared.hold import Tempo
from tests.simulation.clients import Clients
from tests.simulation.faults.network import NetworkFaults
from tests.simulation.shared.world import SharedWorld
from tests.simulation.shopworld import Group, Node
from tests.world.database import Database


class SharedFaults(NetworkFaults):
    """The faults of a run: it picks a fault and a victim from time to time, until it is stopped."""

    world: SharedWorld

    def __init__(self, world: SharedWorld, clients: Clients, databases: Iterable[Database]) -> None:
        super().__init__(world, clients)
        self.databases = list(databases)
        self._failing: set[Database] = set()  # that fail over now
        self._stood: dict[Node, float] = {}
        self._begin()

    # --- nodes -----------------------------------------------------------------------------------

    def crash_twice(self, node: Node) -> None:
        """Kill the primary, and then its successor."""
        self._crash_primary(node.group)
        for_s = self.world.profile.primary_lease_s * (0.5 + self.random())
        self.world.after(for_s, None, self._crash_primary, node.group)

    def _crash_primary(self, group: Group) -> None:
        if not self.over and group.holder is not None:
            self.crash(group.holder.node)

    def stand_still(self, node: Node) -> None:
        """Stop a machine, and its clock, for as long as nobody needs to notice."""
        self._stand_still(self._victim(node))

    def _stand_still(self, victim: Node) -> None:
        profile = self.world.profile
        process, for_s = victim.process, profile.pause_s * self.random()
        tempo = Tempo(profile.primary_lease_s, profile.pause_s)
        if process is None or process.paused or not for_s:
            return
        if self.world.now < self._stood.get(victim, -inf) + 2 * tempo.over_s:
            return  # in all it would be longer
        self._stood[victim] = self.world.now
        process.pause(for_s)
        process.offset -= process.rate * for_s

    # --- the ways to the servers -----------------------------------------------------------------

    def _some(self) -> Database:
        return self.databases[self.tape.below(len(self.databases))]

    def _victim(self, node: Node) -> Node:
        """Return the primary more often than others."""
        holder = node.group.holder
        return holder.node if holder is not None and self.tape.chance(0.6) else node

    def cut_off(self, node: Node) -> None:
        """Cut a node off from servers, in one direction or both."""
        node, database = self._victim(node), self._some()
        names = list(database.servers)
        chosen = names if self.tape.chance(0.6) else [names[self.tape.below(len(names))]]
        one_way, for_s = self.tape.chance(0.4), 3.5 * self.random()
        for name in chosen:
            pair = (name, node.name) if self.tape.chance(0.5) else (node.name, name)
            self.world.say(node.name, f"is cut off from {name} for {for_s:.2f} s")
            database.cut(*pair, one_way=one_way)
            self.world.after(for_s, None, database.mend, *pair)

    def late_replies(self, node: Node) -> None:
        """Let what a server answers be late."""
        node, database = self._victim(node), self._some()
        for_s = self.tape.choice((0.3, 1.5, 4.0)) * self.random()
        for name in database.servers:
            self.world.say(node.name, f"hears of {name} {for_s:.2f} s late")
            database.stall(name, node.name, for_s)

    def fade(self, node: Node) -> None:
        """Let what servers answer be late, and then nothing reach them any more: the beat that is
        confirmed late is the last."""
        node, database = self._victim(node), self._some()
        late_s = self.world.profile.primary_lease_s * (0.2 + 0.3 * self.random())
        for name in database.servers:
            pair = node.name, name
            self.world.say(node.name, f"hears of {name} {late_s:.2f} s late, and then nothing")
            database.stall(name, node.name, late_s)
            self.world.after(0.9 * late_s, None, partial(database.cut, *pair, one_way=True))
            self.world.after(late_s + 4.0, None, database.mend, *pair)

    def tear(self, node: Node) -> None:
        """Tear a pipeline, and its connection."""
        self._some().tear(self._victim(node).name)

    # --- servers ---------------------------------------------------------------------------------

    def restart_server(self, node: Node) -> None:
        """Let a server die and come back."""
        database = self._some()
        names = list(database.servers)
        name = database.primary if self.tape.chance(0.6) else names[self.tape.below(len(names))]
        if database[name].process.alive and database not in self._failing:
            database.crash(name)
            self.world.after(0.1 + 1.5 * self.random(), None, self._restart, database, name)

    def _restart(self, database: Database, name: str) -> None:
        if database in self._failing:  # whose end may bring it back, or not
            self.world.after(0.2, None, self._restart, database, name)
        elif not database[name].process.alive:
            database.restart(name)

    def freeze_server(self, node: Node) -> None:
        """Stop all processes of a server for a while."""
        database = self._some()
        names = list(database.servers)
        name = names[self.tape.below(len(names))]
        database.freeze(name)
        self.world.after(2.5 * self.random(), None, database.thaw, name)

    def lag(self, node: Node) -> None:
        """Have a standby show everything late."""
        database = self._some()
        for server in database.servers.values():
            if server.in_recovery and self.tape.chance(0.5):
                server.lag_s = self.random()

    def cancel_waits(self, node: Node) -> None:
        """Cancel what waits for a standby, as an operator may. What is reported as a success then
        is lost if the server fails over, so that it may not count (P5)."""
        database = self._some()
        database.cancel_waits(database.primary)

    def end_sessions(self, node: Node) -> None:
        """End all sessions of a primary: what is in a transaction then is rolled back (P5)."""
        database = self._some()
        self.world.say(database.primary, "ends all sessions")
        database.end_sessions(database.primary)

    def fail_over(self, node: Node) -> None:
        """Let the primary's machine die, and promote its synchronous standby."""
        database = self._some()
        if self._may_fail_over(database):
            database.crash(database.primary)
            self._promote_soon(database)

    def depose(self, node: Node) -> None:
        """Promote the synchronous standby while the primary can't be reached by the servers: nodes
        may still reach it, and it goes on to answer."""
        database = self._some()
        if self._may_fail_over(database):
            for name in database.servers:
                if name != database.primary:
                    database.cut(database.primary, name)
            self._promote_soon(database)

    def _may_fail_over(self, database: Database) -> bool:
        primary = database[database.primary]
        standbys = [database[name] for name in primary.synchronous]
        if database in self._failing or not primary.process.alive or not standbys:
            return False
        return all(one.process.alive for one in standbys)

    def _promote_soon(self, database: Database) -> None:
        self._failing.add(database)
        self.world.after(0.2 + 1.3 * self.random(), None, self._promote, database)

    def _promote(self, database: Database) -> None:
        old = database.primary
        new = database[old].synchronous[0]
        database.thaw(new)
        if not database[new].process.alive:
            self.world.after(0.2, None, self._promote, database)
            return
        others = [name for name in database.servers if name not in (old, new)]
        database.promote(new, *(others[:1] or [old]))
        for name in others:
            database.thaw(name)
            database.follow(name, new)
        self.world.after(0.2 + 1.5 * self.random(), None, self._take_back, database, old)

    def _take_back(self, database: Database, old: str) -> None:
        """Have the deposed primary follow the new one."""
        for name in database.servers:
            database.mend(old, name)
        database.thaw(old)
        database[old].silent = False
        database.follow(old, database.primary)
        self._failing.discard(database)

    # --- the end of all faults -------------------------------------------------------------------

    def stop(self) -> None:
        self.over = True
        self._calm()
        for database in self.databases:
            self._heal_servers(database)

    def _heal_servers(self, database: Database) -> None:
        for one, other in list(database.cuts):
            database.mend(one, other)
        for name, server in database.servers.items():
            server.lag_s = 0.0
            database.thaw(name)
            if not server.process.alive:
                self._restart(database, name)
