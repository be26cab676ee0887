"""Faults that only some orders of events show: a world finds each within some seeds, and finds
nothing in the same code repaired."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import cast
from unittest import mock

import pytest

from bazar import durable
from tests.world.lab import DATA, PORT, Lab
from tests.world.system import SYSTEM, Path
from tests.world.world import Process

SEEDS = 60
Example = Callable[[Lab, bool], bool]
"""Runs something, mended or not; returns whether all is well at the end."""


def lost_wake_up(lab: Lab, mended: bool) -> bool:
    """A consumer finds nothing, does something else, and overlooks what was put in meanwhile."""
    items: list[int] = []
    taken: list[int] = []

    async def consume(woken: asyncio.Event) -> None:
        while len(taken) < 3:
            if mended:
                woken.clear()
            if not items:
                await asyncio.sleep(0.0001)  # lets others go on
                if not mended:
                    woken.clear()
                await woken.wait()
            taken.extend(items)
            items.clear()

    async def run(process: Process) -> None:
        woken = asyncio.Event()
        consumer = asyncio.create_task(consume(woken))
        for number in range(3):
            await asyncio.sleep(0.001 * lab.tape("test").random())
            items.append(number)
            woken.set()
        await consumer

    lab.start(run)
    lab.run(10.0)
    return taken == [0, 1, 2]


class Asking(asyncio.Protocol):
    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard

    def data_received(self, data: bytes) -> None:
        self._heard(data)


class Stock(asyncio.Protocol):
    """Sends the same number to every client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"5")


def two_tasks(lab: Lab, mended: bool) -> bool:
    """Two tasks read one number, ask a server, and each writes the difference."""
    stock = [10]
    lock = asyncio.Lock()

    async def ask(process: Process) -> int:
        heard = process.loop.create_future()
        await process.loop.create_connection(
            lambda: Asking(lambda data: heard.set_result(int(data))), port=PORT
        )
        return cast(int, await heard)

    async def sell(process: Process) -> None:
        before = stock[0]
        stock[0] = before - await ask(process)

    async def sell_alone(process: Process) -> None:
        async with lock:
            await sell(process)

    async def run(process: Process) -> None:
        first = asyncio.create_task((sell_alone if mended else sell)(process))
        await asyncio.sleep(0.05 * lab.tape("test").random())
        await (sell_alone if mended else sell)(process)
        await first

    async def serve(process: Process) -> None:
        await process.loop.create_server(Stock, port=PORT)
        lab.start(run)

    lab.start(serve, "stock")
    lab.run(10.0)
    return stock == [0]


def two_processes(lab: Lab, mended: bool) -> bool:
    """Two processes count in one file, and each works as if it were alone."""

    def read() -> int:
        with suppress(FileNotFoundError):
            return int(Path(f"{DATA}/count").read_bytes())
        return 0

    async def count(process: Process) -> None:
        process.syscall_chance, process.syscall_s = 0.05, (0.01,)
        fd = SYSTEM.open(f"{DATA}/lock", SYSTEM.O_RDWR | SYSTEM.O_CREAT)
        while mended:
            try:
                SYSTEM.flock(fd, SYSTEM.LOCK_EX | SYSTEM.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.01)
        number = read() + 1
        new = f"{DATA}/{process.name}"
        to = SYSTEM.open(new, SYSTEM.O_WRONLY | SYSTEM.O_CREAT)
        SYSTEM.write(to, str(number).encode())
        SYSTEM.replace(new, f"{DATA}/count")
        SYSTEM.close(fd)

    for name in ("one", "two"):
        lab.start(count, name)
    lab.run(10.0)
    return call_read(lab, read) == 2


def call_read(lab: Lab, read: Callable[[], int]) -> int:
    found: list[int] = []
    lab.process("reader").loop.post(lambda: found.append(read()))
    lab.run(lab.now + 1.0)
    return found[0]


def unsynced(lab: Lab, mended: bool) -> bool:
    """A file is replaced, and the power fails; it must hold the old content or the new."""
    path = Path(f"{DATA}/setting")

    def replace_carelessly(content: bytes) -> None:
        new = path.with_name("new")
        fd = SYSTEM.open(new, SYSTEM.O_WRONLY | SYSTEM.O_CREAT | SYSTEM.O_TRUNC)
        SYSTEM.write(fd, content)
        SYSTEM.close(fd)
        new.replace(path)

    def replace(content: bytes) -> None:
        if mended:
            with mock.patch.object(durable, "os", SYSTEM):
                durable.atomic_write(path, content)  # type: ignore[arg-type]
        else:
            replace_carelessly(content)

    async def work(process: Process) -> None:
        try:
            for content in (b"old", b"new"):
                await asyncio.to_thread(replace, content)
                lab.note(content.decode())
        except OSError as error:
            lab.unforeseen(process.name, error)

    process = lab.start(work)
    lab.after(0.02 * lab.tape("test").random(), None, process.die, "no power")
    lab.run(1.0)
    lab.files.power_cut()
    told = [note for note in lab.notes if note in ("old", "new")]
    file = lab.files.names.get(str(path))
    content = None if file is None else file.content
    return content in (b"old", b"new", None)[: 2 if told else 3] and (
        told != ["old", "new"] or content == b"new"
    )


@pytest.mark.parametrize("example", [lost_wake_up, two_tasks, two_processes, unsynced])
def test_is_found_and_not_where_it_is_mended(example: Example) -> None:
    found = []
    for seed in range(SEEDS):
        with Lab(seed) as lab:
            if not example(lab, False):
                found.append(seed)
        with Lab(seed) as lab:
            assert example(lab, True), seed
    # Not by every seed: else any test would have found it.
    assert 0 < len(found) < SEEDS
    with Lab(found[0]) as lab:
        assert not example(lab, False)  # and again, as often as it is run
