"""What a shop that is measured keeps: where it is to be, and what it holds in the end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bazar.addresses import is_loopback
from bazar.bench import processor
from bazar.bench.audit import Sold
from bazar.bench.place import DATABASE, Place
from bazar.cli import Shop, verify
from bazar.cluster_file import load
from bazar.config import Config
from bazar.node.token import cluster_token
from handlers import ROLES
from storage.sqlite.replica_file import ReplicaFile, closing

Rows = dict[str, list[dict[str, Any]]]  # by the node, or the database, that holds them

WANTED = {
    "sales": ("catalog", ("order_id", "lines")),
    "books": ("catalog", ("id", "count")),
    "orders": ("order", ("order_id",)),
}
"""The tables that are looked at, each with its role and its columns, the first of which is the
key."""


@contextlib.contextmanager
def place(model: Path) -> Iterator[Place]:
    """Make a place for one shop: over PostgreSQL a new database, on the servers that the
    cluster.json names."""
    config = load(model, ROLES)
    if config.engine.kind != "postgresql":
        yield Place()
        return
    from storage.postgresql.temporary import temporary

    engine = json.loads(model.read_text("utf-8-sig"))["engine"]
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        made = runner.run(stack.enter_async_context(temporary(config.engine)))
        try:
            is_here = is_loopback(made.server.rpartition(":")[0])
            server = processor.parent_of(made.session, made.name) if is_here else None
            yield Place({**engine, "dsn": made.dsn}, server)
        finally:
            runner.run(stack.aclose())


def sold(config_path: Path) -> Sold:
    """Return what a running shop's files, or its databases, hold, and the faults that `verify`
    finds in them."""
    config = load(config_path, ROLES)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        whole = asyncio.run(_verify(config)) == 0
    if config.engine.kind == "postgresql":
        found = asyncio.run(_of_databases(config))
    else:
        found = {table: _of_files(config, table) for table in WANTED}
    return Sold(
        faults=() if whole else shown.getvalue().splitlines(),
        sales={
            node: {
                row["order_id"]: {one["book"]: one["quantity"] for one in json.loads(row["lines"])}
                for row in rows
            }
            for node, rows in found["sales"].items()
        },
        stock={
            node: {row["id"]: row["count"] for row in rows} for node, rows in found["books"].items()
        },
        orders={
            node: frozenset(row["order_id"] for row in rows)
            for node, rows in found["orders"].items()
        },
    )


async def _verify(config: Config) -> int:
    with Shop(config) as shop:
        return await verify.run(shop, argparse.Namespace(file=None))


def _of_files(config: Config, table: str) -> Rows:
    role, (key, *_) = WANTED[table]
    found = {}
    for node in config.group(role):
        file = ReplicaFile(node.name, config.data_dir / f"{node.name}.db")
        with closing([file]):
            found[node.name] = [dict(row) for row in file.rows(table, key)]
    return found


async def _of_databases(config: Config) -> dict[str, Rows]:
    """Read the orders first: the sale of each is there then."""
    from storage.postgresql import shop as databases
    from storage.postgresql.session import Statement

    found = {}
    looked_at: set[str] = set()
    audits = databases.audits(config, cluster_token(config))
    try:
        for table, (role, columns) in reversed(WANTED.items()):
            if role not in looked_at:
                await audits[role].look()
                looked_at.add(role)
            sql = f"SELECT {', '.join(columns)} FROM bazar_{role}.{table}"
            rows = await audits[role].rows_of(Statement(sql))
            found[table] = {DATABASE: [dict(zip(columns, row, strict=True)) for row in rows]}
    finally:
        for audit in audits.values():
            await audit.close()
    return found
