"""The seal of a world: clocks, randomness, threads and sockets that no seed decides are refused.

Two ways out can't be closed: a function that was imported by its name before, and `datetime.now`.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

SHARED = random.seed.__self__  # type: ignore[attr-defined]  # behind all of that module's functions
SHARED_RANDOM = [
    name for name, at in vars(random).items() if getattr(at, "__self__", None) is SHARED
]
CLOCKS = ("time", "monotonic", "perf_counter", "clock_gettime")

SHUT: Sequence[tuple[Any, Sequence[str]]] = (
    (time, ["sleep", *CLOCKS, *(f"{clock}_ns" for clock in CLOCKS)]),
    (random, [*SHARED_RANDOM, "_urandom"]),  # used by `secrets`
    (os, ["urandom"]),  # used by `uuid`
    (threading.Thread, ["start"]),
    (socket.socket, ["__init__"]),
    (subprocess.Popen, ["__init__"]),
    (signal, ["signal"]),
)

AS_EVER = SimpleNamespace(time=lambda: 0.0, time_ns=lambda: 0, localtime=time.localtime)
"""The time of log records, which is not used."""


class Leak(AssertionError):
    """Code in a world asks for something that its seed does not decide."""


@contextmanager
def sealed() -> Iterator[list[str]]:
    """Close the ways out of a world, for this thread. Yield the list of what was asked for all the
    same: code under test may swallow exceptions."""
    leaks: list[str] = []
    home = threading.get_ident()
    shut = [(owner, name, vars(owner)[name]) for owner, names in SHUT for name in names]
    shut.append((logging, "time", time))

    def refusing(where: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(*args: Any, **options: Any) -> Any:
            if threading.get_ident() != home:
                return real(*args, **options)
            leaks.append(where)
            raise Leak(f"{where}: is not decided by the seed of this world")

        return refuse

    try:
        for owner, name, real in shut:
            setattr(owner, name, refusing(f"{owner.__name__}.{name}", real))
        logging.time = AS_EVER  # type: ignore[attr-defined]
        yield leaks
    finally:
        for owner, name, real in shut:
            setattr(owner, name, real)
