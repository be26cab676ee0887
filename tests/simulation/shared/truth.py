"""What must never be false where a group's state is in a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from bazar.replication.messages import Entry
from bazar.replication.shared.candidate import Won
from bazar.replication.shared.primary import SharedPrimary
from tests.simulation.invariants import Moment, Truth
from tests.world.database import Changes
from tests.world.world import Violation

if TYPE_CHECKING:
    from tests.simulation.clients import Clients
    from tests.simulation.shared.node import SharedProcess
    from tests.simulation.shared.world import SharedGroup, SharedProfile
    from tests.world.database.server import Server
    from tests.world.world import Process


class SharedTruth(Truth):
    """The record of one group. An entry counts as committed from when its primary is told so, or
    from when a successor has taken over behind it."""

    group: SharedGroup

    def __init__(self, books: int, stock: int, sales: Truth | None = None) -> None:
        super().__init__(books, stock, sales)
        self._leading = ""  # the id of the newest epoch
        self._shown: WeakKeyDictionary[Process, int] = WeakKeyDictionary()
        self._losing: Clients | None = None
        self._moments: dict[int, Moment] = {0: self.moment()}
        self._ends: dict[str, int] = {}  # of epochs that were cut: the last entry that is left

    # --- commits ---------------------------------------------------------------------------------

    def confirmed(self, primary: SharedPrimary, run: str, entries: Iterable[Entry]) -> None:
        """Check and record a batch whose COMMIT a primary has seen confirmed."""
        entries = [entry for entry in entries if not self._is_cut(entry, run)]
        if not entries:
            return
        if self._owner.setdefault(primary.epoch, run) != run:
            raise Violation(f"I1: {run} commits in the epoch of {self._owner[primary.epoch]}")
        news = self._record(entries, run)
        if news and primary.epoch < self.epoch:
            raise Violation(f"P4: {run} commits in epoch {primary.epoch} after {self.epoch}")
        self.epoch = max(self.epoch, primary.epoch)
        self.acknowledged(self.seq)
        if news:
            self._no_lease_is_ignorant(primary)
            self._nobody_holds_but(run, "commits")

    def taken_over(self, won: Won, process: SharedProcess, entries: Sequence[Entry]) -> None:
        """Check and record a take-over; `entries` are what the database has, and nobody was told
        of."""
        seq, epoch_id = won.mark.seq, won.mark.digest
        if self._losing is not None and self.group.newest("beat")["epoch_id"] != epoch_id:
            self._ends[epoch_id] = 0  # this was confirmed, and is lost
            return
        if self._losing is not None:
            self._rewind(self._losing, min(seq, self.seq), won.epoch - 1)
            self._losing = None
        if seq < self.seq:
            raise Violation(f"I3: {process.run} begins behind {seq}, and {self.seq} was committed")
        if won.epoch <= self.epoch:
            raise Violation(f"P3: epoch {won.epoch} begins after {self.epoch}")
        self._record(entries, process.run)
        if self.seq != seq:
            raise Violation(
                f"P3: {process.run} begins behind {seq}, and the log ends at {self.seq}"
            )
        self.epoch, self._leading = won.epoch, epoch_id
        self._nobody_holds_but(process.run, "takes over")
        for node in self.group.nodes:
            other = node.process
            if other is None or other is process:
                continue
            for subscriber in other.subscribers[:1] if getattr(other, "is_at_home", True) else ():
                if subscriber.lease_valid(other.time()):
                    raise Violation(f"P2: {process.run} takes over, and {other.run} has a lease")

    def _nobody_holds_but(self, run: str, does: str) -> None:
        """Check P1: one node at a time holds the primaryship."""
        for node in self.group.replicas:
            other = cast("SharedProcess | None", node.process)
            if other is None or other.run == run or other.primary is None:
                continue
            if other.may_read():
                raise Violation(f"P1: {run} {does}, and {other.run} still holds")

    def shown(self, server: Server, changes: Changes) -> None:
        """Check P4: what a server shows of a batch is under its own epoch's mark, and goes on from
        what was there."""
        schema = self.group.schema
        entries: list[Entry] = [
            row["entry"]
            for (table, _), row in changes.items()
            if table == f"{schema}.entries" and row is not None
        ]
        if not entries:
            return
        first, last = entries[0], entries[-1]
        mark = changes.get((f"{schema}.mark", True)) or {"number": None, "epoch_id": None}
        if (mark["number"], mark["epoch_id"]) != (last.seq, last.digest):
            raise Violation(f"P4: {server} shows {last.mark} under {dict(mark)}")
        before = self._shown.get(server.process, 0)
        if first.seq != before + 1:
            raise Violation(f"P4: {server} shows {first.mark} behind entry {before}")
        self._shown[server.process] = last.seq

    def _record(self, entries: Iterable[Entry], who: str) -> bool:
        news = False
        for entry in entries:
            if entry.seq <= self.seq:
                if self.digests[entry.seq] != entry.digest:
                    raise Violation(f"I2: {who} commits another entry {entry.seq}")
                continue
            if entry.seq != self.seq + 1:
                raise Violation(f"I2: {who} commits {entry.seq} after {self.seq}")
            self.digests.append(entry.digest)
            self._learn(entry)
            self.unsettled, news = False, True
        if cast("SharedProfile", self.group.world.profile).forgets:
            self._moments[self.seq] = self.moment()
        return news

    # --- commits that are lost -------------------------------------------------------------------

    def may_lose(self, clients: Clients) -> None:
        """Let the next epoch begin behind what the database has now, although more was committed
        (P6). Until then nobody shows less."""
        self._losing = clients

    def _rewind(self, clients: Clients, seq: int, known: int) -> None:
        """Go on as the truth of the new history: from here on nobody shows anything else."""
        self._ends[self._leading] = seq
        clients.before_put_back(self.group)
        self._moments = {at: moment for at, moment in self._moments.items() if at <= seq}
        lost = seq < self.seq
        self.put_back(self._moments[seq], known)
        self.epoch, self.unsettled = min(self.epoch, known), False
        clients.put_back(self.group, tuple(clients.open))
        self.group.world.say(self.group.name, f"has lost what was behind {seq}: {lost}")

    def _is_cut(self, entry: Entry, run: str) -> bool:
        """Return whether an entry is told to be committed after it was lost. Nobody writes in an
        epoch that was cut: check P4."""
        if entry.seq <= self._ends.get(entry.digest, entry.seq):
            return False
        if self.group.newest("mark")["epoch_id"] == entry.digest:
            raise Violation(f"P4: {run} goes on with {entry.mark}, and its commits were lost")
        return True


def shared(truth: Truth) -> SharedTruth:
    return cast(SharedTruth, truth)
