"""Output that nobody has to wait for.

A pipe whose reader stalls takes some 64 KiB, and then stops whoever writes to it: a whole node, for
a line of its log. So what can't be written at once is written by a thread, behind a queue with a
bound; what finds no place there is counted, and that is said when it flows again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import stat
import threading
from collections import deque

MAX_BYTES = 4 << 20
CLOSE_S = 1.0  # at the end, for what is left
PIECE_BYTES = 1 << 16
OPENED = "/proc/self/fd"  # Linux: what is opened below it has flags of its own


def never_waits(fd: int) -> int | None:
    """A descriptor for the same, on which no write waits; None if there is no way to have one. The
    flag of `fd` itself is everybody's who has it, of other programs, too."""
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode):
            return fd
        if stat.S_ISFIFO(mode) or os.isatty(fd):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"{OPENED}/{fd}", flags)
    except OSError:  # it is another user's, or there is no such place
        pass
    return None


class Outlet:
    """Writes to a descriptor. One that is closed at the other end takes everything, unseen."""

    def __init__(self, fd: int, most: int = MAX_BYTES) -> None:
        self._fd = fd
        self._at_once = never_waits(fd)
        self._most = most
        self._waiting: deque[bytes] = deque()
        self._bytes = 0  # that wait, or are being written
        self._dropped = 0
        self._broken = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Return at once; lines end with a line end."""
        data = text.encode("utf-8", "backslashreplace")
        with self._changed:
            if self._at_once is not None and not self._bytes and not self._dropped:
                data = self._written(self._at_once, data)
            if not data:
                return
            if self._bytes and self._bytes + len(data) > self._most:
                self._dropped += text.count("\n")
                return
            self._waiting.append(data)
            self._bytes += len(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="outlet", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout_s: float = CLOSE_S) -> None:
        """Wait until all is written, or nobody reads it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes and not self._dropped, timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._dropped)
                data = self._waiting.popleft() if self._waiting else b""
                dropped = 0 if data else self._dropped  # all that was kept is written
            if dropped:
                self._put(f"({dropped} lines were dropped here: nobody read them)\n".encode())
            self._put(data)
            with self._changed:
                self._bytes -= len(data)
                self._dropped -= dropped
                self._changed.notify_all()

    def _put(self, data: bytes) -> None:
        while data:
            rest = self._written(self._fd, data)
            if len(rest) == len(data):  # somebody else has made it so that it does not wait
                select.select([], [self._fd], [])
            data = rest

    def _written(self, fd: int, data: bytes) -> bytes:
        """Write what `fd` takes now; what is left. It takes something, unless it never waits."""
        if self._broken:
            return b""
        try:
            return data[os.write(fd, data[:PIECE_BYTES]) :]
        except BlockingIOError:
            return data
        except OSError as error:
            # Its reader has gone, or its terminal; a full disk may have room for the next line.
            self._broken = error.errno != errno.ENOSPC
            return b""


class OutletHandler(logging.Handler):
    """Has an outlet write the log."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._outlet.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Called by `logging.shutdown`."""
        self._outlet.flush()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        with contextlib.suppress(OSError):
            super().handleError(record)
