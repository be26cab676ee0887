"""Deliberate faults: each takes one rule out of the code, and the simulation must notice."""

from __future__ import annotations

from tests.simulation.mutations.driving import ARBITRATING, BATCHING, LEADING
from tests.simulation.mutations.leading import JOINING, TAKING_OVER
from tests.simulation.mutations.mutation import Mutation
from tests.simulation.mutations.selling import CALLING, KEYS, ORDERING, SHOWING
from tests.simulation.mutations.serving import CACHING, READING, WRITING

__all__ = ["ALL", "GAPS", "Mutation"]

GAPS = frozenset(
    {
        "a batch is committed that is not proven",
        "a replica joins that owes an adopted tail",
        "a hand-over does not wait for its batch",
        "reads are not confirmed",
        "the hand-over does not wait for the leases",
        "the hand-over does not wait for its own T2",
        "a snapshot's first chunk forgets what is held",
    }
)
"""What seeds meet too seldom as the worlds are drawn today: each wants a focus that meets it."""

ALL: tuple[Mutation, ...] = (
    *(*WRITING, *BATCHING, *READING, *CACHING, *SHOWING),
    *(*LEADING, *ARBITRATING, *TAKING_OVER, *JOINING),
    *(*KEYS, *ORDERING, *CALLING),
)
