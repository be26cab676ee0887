"""The processes that run seeds, for tests and for hunts by hand."""

from __future__ import annotations

import gc
import signal
import threading
from multiprocessing import get_context
from multiprocessing.pool import Pool

NEW_OBJECTS = 100_000  # of the garbage collector: a world makes many objects, and few cycles


def rarely_collect() -> None:
    """Collect garbage rarely: seeds then run a tenth faster."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


def workers(jobs: int | None = None) -> Pool:
    """Return so many processes, or one for each processor. Ctrl-C is left to the parent."""
    if threading.current_thread() is not threading.main_thread():
        return get_context("spawn").Pool(jobs, rarely_collect)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return get_context("spawn").Pool(jobs, rarely_collect)
    finally:
        signal.signal(signal.SIGINT, before)
