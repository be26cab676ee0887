"""Permissions: only its owner may read or write what is in the data directory.

A user who may open a lock's file may hold the lock, and then no replica can lead. One who may read
the databases has all orders, and with the token may do everything.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

log = logging.getLogger(__name__)

DIRECTORY, FILE = 0o700, 0o600
OTHERS = 0o077
OURS = ("*.db", "*.db-*", "*.db.*", "*.lock", "*.members", "*.pid", "token")


def make_private() -> None:
    """Make all files of this process private to its user from now on, SQLite's too."""
    os.umask(OTHERS)


def narrow(data_dir: Path, *, shared: bool) -> None:
    """Take from other users the permissions that an older version, or a user, has given them. In a
    directory that is `shared` with other programs' files, only our files are narrowed."""
    narrowed = [] if shared or not _narrow(data_dir) else [data_dir]
    for pattern in OURS:
        narrowed += [path for path in sorted(data_dir.glob(pattern)) if _narrow(path)]
    if narrowed:
        names = ", ".join(path.name for path in narrowed)
        log.warning("%s: was open to others, and is so no more: %s", data_dir, names)


def _narrow(path: Path) -> bool:
    """Return whether there was a permission to take. Raises OSError."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & OTHERS:
            return False
        path.chmod(mode & ~OTHERS)
    except FileNotFoundError:  # temporary, or a link to nothing
        return False
    except PermissionError:
        log.warning("%s: is open to others, and belongs to another user", path)
        return False
    return True
