"""How to read the status of nodes, which is JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bazar.config import NodeConfig
from bazar.replication.file_arbiter import this_machine

STATUS_PATH = "/status"

Status = dict[str, Any]
Statuses = dict[str, Status | None]


def machine_id() -> str:
    """Return what tells this machine from all others, and from itself before it was last booted."""
    return " ".join(this_machine())


def is_here(status: Status) -> bool:
    """Return whether its process is on this machine, where its process id means something."""
    return status.get("machine") == machine_id()


def processes(status: Status) -> list[Status]:
    """Return the status of each process of the node, in order of their names."""
    return sorted(status.get("processes", [status]), key=lambda one: str(one["node"]))


def primary_of(role: str, statuses: Mapping[str, Status | None]) -> Status | None:
    """Return the status of the group's primary; if two nodes say they are primary, of the newer
    epoch."""
    primaries = [s for s in statuses.values() if s and s["group"] == role and "members" in s]
    return max(primaries, key=lambda status: status["epoch"], default=None)


def is_well(node: NodeConfig, statuses: Statuses) -> bool:
    """Return whether the node answers and is in sync, or for a front end holds all its leases."""
    status = statuses[node.name]
    if status is None:
        return False
    if "sources" in status:
        there = processes(status)
        return len(there) == node.processes and all(
            source["lease_s"] > 0 for one in there for source in one["sources"].values()
        )
    primary = primary_of(node.role, statuses)
    return primary is not None and node.name in primary["members"]
