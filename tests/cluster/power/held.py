"""What the files of a state show by themselves, without a process."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from bazar.errors import FatalError
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.messages import Member
from storage.catalog import Catalog
from storage.orders import Orders
from storage.sqlite.catalog import CatalogRows
from storage.sqlite.integrity import find_damage
from storage.sqlite.model import Model
from storage.sqlite.orders import OrderRows
from storage.sqlite.wal import rewrite_wal
from tests.cluster.power.disk import State
from tests.cluster.power.stage import Recording, write_state

MODELS: dict[str, Model] = {"catalog": CatalogRows(Catalog()), "order": OrderRows(Orders())}
NODES = {role: (f"{role}-1", f"{role}-2") for role in MODELS}
PLACE = {"catalog": ("sales", "key"), "order": ("orders", "order_id")}


def faults(state: State, recording: Recording, cut: int, place: Path) -> list[str]:
    """Return what is wrong with a state, which is written to `place`. Each member of an in-sync set
    must have, alone, all that was acknowledged before the cut, and no file may be taken for
    damaged."""
    write_state(place, state)
    token = state.get("data/token", b"").decode().strip()
    found = []
    if cut >= recording.trusted_at and token != recording.token:
        found.append(f"the token is {token!r}, though people may have read another")
    for role in NODES:
        found += _of_group(role, recording, cut, place / "data")
    return found


def _of_group(role: str, recording: Recording, cut: int, data: Path) -> Iterator[str]:
    damaged = set()
    for node in NODES[role]:
        path = data / f"{node}.db"
        rewrite_wal(path)  # as every node begins
        if (wrong := find_damage(path, MODELS[role])) is not None:
            damaged.add(node)
            if node != recording.hurt:
                yield f"{node} is taken for damaged: {wrong}"
    acknowledged = recording.acknowledged(cut)
    wanted = {one.key if role == "catalog" else one.order_id for one in acknowledged}
    try:
        membership = FileArbiter(data, role).read()
    except FatalError as error:
        yield str(error)
        return
    if membership is None:
        begun = [node for node in NODES[role] if _has_begun(data / f"{node}.db")]
        if wanted or begun:
            yield f"{role} has no membership, {len(wanted)} acknowledged sales, logs of {begun}"
        return
    for member in sorted(membership.members):
        path = data / f"{member.node}.db"
        if member.node in damaged or (member.node == recording.hurt and not _is_of(member, path)):
            continue  # a file that is set aside is no loss: its successor is no member
        if not _is_of(member, path):
            yield f"{member.node} has not the file with which it is a member"
        elif lacks := wanted - _logged(path, role):
            yield f"{member.node}, a member, lacks {len(lacks)} of {len(wanted)}, as {min(lacks)}"


def _is_of(member: Member, path: Path) -> bool:
    """Return whether this is the file that makes a node a member (T1)."""
    return _ask(path, "SELECT value FROM meta WHERE name = 'store_id'") == [(member.store,)]


def _has_begun(path: Path) -> bool:
    """Return whether a replica's log has an entry: then it starts no new shop (T0)."""
    return _ask(path, "SELECT 1 FROM log LIMIT 1") == [(1,)]


def _logged(path: Path, role: str) -> set[str]:
    """Return the sales' keys, or the orders' ids, that a file holds, committed or pending."""
    table, column = PLACE[role]
    held = {key for (key,) in _ask(path, f"SELECT {column} FROM {table}")}
    pending = "SELECT effects FROM log WHERE seq > (SELECT value FROM meta WHERE name = ?)"
    for (effects,) in _ask(path, pending, "committed_seq"):
        held |= {row[column] for row in json.loads(effects).get("put", {}).get(table, ())}
    return held


def _ask(path: Path, sql: str, *values: str) -> list[tuple[Any, ...]]:
    """Return the rows; none if there is no such table: the file is new, or missing."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.Error):
        return connection.execute(sql, values).fetchall()
    return []
