"""Tracing's one hook: how a write goes at its primary, for those that ask to see it.

An operation with `tell` is traced, and its answer has in `told` what happened, and when. Of one
that is not traced nothing is noted, and nothing here is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bazar.replication.store import Answer, Operation


@dataclass(slots=True)
class Trace:
    """What happened to a write, and when, on the clock of the primary that had it."""

    primary: str
    asked: float
    moments: dict[str, float] = field(default_factory=dict)

    def note(self, what: str, now: float) -> None:
        self.moments.setdefault(what, now)

    def told(self, answer: Answer) -> Answer:
        """Return the answer with `{"primary", "moments"}`: milliseconds since the write came, in
        their order."""
        moments = {what: round(1000 * (at - self.asked), 3) for what, at in self.moments.items()}
        return {**answer, "told": {"primary": self.primary, "moments": moments}}


def begin(operation: Operation, primary: str, now: float) -> tuple[Operation, Trace | None]:
    """Return the operation without its `tell`, which is no part of what is asked; and its trace."""
    plain = {name: value for name, value in operation.items() if name != "tell"}
    return plain, Trace(primary, now) if operation["tell"] else None
