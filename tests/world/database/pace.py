"""How long things take in a simulated database, drawn from the world's tape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.world.tape import Tape


@dataclass
class Pace:
    """The longest that each step takes; most take far less."""

    tape: Tape
    statement_s: float = 0.001
    flush_s: float = 0.004
    """From the end of a transaction to its WAL on this disk."""
    apply_s: float = 0.004
    """From the WAL on a standby's disk to what it shows."""
    wake_s: float = 0.001
    """From the end of a reason to wait to the step that finds it gone."""
    keepalive_s: float = 10.0
    """From when a connection is cut to when the server gives it up: at least a tenth of this."""
    restart_s: float = 2.0
    deadlock_s: float = 1.0
    between: float = 0.1
    """How often others run between two statements of a pipeline."""
    torn: float = 0.0
    """How often a pipeline arrives in two pieces."""
    torn_s: float = 0.1
    power: float = 0.5
    """How often a server, or a client, dies with its machine, and tells nobody."""
    message: Callable[[], float] | None = None
    """Draws how long a message travels, if not up to 10 ms."""

    def draw(self, longest_s: float) -> float:
        return longest_s * float(self.tape.random()) ** 3

    def travel(self) -> float:
        return 0.0002 + self.draw(0.01) if self.message is None else self.message()

    def keepalive(self) -> float:
        return self.keepalive_s * (0.1 + 0.9 * self.tape.random())

    def interrupts(self) -> bool:
        return self.tape.chance(self.between)
