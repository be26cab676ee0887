"""The lines that are printed when a shop has opened: its address, and each group's primary."""

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


async def opened(config: Config, here: Sequence[NodeConfig], token: str) -> str:
    """Wait until each group has a primary and a front end serves, the first of those that are here
    if any is; return the lines to print."""
    client = RPCClient(token)
    try:
        leads = [await _primary(client, config, role) for role in _roles(config)]
        doors = sorted(config.group("frontend"), key=lambda node: node not in here)
        if doors:
            await _until_served(client, doors[0])
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


async def _until_served(client: RPCClient, door: NodeConfig) -> None:
    while True:
        if await _ask(client, door, "/topics") is not None:
            return
        await asyncio.sleep(POLL_S)


async def _ask(client: RPCClient, node: NodeConfig, path: str) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = await client.call(node, path, None, ASK_S)
    except BazarError:
        return None
    return answer
