"""A model of FileArbiter: a kernel lock, and beside it the membership in a durable file."""

from __future__ import annotations

from collections.abc import Callable

from bazar.replication.messages import Member, Membership
from tests.simulation.world import Process, Violation, World


class Arbiter:
    """The lock is free the moment its holder is dead; a paused holder keeps it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.membership: Membership | None = None
        self._holder: Process | None = None
        self._writing: Membership | None = None

    @property
    def settled(self) -> bool:
        """Whether no other membership is under way to the disk."""
        return self._writing is None

    @property
    def holder(self) -> Process | None:
        if self._holder is not None and not self._holder.alive:
            self._release()
        return self._holder

    def try_lock(self, process: Process) -> bool:
        if self.holder is None:
            self._holder = process
            return True
        return False

    def unlock(self, process: Process) -> None:
        if self._holder is process:
            self._holder = None

    def _release(self) -> None:
        self._holder = None
        if self._writing is not None:
            # The rename may or may not have reached the disk when the writer died.
            if self.world.profile.chance(0.5):
                self.membership = self._writing
            self._writing = None

    def record(self, process: Process, membership: Membership, done: Callable[[], None]) -> None:
        """Write the membership, if its epoch is still the writer's; then call `done`."""
        if self.holder is not process:
            raise Violation(f"I1: {process.name} records {membership} without the lock")
        if self.membership is not None and self.membership.epoch > membership.epoch:
            raise Violation(f"I1: {membership} after {self.membership}")
        if not membership.members:
            raise Violation("nobody is left in the in-sync set")
        self._writing = membership
        self.world.after(
            self.world.profile.disk_delay(False), None, self._recorded, process, membership, done
        )

    def _recorded(self, process: Process, membership: Membership, done: Callable[[], None]) -> None:
        if self.holder is not process:
            return  # it has died meanwhile
        self._writing = None
        self.membership = membership
        if self.world.trace is not None:
            process.say(f"membership {describe(membership)}")
        self.world.after(0.0, process, done)

    def is_member(self, member: Member) -> bool:
        return self.membership is not None and member in self.membership.members


def describe(membership: Membership) -> str:
    members = ",".join(sorted(member.store for member in membership.members))
    return f"epoch {membership.epoch} {{{members}}}{' clean' if membership.clean else ''}"
