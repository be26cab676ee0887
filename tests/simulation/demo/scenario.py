"""A scenario, and one run of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tests.simulation.mutations import Mutation


@dataclass(frozen=True, slots=True)
class Run:
    """One performance: its drawing, whether the fault was seen, and what to say about it."""

    lines: list[str]
    fault: bool
    verdict: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault of the reference. `act` performs it on the code as it is at that moment."""

    name: str
    fault: str
    rule: str
    off: tuple[Mutation, ...]
    act: Callable[[], Run]

    def without_the_rule(self) -> Run:
        with ExitStack() as stack:
            for mutation in self.off:
                stack.enter_context(mutation.applied())
            return self.act()

    def with_the_rule(self) -> Run:
        return self.act()
