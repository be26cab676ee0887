"""Power cuts at many moments of a recording, and the check of what is left."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.power import held, started
from tests.cluster.power.disk import Names, State, Sync
from tests.cluster.power.recording import Event, Kind
from tests.cluster.power.stage import Recording, write_state

STARTS_AT_ONCE = 2
LOG = "cluster.log"
SHM = Path("/dev/shm")  # Linux: a sync costs nothing there
SCRATCH = SHM if SHM.is_dir() else None


@dataclass(frozen=True, slots=True)
class Cut:
    """One power cut: its number, its time, and what was left."""

    number: int
    at: int
    model: Names
    state: State


@dataclass(slots=True)
class Outcome:
    """The result of one scenario's cuts."""

    scenario: str
    records: int = 0
    acknowledged: int = 0
    states: int = 0
    starts: int = 0
    faults: list[str] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        counts = (self.records, self.acknowledged, self.states, self.starts, len(self.faults))
        return (self.scenario, *(f"{count:,}" for count in counts))


HEADER = ("scenario", "records", "acknowledged sales", "states", "starts", "faults")


def cuts(recording: Recording, count: int, seed: str, without: Sync | None) -> Iterator[Cut]:
    """Yield `count` states, in the order of their cuts; the seed and the recording decide them."""
    rng = random.Random(seed)
    moments = sorted((_moment(recording, rng, number), number) for number in range(count))
    disk, fed = recording.disk(without), 0
    for at, number in moments:
        while fed < len(recording.events) and recording.events[fed].ended <= at:
            disk.feed(recording.events[fed])
            fed += 1
        model = list(Names)[number % len(Names)]
        yield Cut(number, at, model, disk.state(random.Random(f"{seed}/{number}"), model))


def _moment(recording: Recording, rng: random.Random, number: int) -> int:
    """Return a moment in a window of the recording: any time, just after an event, or just before a
    sync is over, when most is at stake."""
    began, ended = rng.choice(recording.windows)
    low = bisect_left(recording.events, began, key=_ended)
    events = recording.events[low : bisect_right(recording.events, ended, key=_ended)]
    kind = number // len(Names) % 3
    if kind == 2:
        events = [event for event in events if event.kind == Kind.SYNC]
    if kind == 0 or not events:
        return rng.randint(began, ended)
    return rng.choice(events).ended - (kind == 2)


def _ended(event: Event) -> int:
    return event.ended


async def examine(
    name: str,
    recording: Recording,
    place: Path,
    seed: str,
    states: int,
    starts: int,
    without: Sync | None = None,
) -> Outcome:
    """Check so many states, and start the shop on so many of them. Keep below `place` what shows a
    fault."""
    outcome = Outcome(name, len(recording.events), len(recording.bought))
    chosen = random.Random(f"{seed}/starts").sample(range(states), min(starts, states))
    limit = asyncio.Semaphore(STARTS_AT_ONCE)

    def report(cut: Cut, found: Sequence[str], log: Path | None = None) -> None:
        if found:
            kept = place / f"{name.replace(' ', '-')}-{cut.number}"
            write_state(kept, cut.state)
            if log is not None:
                shutil.copy(log, kept)
            after_s = (cut.at - recording.events[0].began) / 1e9
            when = f"{cut.model.value}, {after_s:.6f} s after the first record"
            outcome.faults.append(f"{kept} ({when}): {'; '.join(found)}")

    async def start(cut: Cut, shop: Path) -> None:
        try:
            report(cut, await started.faults(cut.state, recording, cut.at, shop), shop / LOG)
            outcome.starts += 1
        finally:
            limit.release()
            shutil.rmtree(shop)

    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        async with asyncio.TaskGroup() as group:
            for cut in cuts(recording, states, seed, without):
                found = held.faults(cut.state, recording, cut.at, Path(scratch) / "held")
                report(cut, found)
                outcome.states += 1
                if cut.number in chosen:
                    await limit.acquire()
                    group.create_task(start(cut, Path(scratch) / f"start-{cut.number}"))
    return outcome
