"""One replica at a time loses its power, and comes back to a shop that has gone on.

Here nothing is recorded first and cut afterwards: the files of a replica that was just killed are
replaced by what its disk might hold, and it is started on them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.cluster.power.disk import Disk, Lying, Names, State, Sync, look
from tests.cluster.power.examine import Outcome
from tests.cluster.power.recording import Event, Kind, read_log
from tests.cluster.power.stage import BOOKS, PATIENCE_S, SETTINGS, STOCK, Stage
from tests.cluster.power.started import adds_up

NAME = "one node alone"
BETWEEN = 5  # purchases of each buyer from one replica's return to the end of the next one


async def one_node_alone(
    directory: Path, shim: Path, seed: str, rounds: int, without: Sync | None = None
) -> Outcome:
    """Run so many rounds; each is a state and a start."""
    outcome = Outcome(NAME)
    async with Stage(directory, shim, SETTINGS) as stage:
        try:
            await _live(stage, outcome, random.Random(seed), rounds, without)
        except (AssertionError, OSError) as error:
            outcome.faults.append(f"round {outcome.states}: {type(error).__name__}: {error}")
    return outcome


async def _live(
    stage: Stage, outcome: Outcome, rng: random.Random, rounds: int, without: Sync | None
) -> None:
    shop = stage.shop
    replicas = [*shop.group("catalog"), *shop.group("order")]
    (stage.root / "data").mkdir()
    lying = {name: look(stage.root, "data") for name in replicas}
    await shop.start(wait=False)
    await stage.open()
    async with stage.load() as load:
        for number in range(rounds):
            await load.flowing(time.monotonic(), BETWEEN)
            name = rng.choice(replicas)
            pid = shop.pid(name)
            assert pid is not None
            await shop.kill(name)
            build = partial(_left, stage, pid, name, lying[name], without)
            disk, records = await asyncio.to_thread(build)  # buyers go on meanwhile
            outcome.records += records
            outcome.states += 1
            state = disk.state(rng, list(Names)[number % len(Names)])
            lying[name] = _put(stage.root, name, state)
            await shop.start(name, wait=False)
            await shop.ready(name, deadline_s=PATIENCE_S)
            outcome.starts += 1
    outcome.acknowledged = len(load.bought)
    outcome.faults += await adds_up(shop, load.bought, {book: {STOCK} for book in BOOKS})


def _left(
    stage: Stage, pid: int, name: str, lying: Sequence[Lying], without: Sync | None
) -> tuple[Disk, int]:
    """Return the disk of a replica that was killed, and how many events it has had."""
    disk = Disk(without)
    disk.adopt(lying)
    events = list(_own(read_log(stage.log(pid), stage.root), _prefix(name)))
    for event in events:
        disk.feed(event)
    disk.check(stage.root, _prefix(name))
    return disk, len(events)


def _prefix(name: str) -> str:
    return f"data/{name}.db"


def _own(events: Iterable[Event], prefix: str) -> Iterator[Event]:
    """Yield what a replica did to its own files, and to their directory."""
    own: set[int] = set()
    for event in events:
        if event.kind == Kind.OPEN and (event.path == "data" or event.path.startswith(prefix)):
            own.add(event.inode)
            yield event
        elif event.kind == Kind.OPEN:
            own.discard(event.inode)
        elif event.inode in own or event.path.startswith(prefix):
            yield event


def _put(root: Path, name: str, state: State) -> list[Lying]:
    """Replace a replica's files by those of a state; return what lies there then."""
    for path in root.glob(f"{_prefix(name)}*"):
        path.unlink()
    for file, content in state.items():
        (root / file).write_bytes(content)
    return look(root, "data", *state)
