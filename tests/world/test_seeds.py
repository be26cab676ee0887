"""A seed decides everything: the same seed gives the same run, event by event, in any process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from itertools import zip_longest
from typing import Any, cast

import pytest

from tests.world.lab import DATA, PORT, Lab
from tests.world.system import SYSTEM
from tests.world.world import Process

PRINT = "from tests.world.test_seeds import *; print('\\n'.join(everything(int(sys.argv[1]))))"


class Talker(asyncio.Protocol):
    """Answers a little less than it receives, and notes each byte."""

    def __init__(self, lab: Lab, process: Process, first: bytes = b"") -> None:
        self._lab, self._process, self._first = lab, process, first

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._first)

    def data_received(self, data: bytes) -> None:
        self._lab.note(f"{self._lab.now!r} {self._process.name} gets {data!r}")
        SYSTEM.open(f"{DATA}/{self._process.name}", SYSTEM.O_CREAT)
        self._transport.write(data[1:])

    def connection_lost(self, error: Exception | None) -> None:
        self._lab.note(f"{self._lab.now!r} {self._process.name} loses it: {error!r}")


class Watching(Lab):
    """Notes each event."""

    def due(self, time_s: float, process: Any, function: Any, *args: Any) -> None:
        self.note(f"{self.now!r} at {time_s!r} {process} {function.__qualname__}")
        super().due(time_s, process, function, *args)

    def after(self, delay_s: float, process: Any, function: Any, *args: Any) -> None:
        self.due(self.now + delay_s, process, function, *args)


def everything(seed: int) -> list[str]:
    """Return all events of a world with something of everything."""
    with Watching(seed) as lab:
        lab.network.split_chance = 0.3
        tape = lab.tape("test")

        async def listen(process: Process) -> None:
            process.syscall_chance = 0.02
            await process.loop.create_server(lambda: Talker(lab, process), port=PORT)

        async def talk(process: Process) -> None:
            # The order of a set of tasks, or of strings, must have no effect.
            tasks = {asyncio.create_task(dial(process, word)) for word in {"apple", "pear", "fig"}}
            await asyncio.wait(tasks)
            lab.note(await asyncio.to_thread(SYSTEM.open, f"{DATA}/end", SYSTEM.O_CREAT))

        async def dial(process: Process, word: str) -> None:
            await asyncio.sleep(len(word))
            with suppress(OSError):
                await process.loop.create_connection(
                    lambda: Talker(lab, process, word.encode() * 3), port=PORT
                )

        servers = [lab.start(listen, "server")]
        for number in range(3):
            lab.start(talk, f"client-{number}")
        lab.after(6.0 * tape.random(), None, servers[0].pause, 2.0)
        lab.after(8.0 * tape.random(), None, servers[0].die, "killed")
        lab.after(8.0, None, lambda: servers.append(lab.start(listen, "server")))
        lab.run(20.0)
        lab.files.power_cut()
        lab.note({name: file.number for name, file in lab.files.names.items()})
        return lab.notes


def first_difference(one: list[str], other: list[str]) -> tuple[str | None, str | None] | None:
    return next((pair for pair in zip_longest(one, other) if pair[0] != pair[1]), None)


def elsewhere(seed: int, hash_seed: str) -> list[str]:
    """Return the same from another process, which hashes strings differently."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("seed", range(5))
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    assert first_difference(everything(seed), everything(seed)) is None


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_in_another_process_too(hash_seed: str) -> None:
    here = everything(3)
    assert len(here) > 200
    assert first_difference(here, elsewhere(3, hash_seed)) is None


def test_another_seed_is_another_run() -> None:
    assert first_difference(everything(1), everything(2)) is not None


def test_a_difference_is_found_where_it_begins() -> None:
    assert first_difference(["a", "b", "c"], ["a", "x", "c"]) == ("b", "x")
    assert first_difference(["a"], ["a", "b"]) == (None, "b")


def test_a_stream_of_draws_leaves_the_others_as_they_are() -> None:
    one, other = Lab(7), Lab(7)
    one.tape("noise").random()
    assert one.tape("test").random() == other.tape("test").random()
    assert one.tape("test").random() != one.tape("other").random()


def test_silent_draws_are_the_least_remarkable_and_the_rest_is_as_it_was() -> None:
    loud, silent = Lab(7, {}), Lab(7, {"test": {1, 2}})
    drawn = [[lab.tape("test").random() for _ in range(4)] for lab in (loud, silent)]
    assert drawn[1] == [drawn[0][0], 0.0, 0.0, drawn[0][3]]
    assert loud.tape("test").drawn == 4

    tape = Lab(7, {"test": set(range(100))}).tape("test")
    assert tape.choice("abc") == "a"
    assert tape.weighted("abc", (1.0, 5.0, 5.0)) == "a"
    assert tape.below(5) == 0
    assert not tape.chance(0.999)
    assert tape.chance(1.0)


def test_draws_are_as_probable_as_they_say() -> None:
    tape = Lab(7).tape("test")
    assert 250 < sum(tape.chance(0.3) for _ in range(1000)) < 350
    drawn = [tape.weighted("abc", (1.0, 3.0, 0.0)) for _ in range(1000)]
    assert 200 < drawn.count("a") < 300 and "c" not in drawn
