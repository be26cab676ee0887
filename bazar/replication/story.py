"""How one write went, for those who want to see it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Story:
    """What happened to a write, and when, on the primary's clock."""

    asked: float
    moments: dict[str, float] = field(default_factory=dict)

    def note(self, what: str, now: float) -> None:
        self.moments.setdefault(what, now)

    def told(self) -> dict[str, float]:
        """The moments in milliseconds since the write arrived, in the order they came."""
        return {what: round(1000 * (at - self.asked), 3) for what, at in self.moments.items()}
