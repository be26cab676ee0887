"""How a command ends when its user breaks it off, or its reader has enough."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT  # as a shell shows it
NO_READER = 128 + signal.SIGPIPE


def at_once() -> None:
    """Ctrl-C ends this process, wherever it is: for a command that leaves nothing behind. As an
    exception it would show a traceback while modules are imported, wait for the next `await`, and
    get lost in a finalizer."""

    def leave(number: int, frame: FrameType | None) -> None:
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, leave)


def ended(main: Callable[[], int]) -> int:
    """The exit code of `main`; quietly, too, if it raises KeyboardInterrupt or its output has no
    reader."""
    try:
        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = NO_READER
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the interpreter's own flush, at its end, shall find nothing
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return code
