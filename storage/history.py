"""Epochs, and the positions in them: which of two logs goes on from the other (H1, H2).

A table `history` of every replicated group has one row for each epoch that has committed anything.
As a number, a position has its epoch in the high bits and its entry in the low ones: along one
history it only grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bazar.errors import ForeignHistory
from bazar.replication.messages import Change
from bazar.replication.store import Operation

EPOCH_SHIFT = 40

TABLES: Mapping[str, str] = {"history": "epoch"}


class Epoch(NamedTuple):
    """One epoch of a history: its number, its id, and the number of the last entry before it."""

    number: int
    id: str
    behind: int


@dataclass(frozen=True, slots=True)
class Position:
    """An entry of a log, as another group refers to it; number 0 is before the first. `id` is its
    epoch's, None in data from before epochs had ids."""

    number: int = 0
    id: str | None = None

    @property
    def epoch(self) -> int:
        return self.number >> EPOCH_SHIFT

    @property
    def seq(self) -> int:
        return seq_of(self.number)

    def __str__(self) -> str:
        return f"entry {self.seq} of epoch {self.epoch} ({self.id or 'without an id'})"

    @property
    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: `{"number", "id"}`."""
        return {"number": self.number, "id": self.id}

    @classmethod
    def of(cls, plain: Any) -> Position:
        """Return the position that `plain` was made from. Raises ValueError."""
        if isinstance(plain, dict) and {"number", "id"} <= plain.keys():
            number, name = plain["number"], plain["id"]
            if isinstance(number, int) and 0 <= number < 1 << 63 and isinstance(name, str | None):
                return cls(number, name)
        raise ValueError(f"no position: {str(plain)[:100]}")


def number_of(epoch: int, seq: int) -> int:
    """Return the number of an entry's position."""
    return (epoch << EPOCH_SHIFT) + seq


def seq_of(number: int) -> int:
    """Return which entry a position's number names."""
    return number & ((1 << EPOCH_SHIFT) - 1)


def begun(operation: Operation, first: int) -> Epoch:
    """Return the epoch that an operation begins, with the change of number `first` (H1)."""
    return Epoch(operation["epoch"], operation["id"], seq_of(first) - 1)


def beginning(epoch: Epoch) -> Change:
    """Return the change that records an epoch. It touches nothing that is cached."""
    row = {"epoch": epoch.number, "id": epoch.id, "behind": epoch.behind}
    return Change((), {"put": {"history": [row]}})


def epochs(rows: Iterable[Mapping[str, Any]]) -> tuple[Epoch, ...]:
    """Return the epochs in rows of `history`, which are in order."""
    return tuple(Epoch(row["epoch"], row["id"], row["behind"]) for row in rows)


def is_on(history: Sequence[Epoch], position: Position, last_seq: int) -> bool:
    """Return whether a position is on the history whose log ends at `last_seq` (H2). `history`
    needs the position's epoch, those after it, and the newest."""
    if not position.number:
        return True
    own = next((epoch for epoch in history if epoch.number == position.epoch), None)
    if position.id is not None and (own is None or own.id != position.id):
        return False
    if own is None and history and history[-1].number < position.epoch:
        return False
    later = next((epoch for epoch in history if epoch.number > position.epoch), None)
    behind = own.behind if own is not None else 0
    return behind < position.seq <= (later.behind if later is not None else last_seq)


def id_of(history: Iterable[Epoch], number: int) -> str | None:
    """Return the id of the epoch that a position's number is in, None if that has none."""
    return next((e.id for e in history if e.number == number >> EPOCH_SHIFT), None)


def check(history: Sequence[Epoch], position: Position, last_seq: int) -> None:
    """Refuse an orders' cursor that is not on the catalog's history. Raises ForeignHistory."""
    if not is_on(history, position, last_seq):
        raise ForeignHistory(
            f"the orders follow a history that the catalog does not have: their cursor is at"
            f" {position}. One of the two was put back to an earlier moment, or cut: put the other"
            " back to the same one, or have the orders follow the catalog as it is now, by"
            " `python -m bazar adopt`"
        )
