"""Log lines of requests, which are answered faster than `logging` could write one line each."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from bazar.http.traffic import Kind, Traffic

access_log = logging.getLogger("bazar.access")

WRITES = (b"PUT", b"POST", b"DELETE")
BATCH_LINES = 512  # some 60 KiB: what a pipe takes at once
BATCH_S = 0.1  # how far a line's time may be off
_CONTROLS = bytes((*range(0x20), *range(0x7F, 0xA0)))
_CONTROL = re.compile(rb"[\x00-\x1f\x7f-\x9f]")

# A purchase's key: it is all that it takes to see what that has bought.
_KEY = re.compile(rb"([?&](?:k|%6b)(?:e|%65)(?:y|%79)=)[^&#]*", re.IGNORECASE)
_LEFT_OUT = "…".encode()

Line = tuple[bytes, bytes, bytes, bytes, int, float, bytes, Kind]
"""The request's id, or several with commas; the client; method, target, status, milliseconds, what
else there is to say; and what it is counted as."""


def printable(text: bytes) -> bytes:
    """Return `text` with its control characters escaped: one line stays one line."""
    if text.translate(None, _CONTROLS) == text:
        return text
    return _CONTROL.sub(lambda match: b"\\x%02x" % match[0][0], text)


def shown(target: bytes) -> bytes:
    """Return a target as logs show it: on one line, and without a purchase's key."""
    line = printable(target)
    return _KEY.sub(rb"\1" + _LEFT_OUT, line) if b"=" in line else line


class Lines:
    """Lines that leave together, as one message: a formatter may take it apart."""

    def __init__(self, node: bytes, lines: Sequence[Line]) -> None:
        self._node = node
        self._lines = lines

    def __str__(self) -> str:
        lines = self._lines
        node, dash = self._node, {True: b" - ", False: b""}
        targets = {target: shown(target) for target in {line[3] for line in lines}}
        text = b"\n".join(
            b"%b %b %b %b %b %d %.1f ms%b%b"
            % (node, id_, client, method, targets[target], status, ms, dash[note != b""], note)
            for id_, client, method, target, status, ms, note, _ in lines
        )
        return _text(text)

    def plain(self) -> Iterator[dict[str, Any]]:
        """Yield each line as JSON has it."""
        for request_id, client, method, target, status, ms, note, _ in self._lines:
            path, ids = _text(shown(target)), _text(request_id).split(",")
            yield {
                "node": _text(self._node),
                "message": f"{_text(method)} {path} {status}",
                **({"trace_id": ids[0]} if len(ids) == 1 else {"trace_ids": ids}),
                "client": _text(client),
                "method": _text(method),
                "path": path,
                "status": status,
                "duration_ms": round(ms, 3),
                **({"note": _text(note)} if note else {}),
            }


def _text(shown: bytes) -> str:
    return shown.decode("utf-8", "backslashreplace")


class AccessLog:
    """Collects lines and hands them to `logging` together. One of a write takes those before it
    along, as soon as all that the loop has at hand is done: what has changed something is not to
    be missing, but many may be answered together. They are counted as they leave."""

    def __init__(self, node: str) -> None:
        self._node = printable(node.encode())
        self._lines: list[Line] = []
        self._traffic = Traffic()
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
        kind: Kind,
        level: int = logging.INFO,
    ) -> None:
        """Add a request's line; `note` says what else there is to say, if anything."""
        line = request_id, client, method, target, status, ms, note, kind
        if level != logging.INFO:
            self._add_apart(level, line)
            return
        self._lines.append(line)
        if len(self._lines) >= BATCH_LINES:
            self.flush()
        elif self._flushing is None or (method in WRITES and not self._is_urgent):
            self._flush_soon(method in WRITES)

    def counted(self) -> Traffic:
        """Return the counts of all requests up to now."""
        self.flush()
        return self._traffic

    def _add_apart(self, level: int, line: Line) -> None:
        if access_log.isEnabledFor(level):
            self.flush()
            access_log.log(level, Lines(self._node, [line]))
        self._count([line])

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
        if lines:
            self._count(lines)
            access_log.info(Lines(self._node, lines))

    def _count(self, lines: Sequence[Line]) -> None:
        alike = defaultdict[tuple[Kind, bytes, int], list[float]](list)
        for _, _, method, _, status, ms, _, kind in lines:
            alike[kind, method, status].append(ms)
        for key, spent in alike.items():
            self._traffic.histogram(*key).add_all(spent)
