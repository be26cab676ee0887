"""A real shop whose nodes are asked all that their descriptions say."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from tests.cluster.cluster import LONG_LEASES, Cluster
from tests.described.driver import Outcome, run

SETTINGS = {"replication": LONG_LEASES}  # how fast the machine is must not show as a 503


def shop(directory: Path) -> Cluster:
    return Cluster(directory, settings=SETTINGS)


async def ask(
    cluster: Cluster, node: str, executor: Executor, *, seed: int, examples: int
) -> Outcome:
    """Ask one node, beside all else that goes on; return what came of it."""
    work = partial(run, seed=seed, examples=examples)
    url = f"http://127.0.0.1:{cluster.ports[node]}"
    return await asyncio.get_running_loop().run_in_executor(executor, work, url, cluster.token)
