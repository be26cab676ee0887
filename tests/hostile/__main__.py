"""Send hostile requests to every port of a real shop, for as long as is wanted:

python -m tests.hostile --minutes 10 --seed 7

No answer may be a 5xx but 503 and 504, no node may end, and no log may have a traceback.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.described.shop import shop
from tests.hostile.run import attack
from tests.hostile.talking import Heard


async def attack_for(minutes: float, seed: int) -> Heard:
    ends = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as directory:
        async with shop(Path(directory) / "shop") as cluster:
            await cluster.start()
            return await attack(cluster, seed, lambda talks: time.monotonic() < ends)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.hostile", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    heard = asyncio.run(attack_for(flags.minutes, flags.seed))
    print(heard, *heard.failures[:20], sep="\n")
    return 1 if heard.failures else 0


if __name__ == "__main__":
    sys.exit(main())
