"""A shop on three machines amid faults: namespaces on a bridge, PostgreSQL under Patroni, and
customers who remember every answer.

    python -m tests.cluster.machines --minutes 30 --seed 7
    python -m tests.cluster.machines --minutes 30 --seed 7 8 9 --only "machine killed"

Each machine has a front end, a catalog and an order node, PostgreSQL, Patroni and etcd. While
customers buy, change and read at every node, machines are killed, stand still, and are cut off in
every direction; the database's primary is killed, failed over, and deposed while it still answers.
After each fault all must be well again by itself; then customers rest, and these are checked: each
book's history is linearizable, no acknowledged sale is missing or there twice, each has one order,
sold and left are what was stocked, and all servers have the same rows.

The seed decides every choice, but not how long the machine takes, so a run can't be repeated
exactly. A violation ends it with exit code 1; the message says where logs and history are kept. It
needs root, and `apt-get install postgresql patroni etcd-server nftables`.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bazar.cli.ending import ended
from tests.cluster.machines import network
from tests.cluster.machines.database import impossible
from tests.cluster.machines.faults import FAULTS
from tests.cluster.machines.report import Report
from tests.cluster.machines.run import run_all

IN_MEMORY = Path("/dev/shm")  # three servers and etcd sync often


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.machines", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="of each run (default: 3)")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one run each")
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="FAULT", help=f"of {names}")
    flags = parser.parse_args(arguments)
    if why := impossible():
        print(f"There can be no machines here: {why}", file=sys.stderr)
        return 2
    network.enter()

    def live(line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{line[:width]}", end="", file=sys.stderr, flush=True)

    place = str(IN_MEMORY) if IN_MEMORY.is_dir() else None
    directory = Path(tempfile.mkdtemp(prefix="bazar-machines-", dir=place))
    directory.chmod(0o755)

    async def whole() -> Report:
        work = asyncio.create_task(run_all(directory, flags.seed, flags.minutes, flags.only, live))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        return await work

    try:
        report = asyncio.run(whole())
    except BaseException as error:
        if isinstance(error, Exception):
            print(f"\nLogs and events are in {directory}", file=sys.stderr)
        else:  # interrupted: nobody looks at what is left
            shutil.rmtree(directory)
        raise
    print(file=sys.stderr)
    print(report.show())
    if report.violation is None:
        shutil.rmtree(directory)
        return 0
    print(f"Logs, events and the history are in {directory}")
    return 1


if __name__ == "__main__":
    sys.exit(ended(main))
