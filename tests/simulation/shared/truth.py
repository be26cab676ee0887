"""What must never be false where a group's state is in a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from bazar.replication.messages import Entry
from bazar.replication.shared.candidate import Won
from bazar.replication.shared.primary import SharedPrimary
from tests.simulation.invariants import Truth
from tests.world.database import Changes
from tests.world.world import Violation

if TYPE_CHECKING:
    from tests.simulation.shared.node import SharedProcess


class SharedTruth(Truth):
    """The record of one group. An entry counts as committed from when its primary is told so, or
    from when a successor has taken over behind it."""

    def confirmed(self, primary: SharedPrimary, run: str, entries: Iterable[Entry]) -> None:
        """Check and record a batch whose COMMIT a primary has seen confirmed."""
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
        seq = won.mark.seq
        if seq < self.seq:
            raise Violation(f"I3: {process.run} begins behind {seq}, and {self.seq} was committed")
        if won.epoch <= self.epoch:
            raise Violation(f"P3: epoch {won.epoch} begins after {self.epoch}")
        self._record(entries, process.run)
        if self.seq != seq:
            raise Violation(
                f"P3: {process.run} begins behind {seq}, and the log ends at {self.seq}"
            )
        self.epoch = won.epoch
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

    def shown(self, schema: str, server: str, changes: Changes) -> None:
        """Check P4: what a server shows of a batch is under its own epoch's mark."""
        entries: list[Entry] = [
            row["entry"]
            for (table, _), row in changes.items()
            if table == f"{schema}.entries" and row is not None
        ]
        if entries:
            last = max(entry.seq for entry in entries)
            mark = changes.get((f"{schema}.mark", True)) or {"number": None, "epoch_id": None}
            expected = last, entries[-1].digest
            if (mark["number"], mark["epoch_id"]) != expected:
                raise Violation(f"P4: {server} shows {expected} under {dict(mark)}")

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
        return news


def shared(truth: Truth) -> SharedTruth:
    return cast(SharedTruth, truth)
