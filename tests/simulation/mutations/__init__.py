"""Deliberate faults: each takes one rule out of the code, and the simulation must notice."""

from __future__ import annotations

from tests.simulation.mutations.cancelling import CANCELLING, UNDOING
from tests.simulation.mutations.driving import ARBITRATING, BATCHING, LEADING
from tests.simulation.mutations.histories import HISTORIES
from tests.simulation.mutations.leading import JOINING, TAKING_OVER
from tests.simulation.mutations.meeting import MEETING
from tests.simulation.mutations.mutation import Mutation
from tests.simulation.mutations.retiring import RETIRING
from tests.simulation.mutations.selling import CALLING, KEYS, ORDERING, SAMPLES, SHOWING
from tests.simulation.mutations.serving import CACHING, READING, REMEMBERING, WRITING

__all__ = ["ALL", "Mutation"]

ALL: tuple[Mutation, ...] = (
    *(*WRITING, *BATCHING, *READING, *REMEMBERING, *CACHING, *SHOWING),
    *(*LEADING, *ARBITRATING, *TAKING_OVER, *JOINING, *MEETING),
    *(*KEYS, *CANCELLING, *UNDOING, *SAMPLES, *RETIRING, *ORDERING, *CALLING, *HISTORIES),
)
