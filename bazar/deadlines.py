"""Until when somebody waits for what a task does (R9). A deadline goes on with the calls that are
made for it, as gRPC's deadlines do: nothing is begun for an asker who has given up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf

current: ContextVar[float] = ContextVar("deadline", default=inf)
"""When whoever asked gives up, on the clock of leases; infinite if nobody has said when."""


def of(timeout_s: float, now: float) -> float:
    """Return when a wait that begins now is over: for `timeout_s`, and no longer than whoever asked
    waits."""
    return min(now + timeout_s, current.get())


@contextmanager
def bounded(timeout_s: float, now: float) -> Iterator[float]:
    """Begin a wait as `of` has it, and let whoever is asked meanwhile know when it is over."""
    until = of(timeout_s, now)
    token = current.set(until)
    try:
        yield until
    except GeneratorExit:  # the task is thrown away, and its context with it
        raise
    except BaseException:
        current.reset(token)
        raise
    current.reset(token)
