"""A log output that never makes its writer wait.

A pipe whose reader stalls takes some 64 KiB, and then blocks the writer: a whole node, for one line
of its log. So what can't be written at once is written by a thread, behind a bounded queue. Lines
that find the queue full are dropped and counted, and the count is written when output goes on.
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
from collections.abc import Callable

MAX_BYTES = 4 << 20
CLOSE_S = 1.0  # at the end, for the rest of the queue
PIECE_BYTES = 1 << 16
OPENED = "/proc/self/fd"  # Linux: a file opened by this path has flags of its own


def never_waits(fd: int) -> int | None:
    """Return a descriptor for the same file whose writes never wait, or None if there is none. `fd`
    itself is not changed: its flags are shared with other programs that have it open."""
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode):
            return fd
        if stat.S_ISFIFO(mode) or os.isatty(fd):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"{OPENED}/{fd}", flags)
    except OSError:  # the file belongs to another user, or there is no /proc
        pass
    return None


class Outlet:
    """A writer to a descriptor. If the other end is closed, everything is taken and dropped."""

    def __init__(
        self,
        fd: int,
        most: int = MAX_BYTES,
        dropped: Callable[[int], str] = "({} lines were dropped here: the log was not read)".format,
    ) -> None:
        """`dropped` returns the line that stands for so many lines."""
        self._fd = fd
        self._instead = dropped
        self._at_once = never_waits(fd)
        self._most = most
        self._waiting: deque[bytes] = deque()
        self._bytes = 0  # that wait, or are being written
        self._dropped = 0
        self._broken = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Write the text, whose lines end with a line end; never wait."""
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
        """Wait until everything is written, or the output is closed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes and not self._dropped, timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._dropped)
                data = self._waiting.popleft() if self._waiting else b""
                dropped = 0 if data else self._dropped  # everything that was kept is written
            if dropped:
                self._put(f"{self._instead(dropped)}\n".encode())
            self._put(data)
            with self._changed:
                self._bytes -= len(data)
                self._dropped -= dropped
                self._changed.notify_all()

    def _put(self, data: bytes) -> None:
        while data:
            rest = self._written(self._fd, data)
            if len(rest) == len(data):  # another program has made the descriptor non-blocking
                select.select([], [self._fd], [])
            data = rest

    def _written(self, fd: int, data: bytes) -> bytes:
        """Write what `fd` takes now; return the rest. It takes something, unless it is
        non-blocking."""
        if self._broken:
            return b""
        try:
            return data[os.write(fd, data[:PIECE_BYTES]) :]
        except BlockingIOError:
            return data
        except OSError as error:
            # The pipe or terminal is closed. A full disk may have room for the next line.
            self._broken = error.errno != errno.ENOSPC
            return b""


class OutletHandler(logging.Handler):
    """A logging handler that writes through an outlet."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._outlet.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Flush the outlet. Called by `logging.shutdown`."""
        self._outlet.flush()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        with contextlib.suppress(OSError):
            super().handleError(record)
