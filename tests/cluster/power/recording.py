"""What the processes of a shop did to their files, in order: recorded by shim.c, read here.

Times are nanoseconds of the monotonic clock, which `time.monotonic_ns()` reads too.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
RECORD = struct.Struct("=IIqqqqIIII")


class Kind(IntEnum):
    """The kinds of events, as in shim.c."""

    OPEN = 0
    WRITE = 1
    TRUNCATE = 2
    SYNC = 3
    RENAME = 4
    LINK = 5
    UNLINK = 6
    MKDIR = 7


@dataclass(frozen=True, slots=True)
class Event:
    """One call that succeeded. `inode` says of which file, where `path` does not; `offset` is the
    new size of a truncation; `other` is the new name."""

    kind: Kind
    began: int
    ended: int
    inode: int = 0
    offset: int = 0
    path: str = ""
    other: str = ""
    data: bytes = b""
    flags: int = 0


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


def build_shim(directory: Path) -> Path:
    """Compile the shim; return its path. Raises CalledProcessError."""
    command = compiler()
    assert command is not None, "there is no C compiler"
    library = directory / "shim.so"
    options = ("-std=gnu11", "-O2", "-shared", "-fPIC", "-o")
    subprocess.run([command, *options, str(library), str(SOURCE)], check=True)
    return library


def recorded(shim: Path, root: Path, logs: Path) -> Mapping[str, str]:
    """Return the environment with which a process is recorded while it works below `root`."""
    logs.mkdir(parents=True, exist_ok=True)
    root = root.resolve()
    return {"LD_PRELOAD": str(shim), "POWER_ROOT": str(root), "POWER_LOG": str(logs)}


def read_log(path: Path, root: Path) -> Iterator[Event]:
    """Yield the events of one process, their paths relative to `root` ("." is the root itself)."""
    content = path.read_bytes()
    prefix = str(root.resolve())
    at = 0
    # A process that was killed during an append leaves it whole or not at all.
    while at < len(content):
        kind, flags, began, ended, inode, offset, *sizes, _ = RECORD.unpack_from(content, at)
        at += RECORD.size
        parts = []
        for size in sizes:
            parts.append(content[at : at + size])
            at += size
        path_, other, data = parts
        yield Event(
            Kind(kind),
            began,
            ended,
            inode,
            offset,
            _relative(path_.decode(), prefix),
            _relative(other.decode(), prefix),
            data,
            flags,
        )


def _relative(path: str, prefix: str) -> str:
    return os.path.relpath(path, prefix) if path else ""


def read_logs(logs: Path, root: Path) -> list[Event]:
    """Return everything that all processes did, in the order of its end."""
    events = [event for path in logs.glob("*.log") for event in read_log(path, root)]
    return sorted(events, key=lambda event: event.ended)
