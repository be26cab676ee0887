"""What lies in the data directory is its owner's alone.

Whoever may open a lock's file may hold the lock, and then no replica leads any more; whoever may
read the databases has all orders, and with the token everything.
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
    """What this process makes from now on, SQLite's files too, is for its user only."""
    os.umask(OTHERS)


def narrow(data_dir: Path, *, shared: bool) -> None:
    """Take from others what an older version, or somebody else, has let them have. Of a directory
    that is `shared` with what is not ours only our files."""
    narrowed = [] if shared or not _narrow(data_dir) else [data_dir]
    for pattern in OURS:
        narrowed += [path for path in sorted(data_dir.glob(pattern)) if _narrow(path)]
    if narrowed:
        names = ", ".join(path.name for path in narrowed)
        log.warning("%s: was open to others, and is so no more: %s", data_dir, names)


def _narrow(path: Path) -> bool:
    """Whether there was anything to take. Raises OSError."""
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
