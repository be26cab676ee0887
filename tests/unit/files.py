"""A temporary directory for each test, in an event loop of its own."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path


class FilesTestCase(unittest.IsolatedAsyncioTestCase):
    """`self.directory` is empty, and gone afterwards."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
