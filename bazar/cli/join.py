"""Start what is new in cluster.json, wait until it is in sync, tell the others of this machine."""

from __future__ import annotations

import argparse
import asyncio
import os

from bazar import clock
from bazar.addresses import is_own
from bazar.cli import Shop, restart
from bazar.cli.status import ask_all
from bazar.errors import Unavailable
from bazar.node.status import is_here, is_well
from bazar.node.supervisor import LOOK_AGAIN
from bazar.replication.file_arbiter import lock_owner

POLL_S = 0.1
JOIN_S = 120.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    pass


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    statuses = await ask_all(shop)
    new = [node for node in shop.config.nodes.values() if statuses[node.name] is None]
    for node in [node for node in new if not is_own(node.host)]:
        print(f"{node.name} is to run on another machine ({node.host}), and is not waited for")
        new.remove(node)
    if not new:
        print("Every node of cluster.json that is to run here is running.")
        return 0
    try:
        os.kill(lock_owner(shop.config.data_dir / "supervisor.pid"), LOOK_AGAIN)
    except (OSError, Unavailable) as error:
        raise Unavailable("the shop does not run: start it, and all nodes begin") from error
    deadline = clock.now() + JOIN_S
    for node in new:
        while not is_well(node, await ask_all(shop)):
            if clock.now() > deadline:
                raise Unavailable(f"{node.name} is not in sync after {JOIN_S:.0f} s")
            await asyncio.sleep(POLL_S)
        print(f"{node.name} is in sync", flush=True)
    # The others learn who their peers are only when they start.
    known = [name for name, status in statuses.items() if status is not None and is_here(status)]
    return await restart.run(shop, argparse.Namespace(nodes=known))
