"""The processes that run seeds, for tests and for hunts by hand."""

from __future__ import annotations

import gc
from multiprocessing import get_context
from multiprocessing.pool import Pool

NEW_OBJECTS = 100_000  # of the garbage collector: a world makes many objects, and few cycles


def rarely_collect() -> None:
    """Seeds run a tenth faster when the collector does not look through them all the time."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


def workers(jobs: int | None = None) -> Pool:
    """So many processes, or as many as there are processors."""
    return get_context("spawn").Pool(jobs, rarely_collect)
