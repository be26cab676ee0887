"""A mutant that no test can distinguish from the original, with the reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Equivalent:
    """An equivalent mutant. `before` and `after` are the lines that change, as the command prints
    them."""

    file: str
    function: str
    before: str
    after: str
    reason: str

    @property
    def name(self) -> tuple[str, str, str, str]:
        return self.file, self.function, self.before, self.after
