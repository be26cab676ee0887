"""Where a primary stands: its life, its one batch, and what it has the arbiter record."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Life(enum.Enum):
    """A primaryship, from `take_over` to `Stop`.

    LEADING ──▶ RETIRING ──▶ REVOKED ──▶ STOPPED
    LEADING ──▶ STOPPED   it must not go on (A3, J5)
    RETIRING ──▶ STOPPED   nor while it finishes its batch
    """

    LEADING = enum.auto()
    RETIRING = enum.auto()  # it finishes its batch, and grants nothing more (T5)
    REVOKED = enum.auto()  # it has asked for its leases back, and waits until they are over
    STOPPED = enum.auto()  # it answers nothing more, and begins nothing


class Phase(enum.Enum):
    """Where the one batch (R1) stands. IDLE is a batch boundary.

    IDLE ──▶ EXECUTING ──▶ PREPARED ──▶ COMMITTING ──▶ IDLE
    EXECUTING ──▶ IDLE   nothing to write, or it failed before anybody heard of it (R4)
    IDLE ──▶ PREPARED   a tail is adopted (T3); with pending entries a takeover begins there
    """

    IDLE = enum.auto()
    EXECUTING = enum.auto()
    PREPARED = enum.auto()
    COMMITTING = enum.auto()


# --- why a membership is being recorded, and so what follows once it is durable -------------------


@dataclass(frozen=True, slots=True)
class Lead:
    """The epoch begins (T2): before this nothing is answered."""


@dataclass(frozen=True, slots=True)
class PassOver:
    """A commit leaves the set's members behind that have not acknowledged it (R3)."""


@dataclass(frozen=True, slots=True)
class Admit:
    """A replica that is durable up to the tail becomes a member (J4)."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """The epoch ends clean (T5)."""


@dataclass(frozen=True, slots=True)
class StandDown:
    """This node leaves the set, and its process: its disk has lost commits (J5)."""

    reason: str


Recording = Lead | PassOver | Admit | HandOver | StandDown
