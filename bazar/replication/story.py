"""How one write went at the primary, for those who want to see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Story:
    """What happened to a write, and when, on the clock of the primary that had it."""

    primary: str
    asked: float
    moments: dict[str, float] = field(default_factory=dict)

    def note(self, what: str, now: float) -> None:
        self.moments.setdefault(what, now)

    def told(self) -> dict[str, Any]:
        """`{"primary", "moments"}`: milliseconds since the write came, in their order."""
        moments = {what: round(1000 * (at - self.asked), 3) for what, at in self.moments.items()}
        return {"primary": self.primary, "moments": moments}
