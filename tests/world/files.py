"""The files of one machine, as system calls show them, and as a power cut leaves them.

A write is only in the kernel's memory until the file is synced, and a name until its directory is
synced. What was not synced may still be on the disk, in any order, and any part of a write. POSIX
promises no more; what ext4 promises beyond it is one of the possible outcomes.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from tests.world.tape import Tape
from tests.world.world import Process, World


def written(content: bytes, at: int, data: bytes) -> bytes:
    """Return the content with `data` in it; a hole before that is zeros."""
    return content[:at].ljust(at, b"\0") + data + content[at + len(data) :]


class File:
    """What a name stands for: its content as processes see it, and the part that is on the disk."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.content = b""
        self.synced = b""
        self.locked_by: Open | None = None
        self._unsynced: list[tuple[int, bytes] | None] = []  # None: the file was emptied

    def write(self, at: int, data: bytes) -> None:
        self.content = written(self.content, at, data)
        self._unsynced.append((at, data))

    def empty(self) -> None:
        if self.content:
            self.content = b""
            self._unsynced.append(None)

    def sync(self) -> None:
        self.synced = self.content
        self._unsynced.clear()

    def power_cut(self, tape: Tape) -> None:
        content = self.synced
        for change in self._unsynced:
            fate = tape.choice(("whole", "lost", "torn"))
            if change is None:
                content = b"" if fate == "whole" else content
            elif fate != "lost":
                at, data = change
                kept = len(data) if fate == "whole" else tape.below(len(data))
                content = written(content, at, data[:kept])
        self.content = content
        self.sync()
        self.locked_by = None


@dataclass(eq=False, slots=True)
class Open:
    """One open file, or directory."""

    process: Process
    path: str
    file: File
    is_directory: bool
    mode: int
    at: int = 0


@dataclass(frozen=True, slots=True)
class Stat:
    st_ino: int
    st_size: int
    st_dev: int = 1


class Files:
    """One machine's file system."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.names: dict[str, File] = {}
        self.on_disk: dict[str, File] = {}
        self.directories: dict[str, File] = {}
        self.replaced: Callable[[str], None] = lambda path: None
        """Called with each file that another one has replaced."""
        self.created: Callable[[str], None] = lambda path: None
        """Called with each new file."""
        self.delay: Callable[[], float] = lambda: 0.001
        """How long a system call takes in a thread, for which others wait."""
        self.short_chance = 0.0
        """How often a write takes only a part of its data."""
        self.tape = world.tape("files")
        self._made = 0
        # Changes of names: a power cut keeps each as a whole, or not at all.
        self._unsynced: list[dict[str, File | None]] = []

    def look(self, path: str) -> File:
        """Return the file of this name. Raises FileNotFoundError."""
        file = self.names.get(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return file

    def make_directory(self, path: str) -> None:
        self._made += 1
        self.directories[path] = File(self._made)

    def create(self, path: str) -> File:
        if parent(path) not in self.directories:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        self._made += 1
        file = File(self._made)
        self._name({path: file})
        self.created(path)
        return file

    def unlink(self, path: str) -> None:
        self.look(path)
        self._name({path: None})

    def replace(self, source: str, target: str) -> None:
        file = self.look(source)
        if target != source:
            self._name({target: file, source: None})
        self.replaced(target)

    def _name(self, change: dict[str, File | None]) -> None:
        self._unsynced.append(change)
        rename(self.names, change)

    def sync_directory(self, path: str) -> None:
        left = []
        for change in self._unsynced:
            if any(parent(name) == path for name in change):
                rename(self.on_disk, change)
            else:
                left.append(change)
        self._unsynced = left

    def power_cut(self) -> None:
        """Lose any part of what was never synced: the kernel may have written some of it already.
        All processes must have died."""
        for change in self._unsynced:
            if not self.tape.chance(0.5):
                rename(self.on_disk, change)
        self._unsynced.clear()
        self.names = dict(self.on_disk)
        for file in {file.number: file for file in self.names.values()}.values():
            file.power_cut(self.tape)


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def rename(names: dict[str, File], change: dict[str, File | None]) -> None:
    for name, file in change.items():
        if file is not None:
            names[name] = file
        else:
            names.pop(name, None)
