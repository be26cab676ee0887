"""The processor time (user and system) of other processes, as the kernel counts it.

It reads each process's own clock, as clock_getcpuclockid(3) names it: in nanoseconds, with threads
that have ended. /proc/PID/stat counts in hundredths of a second, and /proc/PID/schedstat has only
the main thread.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

READABLE = sys.platform == "linux"
MISSING = "The processor time of other processes is read on Linux only."
CPUCLOCK_SCHED = 2

Times = Mapping[str, Mapping[int, int]]
"""By node: nanoseconds of each of its processes."""


def clock_ns(pid: int) -> int:
    """Return the processor time of a process. Raises OSError if there is no such process."""
    return time.clock_gettime_ns(~pid << 3 | CPUCLOCK_SCHED)


def parent(stat: str) -> int:
    """Return the parent's id from a /proc/PID/stat; the program's name may hold any character.

    >>> parent("17 (a (b) c) S 4 17 17 0")
    4
    """
    return int(stat.rpartition(")")[2].split()[1])


def family(pid: int, parents: Mapping[int, int], others: Collection[int] = ()) -> set[int]:
    """Return the process and all its descendants, without the families of `others`.

    >>> sorted(family(2, {2: 1, 3: 2, 4: 3, 5: 1})), sorted(family(2, {3: 2, 4: 3, 5: 2}, [3]))
    ([2, 3, 4], [2, 5])
    """
    found, wanted = {pid}, {pid}
    while wanted:
        wanted = {child for child, its in parents.items() if its in wanted} - found - {*others}
        found |= wanted
    return found


def parent_of(pid: int, titled: str) -> int | None:
    """Return the parent of a process, if it is on this machine: its command line says `titled`, by
    which another one that has the same id elsewhere is told."""
    try:
        if titled.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return None
        return parent(Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace"))
    except OSError:
        return None


def _parents() -> dict[int, int]:
    """Return the parent of each process."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parents[int(path.parent.name)] = parent(path.read_text("utf-8", errors="replace"))
    return parents


def started_by(supervisor: int) -> dict[str, int]:
    """Return the process of each node that the supervisor has started."""
    found: dict[str, int] = {}
    for pid, its in _parents().items():
        if its == supervisor:
            with suppress(OSError):
                said = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if "--nodes" in said:  # else it has not begun yet
                    found[said[said.index("--nodes") + 1]] = pid
    return found


def read(nodes: Mapping[str, int]) -> Times:
    """Return what the processes of each node have used until now; a node is given by its first
    process."""
    parents = _parents()
    times: dict[str, dict[int, int]] = {}
    for node, pid in nodes.items():
        times[node] = {}
        for one in family(pid, parents, [other for other in nodes.values() if other != pid]):
            with suppress(OSError):
                times[node][one] = clock_ns(one)
    return times


def spent_s(before: Times, after: Times) -> dict[str, float]:
    """Return the seconds between two readings, by node. A process that has ended meanwhile is left
    out, as its second reading is missing.

    >>> spent_s({"a": {1: 10, 2: 70}}, {"a": {1: 500_000_010, 3: 1_000_000_000}})
    {'a': 1.5}
    """
    return {
        node: sum(ns - before.get(node, {}).get(pid, 0) for pid, ns in times.items()) / 1e9
        for node, times in after.items()
    }
