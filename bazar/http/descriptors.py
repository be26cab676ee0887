"""How many files this process may have open, and how many of those connections may be."""

from __future__ import annotations

import contextlib
import resource

from bazar.errors import ConfigError

LEAST = 128  # a node at rest has some 40 open, and one more for each call and feed
ENOUGH = 1 << 16
RESERVED = 128


def raise_limit() -> None:
    """Take as many as this process may take by itself (`ulimit -n` is often 1024, a limit for
    programs that use `select`). Raises ConfigError if they can't be enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < ENOUGH:
        most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
        with contextlib.suppress(OSError, ValueError):  # macOS has a lower one of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    if limit() < LEAST:
        raise ConfigError(
            f"this process may open {limit()} files only; {LEAST} are needed: raise `ulimit -n`"
        )


def limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def for_connections(ports: int) -> int:
    """Return how many connections each of so many ports may hold. The rest is for all else: files,
    feeds, calls from and to other nodes."""
    most = limit()
    return (most - max(most // 4, min(RESERVED, most // 2))) // ports
