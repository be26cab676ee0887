"""`python -m bazar <command>`: the operator's commands, one file each in `bazar/cli/`."""

from __future__ import annotations

import importlib
import sys

from bazar.cli import ending

if __name__ == "__main__":
    ending.at_once()  # from here on: what follows takes a while to import
    program = importlib.import_module("bazar.cli.program")
    sys.exit(ending.ended(program.main))
