"""How a command ends when its user interrupts it, or when its output is closed, or full."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT  # as a shell reports it
NO_READER = 128 + signal.SIGPIPE
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def at_once() -> None:
    """Let Ctrl-C end this process at once, for a command that leaves nothing behind. A
    KeyboardInterrupt would show a traceback during imports, wait for the next `await`, and get lost
    in a finalizer."""

    def leave(number: int, frame: FrameType | None) -> None:
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, leave)


def ended(main: Callable[[], int]) -> int:
    """Return the exit code of `main`. End without a traceback if it raises KeyboardInterrupt or if
    its output is closed, or goes to a disk that is full."""
    try:
        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = NO_READER
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(f"{error.filename or 'standard output'}: {error.strerror}", file=sys.stderr)
        code = 2
    try:
        sys.stdout.flush()
    except OSError:  # the interpreter flushes at its end: let it find nothing
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return code
