"""Whether a group may begin on this machine, with an empty log (T0)."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

from bazar.addresses import is_own
from bazar.config import Config
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.messages import GENESIS
from storage.sqlite.errors import Damaged
from storage.sqlite.replica_file import ReplicaFile, closing, reading


def why_not_begin(config: Config, role: str, derived: str | None) -> str | None:
    """Return why the group of `role` may not begin here, and what to do; None if it may. `derived`
    is the role whose group keeps what follows from this group's log."""
    for path in histories(config, role):
        return (
            f"{config.data_dir}/{role}.members: is missing, and {path.name} has a log. Put it back,"
            f" or stop the shop and make it anew: python -m bazar rebuild {role}"
        )
    for node in config.group(role):
        if not is_own(node.host):
            return (
                f"nodes.{node.name}.host: {node.host} is no address of this machine, and two"
                f" machines can't share the lock of the {role} group. If all its nodes are to run"
                f" on this one: python -m bazar found {role}"
            )
    for trace in _traces(config, derived) if derived is not None else ():
        return (
            f"{config.data_dir}: {trace}, and the {role} databases that belong to it are missing:"
            f" put them back. To begin the {role} anew all the same: python -m bazar found {role}"
        )
    return None


def is_new(config: Config, roles: Collection[str]) -> bool:
    """Return whether there is no shop in the data directory, nor anything left of these groups."""
    begun = any(FileArbiter(config.data_dir, role).look() is not None for role in roles)
    return not begun and not any(path for role in roles for path in histories(config, role))


def histories(config: Config, role: str) -> Iterator[Path]:
    """Yield the databases of this group that hold anything, or can't be read."""
    for node in config.group(role):
        path = config.data_dir / f"{node.name}.db"
        if path.exists() and not _is_empty(node.name, path):
            yield path


def _is_empty(node: str, path: Path) -> bool:
    try:
        with closing([file := ReplicaFile(node, path)]):
            if file.schema() == 0:  # nothing was written into it
                return True
        with reading(node, path) as file:
            return file.tail()[1] == GENESIS
    except (Damaged, sqlite3.Error):
        return False


def _traces(config: Config, role: str) -> Iterator[str]:
    """Yield what is left of a group that was here before."""
    for path in histories(config, role):
        yield f"{path.name} has a log"
    membership = FileArbiter(config.data_dir, role).read()
    for member in sorted(membership.members) if membership is not None else ():
        if not (config.data_dir / f"{member.node}.db").exists():
            yield f"{role}.members names {member.node}, which has no database here"
