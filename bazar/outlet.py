"""Output that nobody has to wait for.

A pipe whose reader stalls takes some 64 KiB, and then stops whoever writes to it: a whole node, for
a line of its log. So a thread writes, behind a queue with a bound; what finds no place there is
counted, and that is said when it flows again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections import deque

MAX_BYTES = 4 << 20
CLOSE_S = 1.0  # at the end, for what is left
PIECE_BYTES = 1 << 16


class Outlet:
    """Writes to a descriptor. One that is closed at the other end takes everything, unseen."""

    def __init__(self, fd: int, most: int = MAX_BYTES) -> None:
        self._fd = fd
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
        left = memoryview(data)
        while left and not self._broken:
            try:
                left = left[os.write(self._fd, left[:PIECE_BYTES]) :]
            except BlockingIOError:  # somebody else has made it so
                select.select([], [self._fd], [])
            except OSError:  # its reader has gone, or its terminal
                self._broken = True


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
