"""Whether the files of a group's replicas hold the same: digests, logs, and every row."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.sqlite.replica_file import ReplicaFile

RETRY_S = 0.01


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not the same everywhere: by node its columns, None where it is missing."""

    table: str
    key: Any
    rows: Mapping[str, Mapping[str, Any] | None]

    def columns(self) -> list[str]:
        """The columns that differ; all of them if a replica lacks the row."""
        present = [row for row in self.rows.values() if row is not None]
        names = list(present[0])
        if len(present) < len(self.rows):
            return names
        return [name for name in names if len({row[name] for row in present}) > 1]


def same_moment(files: Sequence[ReplicaFile], timeout_s: float) -> bool:
    """Look at all files at one and the same entry, while writes go on; False if it can't be had."""
    deadline = time.monotonic() + timeout_s
    while True:
        if len({file.look().seq for file in files}) == 1:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(RETRY_S)


def differences(files: Sequence[ReplicaFile], tables: Mapping[str, str]) -> Iterator[Difference]:
    """Every row that is not the same in all `files`; `tables` names each table's key."""
    for table, key in tables.items():
        cursors = {file.node: file.rows(table, key) for file in files}
        heads = {node: next(rows, None) for node, rows in cursors.items()}
        while any(row is not None for row in heads.values()):
            lowest = min(row[key] for row in heads.values() if row is not None)
            at = {
                node: dict(row) if row is not None and row[key] == lowest else None
                for node, row in heads.items()
            }
            if any(row != at[files[0].node] for row in at.values()):
                yield Difference(table, lowest, at)
            for node in heads:
                if at[node] is not None:
                    heads[node] = next(cursors[node], None)
