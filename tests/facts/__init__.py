"""What PostgreSQL does, and the shop relies on or guards against: one coroutine a fact, asked of
real servers and of the simulated ones alike, so that the simulation can't drift from reality."""

from __future__ import annotations

from tests.facts.committing import COMMITTING
from tests.facts.lab import Fact, Lab, check
from tests.facts.locking import LOCKING
from tests.facts.overtaken import OVERTAKEN
from tests.facts.reading import READING
from tests.facts.standing_by import SPOILING, STANDING_BY

__all__ = ["ALL", "SPOILING", "Fact", "Lab", "check"]

ALL: tuple[Fact, ...] = (
    *(*LOCKING, *OVERTAKEN, *READING),
    *(*COMMITTING, *STANDING_BY, *SPOILING),
)
"""Every fact. After one of `SPOILING` a lab is of no more use."""
