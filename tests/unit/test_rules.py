"""The rules that a page shows, and those that it cites."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

from handlers.dashboard.rules import RULES, read

PAGES = Path(__file__).parents[2] / "handlers" / "dashboard"


class RulesTest(unittest.TestCase):
    def test_sections_rules_and_their_further_lines(self) -> None:
        first = "**Reading**\n\nL1  One < `two`\n    and *more*.\nL2  Two.\n"
        reading, writing = read(f"Some\nwords.\n\n{first}\n**Writing**\n\nR1  x\n")
        self.assertEqual(reading.title, "Reading")
        self.assertEqual(
            reading.rules, {"L1": "One &lt; <code>two</code> and <em>more</em>.", "L2": "Two."}
        )
        self.assertEqual(writing.rules, {"R1": "x"})

    def test_what_is_cited_is_a_rule(self) -> None:
        known = {name for section in RULES for name in section.rules}
        self.assertGreater(len(known), 30)
        text = "".join(path.read_text("utf-8") for path in PAGES.glob("*.py"))
        cited = set(re.findall(r'"([A-Z]\d)(?:"|, )', text)) | set(
            re.findall(r', ([A-Z]\d)"', text)
        )
        self.assertIn("T2", cited)
        self.assertEqual(cited - known, set())
