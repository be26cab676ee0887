"""What one role replicates in SQLite: its tables, and what is decided on their rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Protocol

from bazar.replication.store import Operation, Outcome


class Model(Protocol):
    """What one role replicates: its rows in SQLite, and what is decided on them."""

    tables: Mapping[str, str]
    """Each table with its primary key, a single column; they hold the whole state. One of them is
    `history`."""

    migrations: Sequence[str]

    def teach(self, connection: sqlite3.Connection) -> None:
        """Let a connection know the functions that triggers call."""

    def derive(self, connection: sqlite3.Connection) -> bool:
        """Make some more of what is derived of the rows and is not there yet, in the open
        transaction. Returns whether it is there then."""

    def seed(self) -> Sequence[Operation]:
        """What a brand-new group begins with (T0)."""

    def execute(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], first: int
    ) -> list[Outcome]:
        """Decide `operations` in order, each seeing those before it. Reads only; each outcome
        with a change takes the next number from `first`."""
