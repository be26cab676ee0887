"""How long a process has waited for a processor: on a busy machine that is not its fault."""

from __future__ import annotations

from pathlib import Path


def starved_s(pid: int) -> float:
    """How long the process's first thread was ready to run and others ran, as Linux counts it; 0
    elsewhere."""
    try:
        waited_ns = Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1]
    except (OSError, IndexError):
        return 0.0
    return int(waited_ns) / 1e9
