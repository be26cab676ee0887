"""Faults that strike at the moment for which a rule is there, which chance would hardly meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from bazar.replication.shared.hold import Tempo
from storage.postgresql.session import Statement
from tests.simulation.shared.faults import SharedFaults
from tests.simulation.shared.node import SharedProcess
from tests.simulation.shared.world import SharedGroup
from tests.simulation.shopworld import Node
from tests.world.database import Database

BEGINS, WRITES = "FOR NO KEY UPDATE", ".mark SET number"  # a batch
RELEASES = "SET released = true"
CANCEL_S = 0.1


class AimedFaults(SharedFaults):
    """All faults of a shop over a database."""

    @property
    def _lease_s(self) -> float:
        return self.world.profile.primary_lease_s

    def _holder(self, node: Node) -> tuple[SharedProcess, Database] | None:
        """Return the process that leads the group of `node`, if it runs, and its database."""
        holder, group = node.group.holder, cast(SharedGroup, node.group)
        if holder is None or holder.paused or holder.terminating:
            return None
        return cast(SharedProcess, holder), group.database

    def _left_s(self, holder: SharedProcess) -> float:
        """Return for how long a primary holds from now on."""
        assert holder.leads
        until: float = holder.primary.hold.until  # type: ignore[union-attr]
        return holder.world_time(until) - self.world.now

    def _when_sent(
        self, database: Database, process: SharedProcess, words: str, strike: Callable[[], bool]
    ) -> None:
        """Have `strike` called before this process sends a statement with these words, until that
        returns True."""

        def told(sender: str, _: str, what: object) -> None:
            said = cast(tuple[Statement, ...], what) if isinstance(what, tuple) else ()
            mine = sender == process.name and any(words in each.sql for each in said)
            if mine and (self.over or strike()):
                database.told = None

        database.told = told

    # --- nodes -----------------------------------------------------------------------------------

    def oversleep(self, node: Node) -> None:
        """Pause the primary until its hold is over, and another one may just have begun."""
        found = self._holder(node)
        if found is not None:
            found[0].pause(self._left_s(found[0]) + 0.5 * self._lease_s * self.random())

    def stand_apart(self, node: Node) -> None:
        """Have a subscriber hear nothing more, and its machine stand still meanwhile."""
        if node.process is not node.group.holder:
            self.isolate(node)
            self._stand_still(node)

    def stand_last(self, node: Node) -> None:
        """Cut the primary off from the database; shortly before its hold ends the machine of a
        subscriber stands still."""
        found = self._holder(node)
        if found is None or node.process is found[0]:
            return
        (holder, database), left_s = found, self._left_s(found[0])
        for name in database.servers:
            database.cut(holder.name, name)
            self.world.after(1.5 * left_s, None, database.mend, holder.name, name)
        asleep_s = left_s - min(left_s, 0.5 * self.random())
        self.world.after(asleep_s, None, self._hit, "_stand_still", node)

    def leave_unheard(self, node: Node) -> None:
        """Tell the primary to leave. It does not hear that it has handed over."""
        found = self._holder(node)
        if found is None:
            return
        (holder, database), late_s = found, self._lease_s * self.random()

        def strike() -> bool:
            for name in database.servers:
                database.stall(name, holder.name, late_s)
            return True

        self._when_sent(database, holder, RELEASES, strike)
        self._stop(holder)

    def belate(self, node: Node) -> None:
        """Let what the primary writes arrive when its hold is over, and another one may just have
        begun."""
        found = self._holder(node)
        if found is None:
            return
        (holder, database), lease_s = found, self._lease_s

        def strike() -> bool:
            if not holder.leads:
                return True
            left_s = self._left_s(holder)
            if left_s > 0.85 * lease_s:
                return False  # its server would end the transaction before that
            for_s = left_s + lease_s * (0.02 + 0.2 * self.random())
            self.world.say(holder.name, f"what it writes is {for_s:.2f} s on its way")
            for name in database.servers:
                database.cut(holder.name, name)
                self.world.after(for_s, None, database.mend, holder.name, name)
            return True

        self._when_sent(database, holder, self.tape.choice((WRITES, BEGINS)), strike)

    # --- servers ---------------------------------------------------------------------------------

    def waver(self, node: Node) -> None:
        """Cut the primary off from its standbys, and cancel all waits for them, until another one
        takes over; then fail over."""
        database = self._some()
        if not self._may_fail_over(database):
            return
        self._failing.add(database)
        old = database.primary
        for name in database.servers:
            if name != old:
                database.cut(old, name)
        tempo = Tempo(self._lease_s, self.world.profile.pause_s)
        self._cancel(database, self.world.now + tempo.over_s * (1.2 + self.random()))

    def _cancel(self, database: Database, until: float) -> None:
        old = database.primary
        if self.world.now < until and not self.over:
            database.cancel_waits(old)
            self.world.after(CANCEL_S, None, self._cancel, database, until)
        elif self.over:
            self._failing.discard(database)
        else:
            database.crash(old)
            self._promote_soon(database)

    def strand(self, node: Node) -> None:
        """Let a standby have what the synchronous one has not, and this one be promoted. The other
        goes on to show it for a while."""
        database = self._some()
        names = list(database.servers)
        if len(names) < 3 or not self._may_fail_over(database):
            return
        if any(
            not server.process.alive or server.process.paused
            for server in database.servers.values()
        ):
            return
        self._failing.add(database)
        at = names.index(database.primary)
        old, stranded, new = names[at], names[(at + 1) % 3], names[(at + 2) % 3]
        # Who has lost the primary asks the next one, as they are listed.
        database[old].demand(stranded, new)
        self.world.after(0.3, None, self._run_ahead, database, old, stranded, new)

    def _run_ahead(self, database: Database, old: str, stranded: str, new: str) -> None:
        if self.over:
            self._failing.discard(database)
            return
        database[old].demand(new)
        database.cut(old, new)
        self.world.after(
            0.1 + 0.1 * self.random(), None, self._strand, database, old, stranded, new
        )

    def _strand(self, database: Database, old: str, stranded: str, new: str) -> None:
        database.crash(old)
        database.promote(new, old)
        self.world.after(0.1, None, self._come_back, database, old, new)
        self.world.after(2.0 + self.random(), None, self._take_back, database, stranded)

    def _come_back(self, database: Database, old: str, new: str) -> None:
        database.mend(old, new)
        database.follow(old, new)
