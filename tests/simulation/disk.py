"""A replica's disk: one database file, of which only whole, fsynced transactions survive.

The content is an immutable `Image`; a transaction replaces it by another. So a crash keeps the
image, a reader keeps the one with which it began, and a WAL that loses its last transactions
returns to an earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bazar.replication.effects import LogPage
from bazar.replication.messages import GENESIS, Entry, Mark
from storage.history import Epoch, epochs
from tests.simulation.shop import State, applied, history
from tests.world.world import Violation

VERSIONS_KEPT = 5


class Image(NamedTuple):
    """One state of the file: a log that begins after `base`, and rows as of `committed`."""

    base: Mark
    log: tuple[Entry, ...]
    committed: Mark
    state: State

    @property
    def pending(self) -> tuple[Entry, ...]:
        return self.log[self.committed.seq - self.base.seq :]

    @property
    def newest(self) -> Epoch:
        """Return the newest epoch that the log knows."""
        known = [Epoch(0, "", 0), *history(self.state)]
        for entry in self.pending:
            known += epochs(entry.effects.get("put", {}).get("history", ()))
        return known[-1]

    @property
    def last_seq(self) -> int:
        return self.base.seq + len(self.log)

    def mark_at(self, seq: int) -> Mark | None:
        index = seq - self.base.seq
        if index == 0:
            return self.base
        return self.log[index - 1].mark if 0 < index <= len(self.log) else None

    def page(self, after_seq: int, limit: int) -> LogPage:
        """Return what `ReadLog` asks for."""
        base = self.mark_at(after_seq)
        if base is None:
            return LogPage(None, (), False)
        first = after_seq - self.base.seq
        entries = self.log[first : first + limit]
        return LogPage(base, entries, first + len(entries) == len(self.log))

    def chunks(self, size: int) -> list[dict[str, list[Any]]]:
        """Return the rows in chunks of this size, as a snapshot carries them."""
        chunks: list[dict[str, list[Any]]] = []
        held = list(self.state.items())
        for first in range(0, len(held), size):
            chunk: dict[str, list[Any]] = {}
            for (table, _), row in held[first : first + size]:
                chunk.setdefault(table, []).append(row)
            chunks.append(chunk)
        return chunks or [{}]

    def persisted(self, after: Mark, entries: tuple[Entry, ...]) -> Image:
        """Return the image whose log ends at `after` and continues with the new entries."""
        if after.seq < self.committed.seq or self.mark_at(after.seq) != after:
            raise Violation(f"J2: {after} +{entries} is not of a log committed to {self.committed}")
        log = self.log[: after.seq - self.base.seq] + entries
        return self._replace(log=log)

    def applied(self, mark: Mark, keep: int, tables: Mapping[str, str]) -> Image:
        """Return the image in which pending entries up to `mark` are committed, and the log is
        compacted."""
        if self.mark_at(mark.seq) != mark or mark.seq < self.committed.seq:
            raise Violation(f"R6: {mark} is applied, and not on a log up to {self.committed}")
        first, last = self.committed.seq - self.base.seq, mark.seq - self.base.seq
        state = applied(self.state, self.log[first:last], tables)
        spare = last - keep
        if spare <= 0:
            return Image(self.base, self.log, mark, state)
        return Image(self.log[spare - 1].mark, self.log[spare:], mark, state)


EMPTY = Image(GENESIS, (), GENESIS, {})


class Disk:
    """The file, and the faults of the device below it."""

    def __init__(self, name: str, keep: int) -> None:
        self.name = name
        self.keep = keep
        self.image = EMPTY
        self.slow = False
        self.full = False
        self.hangs = False  # it takes requests, and never completes them
        self.deleted = False  # the processes that have it open do not notice
        # It has lost what was fsynced, up to this entry, and has not got it back yet.
        self.lost_seq = 0
        self._made = 0
        self._versions: list[Image] = []
        self.store = ""
        self.wipe()

    def wipe(self) -> None:
        """Begin a new, empty file: another store, which no membership knows."""
        self._made += 1
        self.store = f"{self.name}/{self._made}"
        self.image = EMPTY
        self.lost_seq = 0
        self.deleted = False
        self._versions.clear()

    def put_back(self, store: str, image: Image) -> None:
        """Put back the file as it was once."""
        self.store, self.image = store, image
        self.lost_seq = 0
        self._versions.clear()

    def rewind(self, image: Image) -> None:
        """Put back the file below a node of a group that goes on."""
        lost_seq = max(self.lost_seq, self.image.last_seq)
        self.put_back(self.store, image)
        self.lost_seq = lost_seq

    def write(self, image: Image) -> None:
        self._versions.append(self.image)
        if len(self._versions) > VERSIONS_KEPT:
            del self._versions[0]
        self.image = image

    def damage(self, transactions: int) -> bool:
        """Remove the last `transactions` from the WAL. Return whether there were any."""
        lost = self._versions[-transactions:]
        if not lost:
            return False
        self.lost_seq = max(self.lost_seq, self.image.last_seq)
        self.image = lost[0]
        del self._versions[-transactions:]
        return True

    @property
    def applied_last(self) -> bool:
        """Whether the last transaction was a commit of entries that were in the log already."""
        return bool(self._versions) and self._versions[-1].last_seq == self.image.last_seq

    @property
    def damaged(self) -> bool:
        return self.lost_seq > 0
