"""What a node has answered is the same error at its caller."""

from __future__ import annotations

import unittest

from bazar.errors import BazarError, answered, from_answer


class FromAnswerTest(unittest.TestCase):
    def test_each_class_comes_back_as_itself(self) -> None:
        for kind in answered():
            with self.subTest(kind=kind.__name__):
                error = from_answer(kind.status, kind.code, "why", {"key": "k"})
                self.assertIs(type(error), kind)
                self.assertEqual((str(error), error.details), ("why", {"key": "k"}))

    def test_what_is_unknown_here_keeps_its_status_and_code(self) -> None:
        error = from_answer(418, "teapot", "why")
        self.assertIs(type(error), BazarError)
        self.assertEqual((error.status, error.code), (418, "teapot"))
