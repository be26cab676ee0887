"""Deliberate faults: each takes one rule out of the code, and the simulation must notice."""

from __future__ import annotations

from tests.simulation.mutations.driving import ARBITRATING, BATCHING, LEADING
from tests.simulation.mutations.histories import HISTORIES
from tests.simulation.mutations.leading import JOINING, TAKING_OVER
from tests.simulation.mutations.meeting import MEETING
from tests.simulation.mutations.mutation import Mutation
from tests.simulation.mutations.selling import CALLING, KEYS, ORDERING, SHOWING
from tests.simulation.mutations.serving import CACHING, READING, WRITING

__all__ = ["ALL", "GAPS", "Mutation"]

GAPS = frozenset(
    {
        "a membership is looked at, and another written over meanwhile",
        "a primary stays whose file is deleted",
        "what is pending counts as cut off",
        "the cursor is not looked at",
        "the cursor goes to the newest sale, with an order or without",
    }
)
"""What seeds meet too seldom as the worlds are drawn today: each wants a focus that meets it."""

ALL: tuple[Mutation, ...] = (
    *(*WRITING, *BATCHING, *READING, *CACHING, *SHOWING),
    *(*LEADING, *ARBITRATING, *TAKING_OVER, *JOINING, *MEETING),
    *(*KEYS, *ORDERING, *CALLING, *HISTORIES),
)
