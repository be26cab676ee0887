"""What is read of a group's history in PostgreSQL; its table is the protocol's (`schema.py`)."""

from __future__ import annotations

from collections.abc import Iterable

from storage.history import Epoch
from storage.postgresql.session import Row

COLUMNS = {"epoch": "bigint", "id": "text", "behind": "bigint"}


def epochs_since(schema: str) -> str:
    """Return a statement that reads the epochs from $1 on. The newest comes along: it says that an
    epoch beyond it is unknown here."""
    return (
        f"SELECT epoch, id, behind FROM {schema}.history"
        f" WHERE epoch >= $1 OR epoch = (SELECT max(epoch) FROM {schema}.history) ORDER BY epoch"
    )


def epochs(rows: Iterable[Row]) -> tuple[Epoch, ...]:
    """Return the epochs in rows of `epochs_since`."""
    return tuple(Epoch(*row) for row in rows)
