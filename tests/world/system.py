"""The system calls of files: what replaces `os`, `fcntl` and `pathlib` in a world."""

from __future__ import annotations

import errno
import fcntl as real_fcntl
import os as real_os
from pathlib import PurePosixPath

from tests.world.files import File, Files, Open, Stat
from tests.world.world import Process

MOST_READ = 1 << 16


class System:
    """The replacement of the modules `os` and `fcntl` in a world: the system calls of the process
    whose turn it is. A name that is not here raises AttributeError, so that nothing gets out of the
    world."""

    O_RDONLY, O_RDWR, O_WRONLY = real_os.O_RDONLY, real_os.O_RDWR, real_os.O_WRONLY
    O_CREAT, O_TRUNC, O_CLOEXEC = real_os.O_CREAT, real_os.O_TRUNC, real_os.O_CLOEXEC
    LOCK_EX, LOCK_NB = real_fcntl.LOCK_EX, real_fcntl.LOCK_NB
    path = real_os.path

    def __init__(self) -> None:
        self.files: Files

    def _enter(self) -> Process:
        """Begin a system call. Raises Killed for a process that is dead."""
        process = self.files.world.current
        assert process is not None, "no process asks for this"
        if process.in_thread:
            process.elsewhere(self.files.delay())
        else:
            process.elsewhere()
        return process

    def getpid(self) -> int:
        process = self.files.world.current
        return 0 if process is None else process.number

    def open(self, path: object, flags: int, mode: int = 0o777) -> int:
        process, name = self._enter(), str(path)
        files, access = self.files, flags & real_os.O_ACCMODE
        if name in files.directories:
            if access != self.O_RDONLY or flags & self.O_CREAT:
                raise IsADirectoryError(errno.EISDIR, "Is a directory", name)
            opened = Open(process, name, files.directories[name], True, access)
        else:
            if name not in files.names and flags & self.O_CREAT:
                files.create(name)
            opened = Open(process, name, files.look(name), False, access)
            if flags & self.O_TRUNC:
                files.look(name).empty()
        fd = 3
        while fd in process.files:
            fd += 1
        process.files[fd] = opened
        return fd

    def _of(self, fd: int) -> Open:
        process = self._enter()
        if fd not in process.files:
            raise OSError(errno.EBADF, "Bad file descriptor")
        opened: Open = process.files[fd]
        return opened

    def _file(self, fd: int, forbidden: int | None = None) -> tuple[Open, File]:
        """Return an open file, unless it was opened with the forbidden mode."""
        opened = self._of(fd)
        if opened.mode == forbidden:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if opened.is_directory:
            raise IsADirectoryError(errno.EISDIR, "Is a directory", opened.path)
        return opened, opened.file

    def close(self, fd: int) -> None:
        opened = self._of(fd)
        del opened.process.files[fd]
        if opened.file.locked_by is opened:
            opened.file.locked_by = None

    def read(self, fd: int, size: int) -> bytes:
        opened, file = self._file(fd, self.O_WRONLY)
        data = file.content[opened.at : opened.at + size]
        opened.at += len(data)
        return data

    def write(self, fd: int, data: bytes) -> int:
        opened, file = self._file(fd, self.O_RDONLY)
        tape, taken = self.files.tape, data
        if self.files.short_chance and len(data) > 1 and tape.chance(self.files.short_chance):
            taken = data[: 1 + tape.below(len(data) - 1)]
        file.write(opened.at, taken)
        opened.at += len(taken)
        return len(taken)

    def fsync(self, fd: int) -> None:
        opened = self._of(fd)
        if opened.is_directory:
            self.files.sync_directory(opened.path)
        else:
            opened.file.sync()

    def fstat(self, fd: int) -> Stat:
        _, file = self._file(fd)
        return Stat(file.number, len(file.content))

    def stat(self, path: object) -> Stat:
        self._enter()
        file = self.files.directories.get(str(path)) or self.files.look(str(path))
        return Stat(file.number, len(file.content))

    def replace(self, source: object, target: object) -> None:
        self._enter()
        self.files.replace(str(source), str(target))

    def unlink(self, path: object) -> None:
        self._enter()
        self.files.unlink(str(path))

    def flock(self, fd: int, how: int) -> None:
        """Lock an open file. The lock belongs to the open file, not to the process or the name."""
        opened = self._of(fd)
        file = opened.file
        if how != self.LOCK_EX | self.LOCK_NB:
            raise NotImplementedError(f"flock {how}: only LOCK_EX | LOCK_NB")
        holder = file.locked_by
        if holder is not None and holder is not opened and holder.process.alive:
            raise BlockingIOError(errno.EWOULDBLOCK, "Resource temporarily unavailable")
        file.locked_by = opened


SYSTEM = System()


class Path(PurePosixPath):
    """A path on the machine of the world that runs."""

    def stat(self) -> Stat:
        return SYSTEM.stat(self)

    def resolve(self) -> Path:
        return self

    def read_bytes(self) -> bytes:
        fd = SYSTEM.open(self, SYSTEM.O_RDONLY)
        try:
            content = b""
            while data := SYSTEM.read(fd, MOST_READ):
                content += data
            return content
        finally:
            SYSTEM.close(fd)

    def replace(self, target: object) -> None:
        SYSTEM.replace(self, target)
