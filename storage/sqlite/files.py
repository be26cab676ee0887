"""Noticing that an open file is no longer the one at its path.

A file that is deleted stays with those who have it open, and takes every write and fsync without an
error; it is gone when the last of them ends. So what is acknowledged from it is nowhere (R8).
"""

from __future__ import annotations

from pathlib import Path

from bazar.errors import Fatal
from storage.sqlite.integrity import beside


class Place:
    """The database and its WAL (with what its readers share) as they are named now."""

    def __init__(self, database: Path) -> None:
        others = (beside(database, suffix) for suffix in ("-wal", "-shm"))
        self._files = {path: _identity(path) for path in (database, *others)}

    def check(self) -> None:
        """Raises Fatal unless each is the same file."""
        for path, known in self._files.items():
            if _identity(path) != known:
                raise Fatal(f"{path}: has been replaced while it was open")


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise Fatal(
            f"{path}: is not there any more, though it is open: {error.strerror or error}"
        ) from error
    return status.st_dev, status.st_ino
