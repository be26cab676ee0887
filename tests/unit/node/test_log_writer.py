"""Output that nobody reads: real pipes."""

from __future__ import annotations

import errno
import logging
import os
import threading
from unittest import mock

import bazar.node.log_writer
from bazar.node.log_writer import MAX_BYTES, Outlet, OutletHandler
from tests.files import FilesTestCase

MOST = 1 << 17
LINE = "x" * 99 + "\n"


class OutletTest(FilesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reading, self.writing = os.pipe()
        self.addCleanup(self._close, "reading")
        self.addCleanup(self._close, "writing")

    def _close(self, end: str) -> None:
        fd = getattr(self, end)
        if fd >= 0:
            os.close(fd)
            setattr(self, end, -1)

    def outlet(self, fd: int, most: int = MAX_BYTES) -> Outlet:
        outlet = Outlet(fd, most)
        self.addCleanup(self._forget, outlet)
        return outlet

    @staticmethod
    def _forget(outlet: Outlet) -> None:
        if outlet._at_once not in (None, outlet._fd):
            os.close(outlet._at_once)
        outlet._at_once = None

    def end(self, outlet: Outlet) -> None:
        """As the end of its process does."""
        outlet.flush(60)
        self._forget(outlet)
        self._close("writing")

    def read_all(self) -> list[str]:
        """Until the writing end is closed, in a thread of its own."""
        with os.fdopen(os.dup(self.reading), "rb") as file:
            return file.read().decode().splitlines(keepends=True)

    def test_what_is_read_comes_whole_and_in_order(self) -> None:
        outlet, said = self.outlet(self.writing), [f"line {number}\n" for number in range(1000)]
        for line in said:
            outlet.write(line)
        self.end(outlet)
        self.assertEqual(self.read_all(), said)

    def test_nobody_reads_and_nobody_waits(self) -> None:
        self._nobody_reads(self.outlet(self.writing, MOST))

    def test_nobody_waits_where_a_thread_has_to_write_all(self) -> None:
        with mock.patch.object(bazar.node.log_writer, "OPENED", "/nowhere"):
            self._nobody_reads(self.outlet(self.writing, MOST))

    def test_what_can_be_written_is_written_at_once(self) -> None:
        for fd in (self.writing, os.open(self.directory / "log", os.O_WRONLY | os.O_CREAT)):
            outlet = self.outlet(fd)
            outlet.write(LINE)
            self.assertIsNone(outlet._thread)
        self.assertEqual(os.read(self.reading, 1000), LINE.encode())
        self.assertEqual((self.directory / "log").read_text(), LINE)
        self.assertTrue(os.get_blocking(self.writing))  # as others have it

    def test_a_full_disk_takes_the_next_line(self) -> None:
        outlet, full = self.outlet(self.writing), OSError(errno.ENOSPC, "no space left on device")
        with mock.patch.object(os, "write", side_effect=full):
            outlet.write("lost\n")
        outlet.write(LINE)
        self.assertEqual(os.read(self.reading, 1000), LINE.encode())

    def _nobody_reads(self, outlet: Outlet) -> None:
        for _ in range(10_000):  # some ten times of what the pipe and the queue take
            outlet.write(LINE)
        outlet.flush(0.01)  # it has a bound
        read: list[str] = []
        reader = threading.Thread(target=lambda: read.extend(self.read_all()))
        reader.start()
        outlet.flush(60)
        outlet.write("it flows again\n")
        self.end(outlet)
        reader.join()
        self.assertEqual(read.pop(), "it flows again\n")
        dropped = int(read.pop().removeprefix("(").partition(" ")[0])
        self.assertEqual(set(read), {LINE})
        self.assertEqual(len(read) + dropped, 10_000)
        self.assertGreater(dropped, 5000)

    def test_a_descriptor_that_does_not_block_is_waited_for(self) -> None:
        os.set_blocking(self.writing, False)
        outlet = self.outlet(self.writing)
        for _ in range(3000):
            outlet.write(LINE)
        read: list[str] = []
        reader = threading.Thread(target=lambda: read.extend(self.read_all()))
        reader.start()
        self.end(outlet)
        reader.join()
        self.assertEqual(read, [LINE] * 3000)

    def test_a_reader_that_has_gone_ends_nobody(self) -> None:
        self._close("reading")
        outlet = self.outlet(self.writing, MOST)
        logger = logging.Logger("lonely")
        logger.addHandler(handler := OutletHandler(outlet))
        for _ in range(10_000):
            logger.info("%s", LINE)
        handler.flush()
        outlet.flush(60)
        self.assertEqual((outlet._bytes, outlet._dropped), (0, 0))
