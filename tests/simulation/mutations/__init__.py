"""Deliberate faults: each takes one rule out of the code, and the simulation must notice."""

from __future__ import annotations

from tests.simulation.mutations.leading import JOINING, TAKING_OVER
from tests.simulation.mutations.mutation import Mutation
from tests.simulation.mutations.serving import CACHING, READING, SELLING, WRITING

__all__ = ["ALL", "Mutation"]

ALL: tuple[Mutation, ...] = WRITING + READING + CACHING + TAKING_OVER + JOINING + SELLING
