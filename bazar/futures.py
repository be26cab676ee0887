"""A result or a refusal, for whoever awaits it."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from bazar.errors import BazarError

T = TypeVar("T")


def resolve(done: asyncio.Future[T], result: T | BazarError) -> None:
    """Give `done` its result, or the error that is raised from it. A future that has a result, or
    was cancelled, stays as it is."""
    if done.done():
        return
    if isinstance(result, BazarError):
        done.set_exception(result)
    else:
        done.set_result(result)
