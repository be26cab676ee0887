"""Log lines of requests, which are answered faster than `logging` could write one line each."""

from __future__ import annotations

import asyncio
import logging
import re

from bazar.latency_histogram import LatencyHistogram

access_log = logging.getLogger("bazar.access")

WRITES = (b"PUT", b"POST", b"DELETE")
BATCH_LINES = 512  # some 60 KiB: what a pipe takes at once
BATCH_S = 0.1  # how far a line's time may be off
_CONTROLS = bytes((*range(0x20), *range(0x7F, 0xA0)))
_CONTROL = re.compile(rb"[\x00-\x1f\x7f-\x9f]")

# A purchase's key: it is all that it takes to see what that has bought.
_KEY = re.compile(rb"([?&](?:k|%6b)(?:e|%65)(?:y|%79)=)[^&#]*", re.IGNORECASE)
_LEFT_OUT = "…".encode()


class LineByLine(logging.Formatter):
    """Begins every line of a message as if it were a message of its own."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.exc_info or "\n" not in text:
            return text
        beginning, _, _ = text.partition(record.message)
        return text.replace("\n", "\n" + beginning)


def printable(text: bytes) -> bytes:
    """Return `text` with its control characters escaped: one line stays one line."""
    if text.translate(None, _CONTROLS) == text:
        return text
    return _CONTROL.sub(lambda match: b"\\x%02x" % match[0][0], text)


def shown(target: bytes) -> bytes:
    """Return a target as logs show it: on one line, and without a purchase's key."""
    line = printable(target)
    return _KEY.sub(rb"\1" + _LEFT_OUT, line) if b"=" in line else line


class AccessLog:
    """Collects lines and hands them to `logging` together. One of a write takes those before it
    along, as soon as all that the loop has at hand is done: what has changed something is not to
    be missing, but many may be answered together. `meter` counts how long took what `counts`, when
    its line leaves."""

    def __init__(self, node: str, meter: LatencyHistogram) -> None:
        self._meter = meter
        self._node = printable(node.encode())
        self._lines: list[tuple[bytes, bytes, bytes, bytes, int, float, bytes, bool]] = []
        self._flushing: asyncio.Handle | None = None
        self._is_urgent = False

    def add(
        self,
        request_id: bytes,
        client: bytes,
        method: bytes,
        target: bytes,
        status: int,
        ms: float,
        note: bytes,
        *,
        counts: bool = True,
    ) -> None:
        """Add a request's line; `note` says what else there is to say, if anything."""
        self._lines.append((request_id, client, method, target, status, ms, note, counts))
        if len(self._lines) >= BATCH_LINES:
            self.flush()
        elif self._flushing is None or (method in WRITES and not self._is_urgent):
            self._flush_soon(method in WRITES)

    def _flush_soon(self, urgent: bool) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
        loop = asyncio.get_running_loop()
        self._is_urgent = urgent
        self._flushing = (
            loop.call_soon(self.flush) if urgent else loop.call_later(BATCH_S, self.flush)
        )

    def flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing, self._is_urgent = None, False
        lines, self._lines = self._lines, []
        self._meter.add_all([line[5] for line in lines if line[7]])
        if lines and access_log.isEnabledFor(logging.INFO):
            node, dash = self._node, {True: b" - ", False: b""}
            targets = {target: shown(target) for target in {line[3] for line in lines}}
            text = b"\n".join(
                b"%b %b %b %b %b %d %.1f ms%b%b"
                % (node, id_, client, method, targets[target], status, ms, dash[note != b""], note)
                for id_, client, method, target, status, ms, note, _ in lines
            )
            access_log.info("%s", text.decode("utf-8", "backslashreplace"))
