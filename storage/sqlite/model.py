"""What one role replicates in SQLite: its tables, and what is decided on their rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Protocol

from bazar.replication.store import Operation, Outcome


class Model(Protocol):
    """One role's tables in SQLite, and its decisions."""

    tables: Mapping[str, str]
    """Each table with its primary key, a single column; they hold the whole state. One of them is
    `history`."""

    migrations: Sequence[str]

    def teach(self, connection: sqlite3.Connection) -> None:
        """Give a connection the functions that triggers call."""

    def derive(self, connection: sqlite3.Connection) -> bool:
        """Make the next slice of what is derived from the rows, in the open transaction. Return
        whether all of it is made."""

    def compact(self, connection: sqlite3.Connection) -> None:
        """Take a slice of what rows that are gone have left in what is derived, if it is much, in
        the transaction that is about to be committed."""

    def seed(self) -> Sequence[Operation]:
        """Return the operations with which a new group begins (T0)."""

    def execute(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], first: int
    ) -> list[Outcome]:
        """Decide `operations` in order, each seeing those before it (R1). It only reads; each
        outcome with a change takes the next number from `first`."""
