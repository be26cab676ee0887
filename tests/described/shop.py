"""A real shop whose nodes are asked all that their descriptions say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from tests.cluster.cluster import LONG_LEASES, Cluster
from tests.described.driver import Outcome, run

SETTINGS = {"replication": LONG_LEASES}  # how fast the machine is must not show as a 503


def shop(directory: Path) -> Cluster:
    return Cluster(directory, settings=SETTINGS)


async def ask(
    cluster: Cluster,
    nodes: Iterable[str],
    executor: Executor,
    *,
    seed: int,
    examples: int,
    phases: tuple[str, ...],
) -> Outcome:
    """Ask these nodes at the same time; return what came of it in all."""
    loop = asyncio.get_running_loop()
    work = partial(run, seed=seed, examples=examples, phases=phases)
    outcomes = await asyncio.gather(
        *(
            loop.run_in_executor(
                executor, work, f"http://127.0.0.1:{cluster.ports[node]}", cluster.token
            )
            for node in nodes
        )
    )
    total = Outcome()
    for outcome in outcomes:
        total.add(outcome)
    return total
