"""The lines that are printed when a shop has opened: its address, each group's primary, and what a
keeper should know of its books."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bazar.config import Config, NodeConfig
from bazar.errors import BazarError
from bazar.rpc.client import RPCClient

ASK_S = 1.0
POLL_S = 0.05


NO_BOOKS = "  It has no books yet: python -m bazar import FILE.csv"
HAD_BEGUN = (
    "  --empty changes nothing: the shop had begun already, and keeps its books. Samples among them"
    " go by: python -m bazar remove-samples"
)


async def opened(config: Config, here: Sequence[NodeConfig], token: str, *, empty: bool) -> str:
    """Wait until each group has a primary and a front end serves, the first of those that are here
    if any is; return the lines to print. `empty` says that a shop without books was asked for."""
    client = RPCClient(token)
    has_books: bool | None = None
    try:
        leads = [await _primary(client, config, role) for role in _roles(config)]
        doors = sorted(config.group("frontend"), key=lambda node: node not in here)
        if doors:
            has_books = await _until_served(client, doors[0])
    finally:
        client.close()
    lines = (
        [f"The shop is open: {config.public_url or doors[0].url}/"]
        if doors
        else ["Every group has a primary."]
    )
    for node in leads:
        others = [other.name for other in config.group(node.role) if other is not node]
        then = f"; kill it (kill -9 $(cat {_pid_file(config, node)})), and another takes over"
        may_try = others and node in here
        lines.append(f"  {node.name} leads {node.role}{then if may_try else ''}")
    if has_books is False:
        lines.append(NO_BOOKS)
    elif has_books and empty:
        lines.append(HAD_BEGUN)
    return "\n".join(lines)


def _roles(config: Config) -> list[str]:
    return list(dict.fromkeys(n.role for n in config.nodes.values() if n.role != "frontend"))


def _pid_file(config: Config, node: NodeConfig) -> Path:
    path = config.data_dir / f"{node.name}.pid"
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


async def _primary(client: RPCClient, config: Config, role: str) -> NodeConfig:
    while True:
        for node in config.group(role):
            status = await _ask(client, node, "/status")
            if status is not None and "members" in status and not status["waits_s"]:
                return node
        await asyncio.sleep(POLL_S)


async def _until_served(client: RPCClient, door: NodeConfig) -> bool:
    """Return whether there are books, once the front end tells it."""
    while True:
        topics = await _ask(client, door, "/topics")
        if topics is not None:
            return bool(topics)
        await asyncio.sleep(POLL_S)


async def _ask(client: RPCClient, node: NodeConfig, path: str) -> Any:
    """Return what a node answers, None if it does not."""
    try:
        return await client.call(node, path, None, ASK_S)
    except BazarError:
        return None
