"""Who is primary, and what a successor must know, kept durably: the configuration manager of
*PacificA* (Lin et al., 2008)."""

from __future__ import annotations

from typing import Protocol

from bazar.replication.messages import Membership


class Arbiter(Protocol):
    """Grants the primaryship of one group and keeps its membership.

    Once a node has recorded an epoch, letting go of the primaryship means leaving the process.
    """

    def read(self) -> Membership | None:
        """The recorded membership; None before the first epoch. Raises Fatal if unreadable."""

    def look(self) -> Membership | None:
        """The same, for who only wants to tell it."""

    def try_acquire(self) -> bool:
        """Whether this process now holds the primaryship."""

    def release(self) -> None:
        """Let go before an epoch was recorded (T1)."""

    async def record(self, membership: Membership) -> None:
        """Make `membership` durable. Raises Fatal if the primaryship is not ours any more."""

    def holder(self) -> int | None:
        """The process that holds the primaryship, where that can be known."""

    def check(self, epoch: int) -> None:
        """Raises Fatal unless this process is still the primary of `epoch`."""
