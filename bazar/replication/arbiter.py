"""Who is primary, and what a successor must know, kept durably: the configuration manager of
*PacificA* (Lin et al., 2008)."""

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
        """What no other arbiter has, nor a copy of this one (A1). Raises FatalError."""

    def read(self) -> Membership | None:
        """The recorded membership; None before the first epoch. Raises FatalError if unreadable."""

    def look(self) -> Membership | None:
        """The same, for who only wants to tell it."""

    def try_acquire(self) -> bool:
        """Whether this process now holds the primaryship."""

    def release(self) -> None:
        """Let go before an epoch was recorded (T1)."""

    async def record(self, membership: Membership) -> None:
        """Make `membership` durable. Raises FatalError if the primaryship is not ours any more."""

    def lock_owner(self) -> int | None:
        """The process that holds the primaryship, where that can be known."""

    def check(self, epoch: int) -> None:
        """Raises FatalError unless this process is still the primary of `epoch`."""


@dataclass(frozen=True, slots=True)
class Knock:
    """Who asks, and who answers, under which arbiter (A3); `leads` is the last committed entry of a
    primary, None of anybody else."""

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
    """What is wrong when two arbiters meet, and what to do."""
    return (
        f"two clusters run by one configuration: {node} with {ours.place}, {other} with"
        f" {theirs.place}. All nodes of a group need the same data directory, itself and no copy,"
        " on the same machine: stop those that have the wrong one"
    )
