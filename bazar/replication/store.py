"""What the driver asks of whatever keeps the log and the state."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bazar.errors import BazarError
from bazar.replication.effects import LogPage
from bazar.replication.messages import Change, Entry, Mark, Snapshot

Operation = Mapping[str, Any]
Answer = dict[str, Any]
R = TypeVar("R", covariant=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation came to: its answer or refusal, and what it changes, if anything."""

    answer: Answer | BazarError
    change: Change | None = None


Extend = Callable[[Sequence[Outcome]], tuple[Entry, ...]]
"""Puts what a batch came to behind the log: no entries where there is nothing to write."""


class BatchStore(Protocol):
    """Where a primary executes its batches, one at a time."""

    keep_from: int | None
    """The log from this entry on is needed, however long it is."""

    def seed(self) -> Sequence[Operation]:
        """Return what a brand-new group begins with (T0)."""

    async def execute(
        self, operations: Sequence[Operation], epoch: int, extend: Extend
    ) -> tuple[list[Outcome], tuple[Entry, ...]]:
        """Open a transaction, decide `operations` in it, each seeing those before it (R1), and
        write what `extend` makes of them. It stays open if there are entries. The first of an epoch
        is `{"op": "begin", "epoch", "id"}` (H1)."""

    async def rollback(self) -> None:
        """Undo the open transaction, if there is one."""


class Store(BatchStore, Protocol):
    """The log and the state it leaves. The writing methods are called one at a time; any error
    they raise, but for `execute`, ends the node."""

    store_id: str
    committed: Mark
    pending: list[Entry]
    epoch: int
    epoch_id: str
    """The newest epoch that the log knew when it was opened, with its id (H1)."""

    def check(self) -> None:
        """Raise FatalError if what is written here is no more in the file at its place (R8)."""

    async def probe(self) -> None:
        """Return once the disk has taken a write, fsynced (T1)."""

    async def sync(self) -> None:
        """Return once the disk has taken a write, fsynced, whatever transaction is open (T4).
        Raises FatalError as `check` does."""

    async def persist(self, after: Mark, entries: tuple[Entry, ...]) -> None:
        """Replace the log behind `after` by `entries`, fsynced."""

    async def apply(self, mark: Mark, *, synced: bool = True) -> None:
        """Make everything up to `mark` the committed state, fsynced unless that need not be: at a
        follower a power cut may undo it, but not the log (R6)."""

    async def install(self, chunk: Snapshot) -> None:
        """Take one chunk of a snapshot; the final one replaces the state at once (J3)."""

    async def read_log(self, after_seq: int) -> LogPage:
        """Return the entries behind `after_seq`, up to a page."""

    def snapshot(self) -> AsyncGenerator[Snapshot, None]:
        """Yield the committed state at one moment, in chunks. It is kept until this is closed."""
