"""A temporary directory for each test, in an event loop of its own."""

from __future__ import annotations

import contextlib
import os
import tempfile
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock


class FilesTestCase(unittest.IsolatedAsyncioTestCase):
    """`self.directory` is empty, and gone afterwards."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)


@contextlib.contextmanager
def syncs(seen: Callable[[Path], object] = lambda path: None) -> Iterator[list[str]]:
    """The names of what Python code syncs in this block, in order; `seen` is called with each path
    just before."""
    names: list[str] = []

    def spy(sync: Callable[[int], None]) -> Callable[[int], None]:
        def synced(fd: int) -> None:
            path = Path(f"/proc/self/fd/{fd}").readlink()
            seen(path)
            names.append(path.name)
            sync(fd)

        return synced

    with (
        mock.patch.object(os, "fsync", spy(os.fsync)),
        mock.patch.object(os, "fdatasync", spy(os.fdatasync)),
    ):
        yield names
