"""The rules that a page shows, and those that it cites."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

from handlers.dashboard.rules import RULES, read

HERE = Path(__file__).parents[2]


class RulesTest(unittest.TestCase):
    def test_sections_rules_and_their_further_lines(self) -> None:
        first = "**Reading**\n\nL1  One < `two`\n    and *more*.\nL2  Two.\n"
        reading, writing = read(f"Some\nwords.\n\n{first}\n**Writing**\n\nR1  x\n")
        self.assertEqual(reading.title, "Reading")
        self.assertEqual(
            reading.rules, {"L1": "One &lt; <code>two</code> and <em>more</em>.", "L2": "Two."}
        )
        self.assertEqual(writing.rules, {"R1": "x"})

    def test_every_rule_that_is_cited_exists_and_a_test_cites_each(self) -> None:
        known = {name for section in RULES for name in section.rules}
        self.assertGreater(len(known), 40)
        letters = "".join(sorted({name[0] for name in known}))
        in_text = re.compile(rf"(?<![\w%-])([{letters}]\d)(?![\w'-])")
        in_names = re.compile(rf"def test_([{letters.lower()}]\d)_")
        tested: set[str] = set()
        for place in ("bazar", "handlers", "storage", "docs", "tests"):
            for path in (HERE / place).rglob("*.*"):
                if path.suffix not in (".py", ".md"):
                    continue
                text = path.read_text("utf-8")
                cited = set(in_text.findall(text))
                self.assertEqual(cited - known, set(), path)
                if place == "tests":
                    tested |= cited | {name.upper() for name in in_names.findall(text)}
        self.assertEqual(known - tested, set())
