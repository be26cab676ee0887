"""Ask every node of a real shop, in good and in bad requests, whether it is as described:

python -m tests.described --requests 20000 --seed 7

Prints how many requests were answered with which statuses, and each answer that is not as
described.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.described.driver import Outcome
from tests.described.shop import ask, shop

EXAMPLES = 50


async def ask_for(requests: int, seed: int, workers: int) -> Outcome:
    """Ask all nodes again and again, each time with another seed, until so many requests were
    answered."""
    total = Outcome()
    spawned = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as directory,
        ProcessPoolExecutor(workers, mp_context=spawned) as executor,
    ):
        async with shop(Path(directory) / "shop") as cluster:
            await cluster.start()

            async def at(node: str) -> None:
                one = seed
                while total.requests < requests:
                    found = await ask(cluster, node, executor, seed=one, examples=EXAMPLES)
                    print(f"{node}, seed {one}: {found}", *found.failures, sep="\n", flush=True)
                    total.add(found)
                    one += 1

            await asyncio.gather(*map(at, cluster.roles))
    return total


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.described", description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="nodes that are asked at a time")
    flags = parser.parse_args()
    total = asyncio.run(ask_for(flags.requests, flags.seed, flags.workers))
    print(f"in all: {total}")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
