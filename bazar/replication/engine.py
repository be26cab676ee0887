"""Where the nodes of a group keep its state."""

from __future__ import annotations

from typing import Protocol, TypeVar

from bazar.replication.part import Part, Wiring

R = TypeVar("R", covariant=True)


class Engine(Protocol[R]):
    """One node's way to its group's state."""

    async def open(self) -> bool:
        """Open what this node keeps, for this process alone. Return whether it is known to be
        whole; else `check` has to be awaited before this node takes part. Raises ConfigError or
        FatalError."""

    def part(self, wiring: Wiring) -> Part:
        """Return the node's part in its group, once this is open."""

    @property
    def reader(self) -> R:
        """Return what reads the committed state, once the part is there."""

    async def check(self) -> None:
        """Return once what this node keeps is known to be whole. Raises FatalError where it is
        not."""

    async def close(self) -> None:
        """Close it."""
