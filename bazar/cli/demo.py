"""Play a fault of distributed shops: without the rule that prevents it, and with it."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from bazar.errors import BadRequest, ConfigError

CHECKOUT = Path(__file__).resolve().parents[2]
DEMO = "tests.simulation.demo"  # runs the real code; only its small world is part of the tests


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="which one, or all; without it they are listed")


def run(flags: argparse.Namespace) -> int:
    """Play the named faults. Return 1 if one was not seen without its rule, or was seen with it."""
    demo = _demo()
    known = {scenario.name: scenario for scenario in demo.SCENARIOS}
    if flags.name is None:
        width = max(len(name) for name in known)
        for scenario in known.values():
            print(f"{scenario.name:{width}}  {scenario.fault}")
        print("\nPlay one: python -m bazar demo NAME, or all of them: python -m bazar demo all")
        return 0
    if flags.name != "all" and flags.name not in known:
        raise BadRequest(f"{flags.name}: is none of {', '.join(known)}, all")
    names = list(known) if flags.name == "all" else [flags.name]
    fine = True
    for number, name in enumerate(names):
        lines, as_expected = demo.perform(known[name])
        print("\n\n" if number else "", "\n".join(lines), sep="", flush=True)
        fine &= as_expected
    return 0 if fine else 1


def _demo() -> Any:
    if str(CHECKOUT) not in sys.path:  # the `bazar` command has its own directory first in the path
        sys.path.append(str(CHECKOUT))
    try:
        return importlib.import_module(DEMO)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("tests"):
            raise
        raise ConfigError(
            "the scenarios are part of the tests, which are not here: "
            "run this in a checkout, where its README.md lies"
        ) from error
