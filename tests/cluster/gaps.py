"""Measure the gaps in acknowledged purchases that failures make.

    python -m tests.cluster.gaps --times 20                 # nodes on their own
    python -m tests.cluster.gaps --times 20 --supervised    # as `python run.py` runs them

Buyers keep buying through a front end that stays, each with its key until the outcome is known. A
node is killed or asked to leave, and started again (at once by the supervisor, if there is one,
which also kills a paused primary). A gap is the longest time without an acknowledgement from the
fault until purchases flow again; a second gap is measured over the node's return. In the end every
acknowledged purchase must be there, once.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bazar.cli.ending import ended
from tests.cluster.cluster import Cluster
from tests.cluster.commands import command
from tests.cluster.load import Load

ROLES = {"frontend": 2, "catalog": 2, "order": 2}
MEASURED_AT = "frontend-1"
BOOK, STOCK = 4, 10_000_000
STEADY = 10  # purchases of each buyer before, and after, a fault

Victim = Callable[[Cluster], Awaitable[str]]


async def second_front_end(shop: Cluster) -> str:
    return "frontend-2"


def primary_of(role: str) -> Victim:
    return lambda shop: shop.primary(role)


def follower_of(role: str) -> Victim:
    return lambda shop: shop.follower(role)


VICTIMS: dict[str, Victim] = {
    "catalog follower": follower_of("catalog"),
    "order follower": follower_of("order"),
    "front end": second_front_end,
    "catalog primary": primary_of("catalog"),
    "order primary": primary_of("order"),
}


async def kill(shop: Cluster, name: str) -> None:
    await shop.kill(name)


async def terminate(shop: Cluster, name: str) -> None:
    code = await shop.terminate(name)
    assert code in (0, None), f"{name} ended with {code}"


async def hang(shop: Cluster, name: str) -> None:
    """Pause the node until the supervisor kills it."""
    pid = shop.pid(name)
    assert pid is not None
    await shop.pause(name)
    await shop.ended(pid)


async def roll(shop: Cluster, name: str) -> None:
    """Restart every node, one at a time."""
    before = shop.running()
    restarted = await command(shop, "restart")
    assert restarted.returncode == 0, restarted.stderr
    assert not set(before.values()) & set(shop.running().values())


FAULTS = {"kill -9": kill, "SIGTERM": terminate}
HANGS = ("catalog primary", "order primary")


@dataclass(slots=True)
class Measured:
    """One line of the table; seconds."""

    name: str
    gaps: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        figures = [
            f"{figure(values):.3f}"
            for values in (self.gaps, self.returns)
            for figure in (statistics.median, max)
        ]
        return (self.name, str(len(self.gaps)), *figures)


HEADER = ("what happens", "times", "median s", "worst s", "its return: median s", "worst s")


async def measure(
    directory: Path,
    lease_s: float,
    times: int,
    buyers: int,
    supervised: bool,
    progress: Callable[[str], None],
) -> list[Measured]:
    """Cause all faults in turn, `times` rounds of them, in one cluster under one load."""
    plan = [(Measured(f"{fault}, {v}"), FAULTS[fault], v) for fault in FAULTS for v in VICTIMS]
    if supervised:
        plan += [(Measured(f"SIGSTOP, {victim}"), hang, victim) for victim in HANGS]
        plan.append((Measured("restart of all nodes, one by one"), roll, "front end"))
    idle = Measured("nothing")
    settings = {
        "replication": {"lease_s": lease_s, "ack_timeout_s": 0.3 * lease_s},
        "pool": {},
        "supervisor": {},
    }
    async with Cluster(directory, ROLES, settings) as shop:
        await (shop.start_supervised() if supervised else shop.start())
        await shop.update(BOOK, count=STOCK)
        async with Load(shop) as load:
            load.buy(MEASURED_AT, BOOK, buyers)
            for number in range(times):
                for measured, fault, victim in plan:
                    progress(f"{number + 1}/{times} {measured.name}")
                    calm_at = time.monotonic()
                    await load.flowing(calm_at, STEADY)
                    fault_at = time.monotonic()
                    idle.gaps.append(load.gap_s(calm_at, fault_at))
                    name = await VICTIMS[victim](shop)
                    fault_at = time.monotonic()
                    errors = len(load.write_errors)
                    await fault(shop, name)
                    if fault is roll:
                        assert len(load.write_errors) == errors, load.write_errors[errors:]
                    await load.flowing(time.monotonic(), STEADY)
                    return_at = time.monotonic()
                    measured.gaps.append(load.gap_s(fault_at, return_at))
                    await (shop.ready() if supervised else shop.start(name))
                    await load.flowing(time.monotonic(), STEADY)
                    measured.returns.append(load.gap_s(return_at, time.monotonic()))
        catalog = await shop.same_rows("catalog")
        orders = await shop.same_rows("order")
        sold = {sale[1]: sale[0] for sale in catalog["sales"]}
        assert sold == {one.key: one.order_id for one in load.bought}, (
            "a purchase is lost, or twice"
        )
        assert len(sold) == len(catalog["sales"])
        assert sorted(row[0] for row in orders["orders"]) == sorted(sold.values())
        progress(f"{len(sold)} purchases acknowledged, each sold and ordered once")
    idle.returns = idle.gaps
    return [idle, *(measured for measured, _, _ in plan)]


def show(lines: Sequence[Sequence[str]]) -> str:
    """Return columns as wide as their widest cell, numbers to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.gaps", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="each fault (default: 20)")
    parser.add_argument("--lease", type=float, default=1.0, help="seconds (default: 1.0)")
    parser.add_argument("--buyers", type=int, default=4, help="at once (default: 4)")
    parser.add_argument("--supervised", action="store_true", help="below a supervisor")
    flags = parser.parse_args(arguments)

    def progress(line: str) -> None:
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as directory:
        measured = asyncio.run(
            measure(
                Path(directory),
                flags.lease,
                flags.times,
                flags.buyers,
                flags.supervised,
                progress,
            )
        )
    print(file=sys.stderr)
    how = "supervised" if flags.supervised else "on their own"
    print(f"lease {flags.lease} s, {flags.buyers} buyers, nodes {how}")
    print(show([HEADER, *(one.cells() for one in measured)]))
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
