"""How long a process has waited for a processor: on a busy machine a late answer is no failure."""

from __future__ import annotations

from pathlib import Path


def starved_s(pid: int) -> float:
    """Return how long the process's first thread was ready to run while others ran, as Linux counts
    it; elsewhere 0."""
    try:
        waited_ns = Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1]
    except (OSError, IndexError):
        return 0.0
    return int(waited_ns) / 1e9
