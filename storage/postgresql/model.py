"""What one role keeps in PostgreSQL: its tables, and what is decided on their rows.

It asks nobody: it names statements, and is told their rows. So a batch can be done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from bazar.replication.messages import Entry
from bazar.replication.store import Operation, Outcome
from storage.postgresql.session import Row, Session, Statement


class Model(Protocol):
    """One role's tables in PostgreSQL, and its decisions."""

    schema: str
    """All that is the group's own has its name in this schema."""

    tables: Mapping[str, str]
    """Each table with its primary key, a single column; they hold the whole state."""

    migrations: Sequence[Sequence[str]]
    """How many a database has had is its version: a new one goes to the end."""

    def seed(self) -> Sequence[Operation]:
        """Return the operations with which a new group begins (T0)."""

    def loads(self, operations: Sequence[Operation]) -> tuple[Statement, ...]:
        """Return the statements that read what `execute` needs."""

    def execute(
        self, operations: Sequence[Operation], results: Sequence[Sequence[Row]], first: int
    ) -> list[Outcome]:
        """Decide `operations` in order, each seeing those before it (R1), on the rows of `loads`;
        each outcome with a change takes the next number from `first`."""

    async def derive(self, session: Session, epoch_id: str) -> bool:
        """Make the next slice of what is derived from the rows, as an act of the primary of this
        epoch. Return whether all of it is made. Raises FatalError where the epoch is over."""

    def writes(self, entries: Iterable[Entry]) -> list[Statement]:
        """Return the statements that write the last image of each row that `entries` touch, and
        what is derived from it."""
