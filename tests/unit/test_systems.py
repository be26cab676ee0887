"""Where it does not run, it says so."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
WITHOUT_FCNTL = "import runpy, sys; sys.modules['fcntl'] = None; runpy.run_"


class SystemsTest(unittest.TestCase):
    def test_without_file_locks_it_says_on_which_systems_it_runs(self) -> None:
        for program in ("path('run.py', run_name='__main__')", "module('bazar', alter_sys=True)"):
            with self.subTest(program):
                done = subprocess.run(
                    [sys.executable, "-c", WITHOUT_FCNTL + program],
                    cwd=HERE,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                self.assertEqual(done.returncode, 1)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn("runs on Linux, macOS and other Unix systems", done.stderr)
