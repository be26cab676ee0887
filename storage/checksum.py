"""A checksum over all rows of a replica, kept in step with each change, whatever keeps the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from bazar.replication.messages import Mark

CHECKSUM = "rows"
"""The name under which the checksum is kept. Programs from before the table `history` sum fewer
tables, and read `checksum`: they must refuse a newer file, and not take it for damaged."""


def checksum(table: str, rows: Iterable[Iterable[Any]]) -> int:
    """Return the XOR of a hash of each row: their order does not matter, and a row that changes
    changes it by its hashes before and after (incremental hashing: Bellare & Micciancio, 1997)."""
    total = 0
    for row in rows:
        text = repr((table, *row))
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        total ^= int.from_bytes(digest, "big")
    return total


def seal(total: int, store_id: str, mark: Mark) -> str:
    """Return what is kept of the checksum: it holds for this store at this mark only."""
    return f"{total ^ _checksum_of(store_id, mark):016x}"


def unseal(sealed: str, store_id: str, mark: Mark) -> int:
    """Return the checksum that `seal` has sealed. Raises ValueError where that is no number."""
    return int(sealed, 16) ^ _checksum_of(store_id, mark)


def _checksum_of(store_id: str, mark: Mark) -> int:
    return checksum("meta", [(store_id, mark.seq, mark.digest)])
