"""Compare the files of all replicas: digests, logs and every row; show what differs."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping

from bazar.commands import Shop
from bazar.commands.status import table
from handlers import REPLICATED
from storage.compare import Difference, ReplicaFile, closing, differences, same_moment

SHOWN = 20
SAME_MOMENT_S = 5.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    pass


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Exit code 1 if anything is not the same, or can't be compared."""
    equal = True
    for role, service in REPLICATED.items():
        equal &= _verify(shop, role, service.tables)
    return 0 if equal else 1


def _verify(shop: Shop, role: str, tables: Mapping[str, str]) -> bool:
    data_dir = shop.config.data_dir
    files = [
        ReplicaFile(node.name, data_dir / f"{node.name}.db") for node in shop.config.group(role)
    ]
    with closing(files):
        together = same_moment(files, SAME_MOMENT_S)
        print(f"{role}: " + ", ".join(f"{file.node} at {file.committed}" for file in files))
        faults = [fault for file in files for fault in file.faults(tables)]
        for fault in faults:
            print(f"  {fault}")
        if not together:
            print("  not at the same entry: is a replica down or catching up?")
        elif len({file.committed for file in files}) > 1:
            print("  the digests differ: the logs are not the same")
        found = list(itertools.islice(differences(files, tables), SHOWN + 1))
        for difference in found[:SHOWN]:
            _show(difference)
        if len(found) > SHOWN:
            print(f"  … and more than these {SHOWN}")
        same = together and not faults and not found
        same &= len({file.committed for file in files}) == 1
        print("  the same everywhere" if same else "  NOT the same")
        return same


def _show(difference: Difference) -> None:
    print(f"  {difference.table} {difference.key}:")
    nodes = list(difference.rows)
    lines = [["", *nodes]]
    for name in difference.columns():
        cells = (difference.rows[node] for node in nodes)
        lines.append([name, *("(missing)" if row is None else str(row[name]) for row in cells)])
    for line in table(lines).split("\n"):
        print(f"    {line}")
