"""What is told of a write to those that ask to see it."""

from __future__ import annotations

import unittest

from bazar.replication import trace


class TraceTest(unittest.TestCase):
    def test_an_operation_goes_on_without_its_tell(self) -> None:
        """It is no part of what is asked: with it and without it a write is the same (S1)."""
        for tell in (True, False):
            operation = {"op": "sell", "key": "k", "tell": tell}
            plain, traced = trace.begin(operation, "r-1", 7.0)
            self.assertEqual(plain, {"op": "sell", "key": "k"})
            self.assertEqual(traced is not None, tell)
            self.assertEqual(operation["tell"], tell)

    def test_moments_are_told_from_when_the_write_came(self) -> None:
        _, traced = trace.begin({"op": "sell", "tell": True}, "r-1", 7.0)
        assert traced is not None
        for what, now in (("taken", 7.25), ("ack r-2", 7.5), ("ack r-2", 8.0)):
            traced.note(what, now)
        told = traced.told({"sold": 1})
        moments = {"taken": 250.0, "ack r-2": 500.0}  # the first one counts
        self.assertEqual(told, {"sold": 1, "told": {"primary": "r-1", "moments": moments}})
