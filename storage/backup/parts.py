"""The parts of a backup's file: written one behind the other, and read back, each as it was
written or not at all."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from storage.backup import BadBackup

LEVEL = 1  # a higher one takes three times as long, and saves 4 %
BYTES = 1 << 18  # of JSON, from which on a part is full
MOST_BYTES = 64 << 20  # that a part may have
READ_BYTES = 1 << 16
GZIP = zlib.MAX_WBITS | 16
MAGIC = b"\x1f\x8b"

Head = Mapping[str, Any]


class PartWriter:
    """Writes parts, and knows where the next one begins."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.at = 0

    def write(self, head: Head, rows: Sequence[bytes] = ()) -> None:
        """Write a part; `rows` are JSON, each without an end of line. Raises OSError."""
        line = orjson.dumps({**head, "rows": len(rows), "before": self._digest.hexdigest()})
        member = gzip.compress(b"\n".join((line, *rows, b"")), LEVEL, mtime=0)
        self._file.write(member)
        self._digest.update(member)
        self.at += len(member)


@dataclass(frozen=True, slots=True)
class Part:
    """One part as it was read: it begins at byte `at` of the file, and ends before `end`."""

    at: int
    end: int
    head: Head
    _lines: Sequence[bytes]

    def rows(self, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Return its rows as images. Raises ValueError where they are none."""
        values = orjson.loads(b"[%b]" % b",".join(self._lines))
        return [dict(zip(columns, row, strict=True)) for row in values]


def read_parts(file: BinaryIO, at: int = 0) -> Iterator[Part]:
    """Yield the parts from byte `at` on, as long as there are any. From the beginning on each is
    checked against the bytes before it. Raises BadBackup, which says where, or OSError."""
    file.seek(at)
    digest = hashlib.sha256() if at == 0 else None
    left = b""
    while member := _next_member(file, left, at):
        text, raw, left = member
        try:
            line, *rows, end = text.split(b"\n")
            head = orjson.loads(line)
            whole = end == b"" and len(rows) == head["rows"]
            before = head["before"]
        except (ValueError, LookupError, TypeError):
            raise BadBackup(f"at byte {at}: there is no part of a backup") from None
        if not whole:
            raise BadBackup(f"at byte {at}: a part has other rows than it says")
        if digest is not None and before != digest.hexdigest():
            raise BadBackup(f"damaged: what lies before byte {at} is not what was written")
        size = sum(map(len, raw))
        yield Part(at, at + size, head, rows)
        at += size
        if digest is not None:
            for piece in raw:
                digest.update(piece)


def _next_member(
    file: BinaryIO, left: bytes, at: int
) -> tuple[bytes, Sequence[bytes], bytes] | None:
    """Return what the member at byte `at` holds, its own bytes, and those read behind it; None at
    the end of the file. `left` are those that were read already."""
    gunzip = zlib.decompressobj(GZIP)
    texts: list[bytes] = []
    raw: list[bytes] = []
    room = MOST_BYTES
    while not gunzip.eof:
        piece, left = left or file.read(READ_BYTES), b""
        if not piece:
            if not raw:
                return None
            raise BadBackup(f"cut off: it ends within the part that begins at byte {at}")
        raw.append(piece)
        try:
            texts.append(gunzip.decompress(piece, room))
        except zlib.error as error:
            if at == 0 and not b"".join(raw).startswith(MAGIC):
                raise BadBackup("is no backup of a shop") from None
            raise BadBackup(f"damaged: the part that begins at byte {at}: {error}") from None
        room -= len(texts[-1])
        if room <= 0:
            raise BadBackup(f"at byte {at}: a part has more than {MOST_BYTES} bytes")
    behind = gunzip.unused_data
    if behind:
        raw[-1] = raw[-1][: -len(behind)]
    return b"".join(texts), raw, behind
