"""`python -m bazar <command>`: the operator's commands, one file each in `bazar/cli/`."""

from __future__ import annotations

import importlib
import sys

from bazar.cli import ending


def main() -> int:
    ending.at_once()  # from here on: what follows takes a while to import
    program = importlib.import_module("bazar.cli.program")
    return ending.ended(program.main)


if __name__ == "__main__":
    sys.exit(main())
