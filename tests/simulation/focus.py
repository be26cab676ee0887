"""Worlds drawn for one kind of trouble, which ordinary worlds meet too seldom.

A focus overrides some of a profile's draws; of several values one is drawn. Ordinary seeds take a
focus now and then; the hunt for a mutation that needs one takes it always.
"""

from __future__ import annotations

from tests.simulation.focuses import Focuses
from tests.simulation.focuses.keeping_up import KEEPING_UP
from tests.simulation.focuses.leading import LEADING
from tests.simulation.focuses.machine import MACHINE
from tests.simulation.focuses.serving import SERVING

PARTS = (LEADING, KEEPING_UP, MACHINE, SERVING)  # in this order seeds draw from them
FOCUSES: Focuses = {name: values for part in PARTS for name, values in part.items()}


def named(seed: int, focus: str) -> str:
    """Return what decides a run, in words: one seed is another run with another focus."""
    return f"seed {seed}, focus {focus}" if focus else f"seed {seed}"
