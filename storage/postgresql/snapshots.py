"""How what callers read is read: rows of one moment, which this node may show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from storage.postgresql.session import Row, Statement


class Snapshots(Protocol):
    """Reads committed rows, by the rules for reads."""

    async def read(
        self, tags: frozenset[str] | None, *statements: Statement
    ) -> Sequence[Sequence[Row]]:
        """Return the rows of each statement, all of one moment that this node may show about `tags`
        (None: anything)."""
