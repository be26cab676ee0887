"""What is kept durably of a group, its primary and what a successor must know: as PacificA's
configuration manager (Lin et al., 2008)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from bazar.replication.messages import ArbiterId, Membership


class Arbiter(Protocol):
    """Grants the primaryship of one group and keeps its membership.

    Once a node has recorded an epoch, letting go of the primaryship means leaving the process.
    """

    @property
    def id(self) -> ArbiterId:
        """Return the id that no other arbiter has, nor a copy of this one (A1). Raises
        FatalError."""

    def read(self) -> Membership | None:
        """Return the recorded membership, None before the first epoch. Raises FatalError if it
        can't be read."""

    def look(self) -> Membership | None:
        """Return the same, to be shown: what was read for a decision is not replaced by it."""

    def try_acquire(self) -> bool:
        """Whether this process now holds the primaryship."""

    def release(self) -> None:
        """Let go before an epoch was recorded (T1)."""

    async def record(self, membership: Membership) -> None:
        """Make `membership` durable. Raises FatalError if the primaryship is not ours any more."""

    def lock_owner(self) -> int | None:
        """Return the process that holds the primaryship, where that can be known."""

    def check(self, epoch: int) -> None:
        """Raise FatalError unless this process is still the primary of `epoch`."""


@dataclass(frozen=True, slots=True)
class Knock:
    """A node that asks, or answers, and its arbiter (A3); `leads` is the last committed entry of a
    primary, None of any other node."""

    node: str
    arbiter: ArbiterId
    leads: int | None

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, plain: dict[str, Any]) -> Knock:
        """Read what `plain` made. Raises KeyError or TypeError where it is not that."""
        return cls(plain["node"], ArbiterId(**plain["arbiter"]), plain["leads"])


def two_clusters(node: str, ours: ArbiterId, other: str, theirs: ArbiterId) -> str:
    """Return, for two arbiters that meet, what is wrong and what to do."""
    return (
        f"two clusters run by one configuration: {node} with {ours.place}, {other} with"
        f" {theirs.place}. All nodes of a group need the same data directory, on the same machine,"
        " or the same database, itself and no copy: stop those that have the wrong one"
    )
