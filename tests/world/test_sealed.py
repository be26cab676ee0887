"""Nothing of a world is decided outside it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import random
import secrets
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from bazar.clock import now
from tests.world.lab import Lab, call
from tests.world.loop import NodeLoop
from tests.world.sealed import Leak, sealed

WAYS_OUT: dict[str, Callable[[], Any]] = {
    "time.sleep": lambda: time.sleep(0),
    "time.time": lambda: time.time(),
    "time.time_ns": lambda: time.time_ns(),
    "time.monotonic": lambda: time.monotonic(),
    "time.perf_counter": lambda: time.perf_counter(),
    "time.clock_gettime": now,
    "os.urandom": lambda: os.urandom(1),
    "secrets.token_hex": lambda: secrets.token_hex(8),
    "secrets.randbelow": lambda: secrets.randbelow(8),
    "uuid.uuid4": lambda: uuid.uuid4(),
    "random.random": lambda: random.random(),
    "random.choice": lambda: random.choice("ab"),
    "random.shuffle": lambda: random.shuffle([1, 2]),
    "random.getrandbits": lambda: random.getrandbits(64),
    "random.SystemRandom": lambda: random.SystemRandom().random(),
    "threading.Thread": lambda: threading.Thread(target=print).start(),
    "socket.socket": lambda: socket.socket(),
    "subprocess.Popen": lambda: subprocess.run(["true"], check=True),
    "signal.signal": lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_way_out_is_shut_and_open_again_afterwards(way: str) -> None:
    before = time.time, random.random, threading.Thread.start, socket.socket.__init__
    with Lab() as lab, sealed() as leaks:

        def work() -> None:
            with pytest.raises(Leak, match="not decided by the seed"):
                WAYS_OUT[way]()

        call(lab.process("one"), work)
        assert leaks  # although it was swallowed
    assert before == (time.time, random.random, threading.Thread.start, socket.socket.__init__)


def test_a_generator_of_ones_own_is_nobodys_business() -> None:
    with sealed() as leaks:
        assert random.Random(1).random() == random.Random(1).random()
    assert leaks == []


def test_log_records_are_written_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    with sealed() as leaks:
        logging.getLogger("bazar").warning("in here")
    assert caplog.messages == ["in here"] and leaks == []


def test_other_threads_go_on_as_they_were() -> None:
    """The threads of the test runner, for example: a pool looks after its processes in some."""
    found: list[float] = []
    inside = threading.Event()

    def look() -> None:
        inside.wait()
        found.append(time.monotonic())

    thread = threading.Thread(target=look)
    thread.start()
    with sealed() as leaks:
        inside.set()
        thread.join()
    assert found and leaks == []


async def _nothing() -> None:
    pass


LOOP_WAYS_OUT: dict[str, Callable[[NodeLoop], Any]] = {
    "add_reader": lambda loop: loop.add_reader(0, print),
    "add_writer": lambda loop: loop.add_writer(0, print),
    "add_signal_handler": lambda loop: loop.add_signal_handler(signal.SIGTERM, print),
    "call_soon_threadsafe": lambda loop: loop.call_soon_threadsafe(print),
    "create_datagram_endpoint": lambda loop: loop.create_datagram_endpoint(
        asyncio.DatagramProtocol
    ),
    "create_unix_connection": lambda loop: loop.create_unix_connection(asyncio.Protocol, "/tmp/x"),
    "getaddrinfo": lambda loop: loop.getaddrinfo("localhost", 80),
    "run_forever": lambda loop: loop.run_forever(),
    "run_until_complete": lambda loop: loop.run_until_complete(loop.create_future()),
    "sock_connect": lambda loop: loop.sock_connect(None, None),  # type: ignore[arg-type]
    "subprocess_exec": lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "true"),
    "subprocess_shell": lambda loop: loop.subprocess_shell(asyncio.SubprocessProtocol, "true"),
}


@pytest.mark.parametrize("way", LOOP_WAYS_OUT)
def test_a_loop_has_no_real_files_processes_and_signals(way: str) -> None:
    with Lab() as lab:
        process = lab.process("one")
        raised: list[str] = []

        async def work() -> None:
            try:
                found = LOOP_WAYS_OUT[way](process.loop)
                if inspect.isawaitable(found):
                    await found
            except NotImplementedError:
                raised.append(way)

        process.loop.spawn(work)
        lab.run(1.0)
        assert raised == [way]
