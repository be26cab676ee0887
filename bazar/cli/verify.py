"""Compare the files of all replicas: digests, logs and every row, and sales with orders.

Every difference is printed. Over PostgreSQL there is one copy of each row: each group is checked by
itself, and sales are compared with orders. Of a backup the same is checked, and its checksums.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping
from pathlib import Path

from bazar.cli import Shop
from bazar.cli.places import held
from bazar.node.token import cluster_token
from bazar.table import table
from storage.backup import checking
from storage.backup.reading import Backup
from storage.engines import models_over_files
from storage.reconciliation import Reconciliation
from storage.sqlite import integrity
from storage.sqlite.compare import Difference, compare_sales, differences, same_moment
from storage.sqlite.model import Model
from storage.sqlite.replica_file import ReplicaFile, closing
from storage.sqlite.wal import lacks_wal

SHOWN = 20
SAME_MOMENT_S = 5.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="a backup, to be checked instead of the shop",
    )


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Print the comparison. Return 1 if anything differs, or can't be compared."""
    if flags.file is not None:
        return 0 if await _verify_backup(flags.file) else 1
    if shop.config.engine.kind == "postgresql":
        return 0 if await _verify_databases(shop) else 1
    equal, models = True, models_over_files()
    for role, model in models.items():
        equal &= _verify(shop, role, model)
    return 0 if _verify_sales(shop, models) and equal else 1


def _verify(shop: Shop, role: str, model: Model) -> bool:
    data_dir = shop.config.data_dir
    files = [
        ReplicaFile(node.name, data_dir / f"{node.name}.db") for node in shop.config.group(role)
    ]
    with closing(files):
        others = {file.node: why for file in files if (why := _unreadable(file, model))}
        if others:
            for node, why in others.items():
                print(f"{role}: {node} {why}")
            return False
        together = same_moment(files, SAME_MOMENT_S)
        print(f"{role}: " + ", ".join(f"{file.node} at {file.committed}" for file in files))
        faults = [f"{f.node}: is a copy without its WAL" for f in files if lacks_wal(f.path)]
        faults += [fault for file in files for fault in integrity.faults_of(file, model.tables)]
        for fault in faults:
            print(f"  {fault}")
        if not together:
            print("  not at the same entry: is a replica down or catching up?")
        elif len({file.committed for file in files}) > 1:
            print("  the digests differ: the logs are not the same")
        found = list(itertools.islice(differences(files, model.tables), SHOWN + 1))
        for difference in found[:SHOWN]:
            _show(difference)
        if len(found) > SHOWN:
            print(f"  … and more than these {SHOWN}")
        same = together and not faults and not found
        same &= len({file.committed for file in files}) == 1
        print("  the same everywhere" if same else "  NOT the same")
        return same


def _unreadable(file: ReplicaFile, model: Model) -> str | None:
    """Return why nothing can be said of a file's rows, None if that can be."""
    if (why := file.other_version(model)) is not None:
        return why
    lacking = file.lacks(model.tables)
    return f"has lost {', '.join(lacking)}" if lacking else None


def _verify_sales(shop: Shop, models: Mapping[str, Model]) -> bool:
    """Return whether, at the first replicas, each sale has its order and each order its sale."""
    orders, catalog = (_first(shop, role) for role in ("order", "catalog"))
    if orders is None or catalog is None:
        return True  # there is nothing to compare with
    with closing([orders, catalog]):
        both = (("order", orders), ("catalog", catalog))
        if any(_unreadable(file, models[role]) for role, file in both):
            return False
        found = compare_sales(orders, catalog)
    return _tell_sales(found)


def _tell_sales(found: Reconciliation) -> bool:
    """Print which sales and orders lack each other. Return whether that is no fault."""
    faults = list(found.faults)
    print(f"sales and orders: {found.cursor if found.cursor.number else 'none yet'}")
    for fault in faults:
        print(f"  {fault}")
    if found.adopted.count:
        print(
            f"  orders of which the catalog has lost something, as an operator has chosen,"
            f" {found.adopted}"
        )
    if found.waiting:
        print(
            "  sales and cancellations that the orders are yet to follow, which they do within a"
            f" moment while the shop runs: {found.waiting}"
        )
    each = "each other sale" if found.waiting else "each sale"
    print("  NOT the same" if faults else f"  {each} has its order")
    return not faults


def _first(shop: Shop, role: str) -> ReplicaFile | None:
    group = shop.config.group(role)
    return (
        ReplicaFile(group[0].name, shop.config.data_dir / f"{group[0].name}.db") if group else None
    )


async def _verify_backup(path: Path) -> bool:
    """Return whether a backup is whole, and holds a shop. Raises NotFound, BadBackup."""
    async with held(Backup(path)) as backup:
        print(f"{path}: whole, of {backup.origin} as of {backup.made_at}")
        for role, rows in backup.counts.items():
            counted = ", ".join(f"{count} {table}" for table, count in rows.items())
            print(f"{role}: up to entry {backup.standings[role].number}: {counted}")
        faults = list(checking.faults_of(backup))
        for fault in faults:
            print(f"  {fault}")
        # Where a value is none that its column can have, nothing more can be said.
        return not faults and _tell_sales(checking.reconciled(backup))


async def _verify_databases(shop: Shop) -> bool:
    """Return whether the databases of a shop over PostgreSQL hold what they must."""
    from storage.postgresql import shop as databases
    from storage.postgresql.audit import reconciled

    audits = databases.audits(shop.config, cluster_token(shop.config))
    whole = True
    try:
        for role in sorted(audits, reverse=True):  # orders first: the sale of each is there then
            await audits[role].look()
            faults = [fault async for fault in audits[role].faults()]
            print(f"{role}: at entry {audits[role].number}", *faults, sep="\n  ")
            print("  NOT as it must be" if faults else "  as it must be")
            whole &= not faults
        if len(audits) > 1:
            whole &= _tell_sales(await reconciled(audits["catalog"], audits["order"]))
    finally:
        for audit in audits.values():
            await audit.close()
    return whole


def _show(difference: Difference) -> None:
    print(f"  {difference.table} {difference.key}:")
    nodes = list(difference.rows)
    lines = [["", *nodes]]
    for name in difference.columns():
        cells = (difference.rows[node] for node in nodes)
        lines.append([name, *("(missing)" if row is None else str(row[name]) for row in cells)])
    for line in table(lines).split("\n"):
        print(f"    {line}")
