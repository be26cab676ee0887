"""Output that nobody reads: real pipes."""

from __future__ import annotations

import logging
import os
import threading
import unittest

from bazar.outlet import Outlet, OutletHandler

MOST = 1 << 17
LINE = "x" * 99 + "\n"


class OutletTest(unittest.TestCase):
    def setUp(self) -> None:
        self.reading, self.writing = os.pipe()
        self.addCleanup(self._close, "reading")
        self.addCleanup(self._close, "writing")

    def _close(self, end: str) -> None:
        fd = getattr(self, end)
        if fd >= 0:
            os.close(fd)
            setattr(self, end, -1)

    def read_all(self) -> list[str]:
        """Until the writing end is closed, in a thread of its own."""
        with os.fdopen(os.dup(self.reading), "rb") as file:
            return file.read().decode().splitlines(keepends=True)

    def test_what_is_read_comes_whole_and_in_order(self) -> None:
        outlet, said = Outlet(self.writing), [f"line {number}\n" for number in range(1000)]
        for line in said:
            outlet.write(line)
        outlet.flush(60)
        self._close("writing")
        self.assertEqual(self.read_all(), said)

    def test_nobody_reads_and_nobody_waits(self) -> None:
        outlet = Outlet(self.writing, MOST)
        for _ in range(10_000):  # some ten times of what the pipe and the queue take
            outlet.write(LINE)
        outlet.flush(0.01)  # it has a bound
        read: list[str] = []
        reader = threading.Thread(target=lambda: read.extend(self.read_all()))
        reader.start()
        outlet.flush(60)
        outlet.write("it flows again\n")
        outlet.flush(60)
        self._close("writing")
        reader.join()
        self.assertEqual(read.pop(), "it flows again\n")
        dropped = int(read.pop().removeprefix("(").partition(" ")[0])
        self.assertEqual(set(read), {LINE})
        self.assertEqual(len(read) + dropped, 10_000)
        self.assertGreater(dropped, 5000)

    def test_a_descriptor_that_does_not_block_is_waited_for(self) -> None:
        os.set_blocking(self.writing, False)
        outlet = Outlet(self.writing)
        for _ in range(3000):
            outlet.write(LINE)
        read: list[str] = []
        reader = threading.Thread(target=lambda: read.extend(self.read_all()))
        reader.start()
        outlet.flush(60)
        self._close("writing")
        reader.join()
        self.assertEqual(read, [LINE] * 3000)

    def test_a_reader_that_has_gone_ends_nobody(self) -> None:
        self._close("reading")
        outlet = Outlet(self.writing, MOST)
        logger = logging.Logger("lonely")
        logger.addHandler(handler := OutletHandler(outlet))
        for _ in range(10_000):
            logger.info("%s", LINE)
        handler.flush()
        outlet.flush(60)
        self.assertEqual((outlet._bytes, outlet._dropped), (0, 0))
