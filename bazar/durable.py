"""Files and directories that are still there after a power cut.

A file that was synced may still lose its name: names are in the directory, which must be synced,
too (POSIX; Pillai et al., 2014).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from bazar import modes


def sync_path(path: Path) -> None:
    """Make the content of a file durable, or the names in a directory."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Make `path` and its parents, durably.

    Its name is synced even if it exists already: what made it may have ended before the sync.
    """
    made = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(mode=modes.DIRECTORY, parents=True, exist_ok=True)
    for one in made or [path]:
        with contextlib.suppress(PermissionError):  # a directory that we may not read
            sync_path(one.parent)


def atomic_write(path: Path, content: bytes, mode: int = modes.FILE) -> None:
    """Write `path` so that after any crash it holds the old content or the new, whole."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        left = content
        while left:
            left = left[os.write(fd, left) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.replace(path)
    sync_path(path.parent)
