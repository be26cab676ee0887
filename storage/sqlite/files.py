"""The files that one database is made of: their names, and whether they are still there.

A deleted file stays with the processes that have it open, and takes every write and fsync without
an error; it is gone when the last of them ends. So what they acknowledge is nowhere (R8).
"""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

from bazar.durable import sync_path
from bazar.errors import FatalError
from storage.sqlite.errors import translated_os_errors


def beside(database: Path, suffix: str) -> Path:
    """Return the path of a file that belongs to the database: beside where links lead, as SQLite
    has it for its WAL."""
    real = database.resolve()
    return real.with_name(real.name + suffix)


def is_new(path: Path) -> bool:
    """Return whether SQLite will find nothing there."""
    return not path.exists() or path.stat().st_size == 0


class OpenFiles:
    """Knows the database, its WAL, and the index of that, as they are when it is made."""

    def __init__(self, database: Path) -> None:
        others = (beside(database, suffix) for suffix in ("-wal", "-shm"))
        self._files = {path: _identity(path) for path in (database, *others)}

    def check(self) -> None:
        """Check that each path still names the same file. Raises FatalError."""
        for path, known in self._files.items():
            if _identity(path) != known:
                raise FatalError(f"{path}: has been replaced while it was open")


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise FatalError(
            f"{path}: is not there any more, though it is open: {error.strerror or error}"
        ) from error
    return status.st_dev, status.st_ino


def set_aside(database: Path) -> Path:
    """Move the database and its files away, durably, and return its new path. Raises FatalError
    while the disk fails."""
    real = database.resolve()
    aside = next(
        path
        for number in itertools.count(1)
        if not (path := real.with_name(f"{real.name}.damaged-{number}")).exists()
    )
    # The note of how far the log has reached goes last, once the rest is away for good: after a
    # crash in between, the database is still found damaged.
    with translated_os_errors(real):
        for suffixes in (("-wal", "-shm", ""), ("-reached",)):
            for suffix in suffixes:
                with contextlib.suppress(FileNotFoundError):
                    file = real.with_name(real.name + suffix)
                    sync_path(file)
                    file.rename(aside.with_name(aside.name + suffix))
            sync_path(real.parent)
    return aside
