"""Cut the power of real shops, and check what is left on their disks.

    python -m tests.cluster.power --states 1000 --starts 200 --seed 7
    python -m tests.cluster.power --states 100 --starts 0 --without token

What each node writes, syncs and names is recorded. From that the states are made in which a disk
may be after a power cut at any moment. Each state is checked as it is, and on some of them a shop
is started. `--without` acts as if syncs of one kind had not been made, which must be noticed. The
seed decides where to cut and what is left, but not what is recorded: if there is a fault, its files
and the recordings are kept in the place that is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bazar.cli.ending import ended
from bazar.table import table
from tests.cluster.power import alone
from tests.cluster.power.disk import Sync
from tests.cluster.power.examine import HEADER, Outcome, examine
from tests.cluster.power.recording import build_shim, compiler
from tests.cluster.power.scenarios import SCENARIOS

NAMES = [*SCENARIOS, alone.NAME]


async def run(
    place: Path, names: Sequence[str], seed: int, states: int, starts: int, without: Sync | None
) -> list[Outcome]:
    """Run these scenarios. `states` and `starts` are for all of them together."""
    shim = build_shim(place)
    outcomes = []
    for number, name in enumerate(names):
        shares = [(whole + number) // len(names) for whole in (states, starts)]
        directory = place / name.replace(" ", "-")
        key = f"{seed}/{name}"
        if name == alone.NAME:
            outcome = await alone.one_node_alone(directory, shim, key, shares[1], without)
        else:
            recording = await SCENARIOS[name](directory, shim)
            outcome = await examine(name, recording, place, key, shares[0], shares[1], without)
        print(f"{name}: {len(outcome.faults)} faults", file=sys.stderr, flush=True)
        outcomes.append(outcome)
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.power", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--states", type=int, default=100, help="in all; default: 100")
    parser.add_argument("--starts", type=int, default=10, help="on as many; default: 10")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--scenario", choices=NAMES, metavar="NAME", help=f"one of {NAMES}")
    kinds = [sync.value for sync in Sync]
    parser.add_argument("--without", choices=kinds, metavar="SYNC", help=f"one of {kinds}")
    flags = parser.parse_args(arguments)
    if compiler() is None:
        print("There is no C compiler (cc or gcc): skipped.")
        return 0
    names = [flags.scenario] if flags.scenario else NAMES
    without = Sync(flags.without) if flags.without else None
    place = Path(tempfile.mkdtemp(prefix="bazar-power-"))
    outcomes = asyncio.run(run(place, names, flags.seed, flags.states, flags.starts, without))
    print(table([list(HEADER), *([*outcome.cells()] for outcome in outcomes)]))
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    for fault in faults:
        print(fault)
    if faults:
        print(f"The states that show them, and all recordings, are in {place}")
        return 1
    shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
