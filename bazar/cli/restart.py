"""Restart every node of this machine, one at a time, each only when the last is in sync again."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from bazar import clock
from bazar.cli import Shop
from bazar.cli.status import ask_all
from bazar.config import NodeConfig
from bazar.errors import Unavailable
from bazar.node.status import Status, is_here, is_well, primary_of, processes
from bazar.replication.file_arbiter import lock_owner

POLL_S = 0.05
NODE_S = 30.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("nodes", nargs="*", metavar="NODE", help="only these (default: all)")


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    for name in flags.nodes:
        if name not in shop.config.nodes:
            raise Unavailable(f"{name}: is not in {shop.config.path}")
    statuses = await ask_all(shop)
    wanted = [
        node for node in shop.config.nodes.values() if node.name in flags.nodes or not flags.nodes
    ]

    def is_primary(node: NodeConfig) -> bool:
        primary = primary_of(node.role, statuses)
        return primary is not None and primary["node"] == node.name

    for node in list(wanted):
        status = statuses[node.name]
        if status is not None and not is_here(status):
            if flags.nodes:
                raise Unavailable(f"{node.name} runs on another machine: restart it there")
            print(f"{node.name} runs on another machine, and is not restarted")
            wanted.remove(node)
    # Restart primaries last: then each group changes its primary once.
    for node in sorted(wanted, key=is_primary):
        before = statuses[node.name]
        if before is None:
            raise Unavailable(
                f"{node.name} does not answer on port {node.port}{_elsewhere(shop, node)}: nothing"
                " more is restarted"
            )
        for process in processes(before):
            began = clock.now()
            os.kill(process["pid"], signal.SIGTERM)
            await _back(shop, node, process)
            print(f"{process['node']} is back after {clock.now() - began:.2f} s", flush=True)
    return 0


def _elsewhere(shop: Shop, node: NodeConfig) -> str:
    """Return a hint for the error if the supervisor runs nodes of this role on ports that the
    configuration does not have: the port may have been changed since."""
    known = {str(one.port) for one in shop.config.group(node.role)}
    others = sorted(port for role, port in _started(shop) if role == node.role)
    strange = [port for port in others if port not in known]
    if not strange:
        return ""
    return (
        f", where {shop.config.path} has it; a {node.role} runs on port {', '.join(strange)}: a new"
        " port is taken when the whole shop is started again"
    )


def _started(shop: Shop) -> Iterator[tuple[str, str]]:
    """Yield the role and the port of each node that the supervisor has started (Linux)."""
    with contextlib.suppress(OSError, Unavailable):
        supervisor = lock_owner(_supervisor(shop))
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text("ascii")
        for pid in children.split():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            if "--role" in words and "--port" in words:
                yield words[words.index("--role") + 1], words[words.index("--port") + 1]


async def _back(shop: Shop, node: NodeConfig, before: Status) -> None:
    """Wait until a new process runs in the node's place and is in sync."""
    deadline = clock.now() + NODE_S
    while clock.now() < deadline:
        statuses = await ask_all(shop)
        status = statuses[node.name]
        if status is not None and is_well(node, statuses):
            runs = {process["run"] for process in processes(status)}
            if before["run"] not in runs:
                return
        await asyncio.sleep(POLL_S)
    raise Unavailable(f"{node.name} is not in sync after {NODE_S:.0f} s: {_why(shop)}")


def _why(shop: Shop) -> str:
    try:
        lock_owner(_supervisor(shop))
    except Unavailable:
        return "no supervisor runs to start it again, as it was started with --role"
    return "the machine may be busy; its log says what it waits for"


def _supervisor(shop: Shop) -> Path:
    return shop.config.data_dir / "supervisor.pid"
