"""What the protocol asks of a group's database (P1-P7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bazar.replication.messages import Mark
from bazar.replication.store import BatchStore


@dataclass(frozen=True, slots=True)
class Beat:
    """The row by which a primary shows that it lives (P1). Before the first epoch, and once its
    holder has handed over, it is `released` (T5)."""

    epoch: int
    epoch_id: str
    value: str
    released: bool
    holder: str | None
    over_ms: int
    """How long it must have been seen until its holder, by its own settings, surely holds no
    more."""


@dataclass(frozen=True, slots=True)
class Look:
    """A beat, and the number of the connection to one writable server that showed it (P3)."""

    beat: Beat
    connection: int


@dataclass(frozen=True, slots=True)
class Word:
    """What a candidate that does not reach the primary has left in the database: the beat's value
    that it saw then, and how many subscribers said hello to it (P7)."""

    node: str
    value: str
    hears: int


class Register(Protocol):
    """The beat and the mark of a group. Every method has a bound in time, and raises Unavailable
    where it could not be carried out: what it wrote is in doubt then (P5)."""

    async def look(self) -> Look:
        """Return the beat as a writable server shows it, and over which connection."""

    async def take_over(
        self, seen: Beat, new: Beat, before_commit: Callable[[], None]
    ) -> Mark | None:
        """Begin an epoch with the beat `new`, if the beat is still the one that was `seen` (P3).
        Return the mark that it begins with, once that is confirmed; None if another was faster.
        `before_commit` is called before anybody can see the new beat."""

    async def beat(
        self, epoch_id: str, value: str, committed: int, timeout_s: float
    ) -> Sequence[Word]:
        """Set the beat of our epoch, and return the words that candidates have left, once that is
        confirmed. Raises FatalError if the epoch is over, or if the mark lies before the entry
        `committed`, which the database has lost then (P4)."""

    async def release(self, epoch_id: str) -> None:
        """Say that the epoch is over, and its leases, too (T5)."""

    async def leave_word(self, word: Word) -> None:
        """Leave word for the primary (P7)."""

    def disconnect(self) -> None:
        """Give up what is under way, at once, and connect anew next time."""


class SharedStore(BatchStore, Protocol):
    """A primary's batches in the database. `execute` locks the mark, and raises FatalError where it
    is not what this primary wrote last, or where it can't set the next (P4)."""

    def begin_epoch(self, mark: Mark) -> None:
        """Go on from the mark that the take-over has confirmed, and from no other (P4)."""

    async def commit(self, mark: Mark) -> None:
        """Commit up to `mark`. Raises FatalError unless that is confirmed (P5)."""

    def disconnect(self) -> None:
        """Give up what is under way, at once: it is in doubt."""


class Database(Protocol):
    """A group's database, as one node reaches it."""

    @property
    def register(self) -> Register: ...

    @property
    def store(self) -> SharedStore: ...

    async def open(self) -> str:
        """Return the database's own id, once the group's tables are there, for this program. Raises
        Unavailable while no writable server answers, ConfigError where another shop, or a newer
        program, has them."""

    async def upgrade(self, epoch_id: str) -> None:
        """Bring the tables up to this program's version, as an act of the primary of this epoch.
        Raises Unavailable where that could not be confirmed."""

    async def derive(self, epoch_id: str) -> bool:
        """Make the next slice of what is derived from the rows, where another version of this
        program has made it, as an act of the primary of this epoch. Return whether all is made.
        Raises as `upgrade` does."""

    def status(self) -> Mapping[str, object]:
        """Return what an operator wants to know of the servers, as JSON."""

    async def close(self) -> None:
        """End all sessions."""
