"""Whether a node may lead, by what its group's arbiter has on record (T0, T1)."""

from __future__ import annotations

from collections.abc import Collection

from bazar.errors import NeedsRepair
from bazar.replication.arbiter import Arbiter
from bazar.replication.messages import GENESIS, Mark, Member, Membership


class Candidate:
    """One node of the group `role`, with the names of its `peers`."""

    def __init__(self, me: Member, role: str, peers: Collection[str], arbiter: Arbiter) -> None:
        self.me = me
        self.role = role
        self.peers = peers
        self._arbiter = arbiter

    def may_lead(self, last: Mark) -> bool:
        """Get the lock, and keep it where it is ours by right (T0, T1). Our log ends at `last`."""
        if not self._arbiter.try_acquire():
            return False
        # Only now: what the file said before, its holder may have changed before it died.
        membership = self.membership()
        if membership is None and last != GENESIS:
            raise NeedsRepair(
                f"{self.me.node} has a log, but its group's membership is missing: put"
                f" {self.role}.members back, or stop the shop and make it anew: python -m bazar"
                f" rebuild {self.role}"
            )
        if membership is None or self.me in membership.members:
            return True
        self._arbiter.release()
        return False

    def membership(self) -> Membership | None:
        """Return the recorded membership, None of a group that is yet to begin, told to or not."""
        membership = self._arbiter.read()
        return membership if membership is not None and membership.members else None

    def hopeless(self) -> str | None:
        """Return why no replica of this group can ever lead as it stands, None if one may."""
        return self._hopeless(self._arbiter.look())

    def _hopeless(self, recorded: Membership | None) -> str | None:
        if recorded is None or not recorded.members or self.me in recorded.members:
            return None
        members = {member.node for member in recorded.members}
        if members == {self.me.node}:
            return (
                f"the file that was the only one in sync is gone, and no {self.role} replica can"
                " lead. Put it back, or go on with what another has: python -m bazar promote NODE"
            )
        if not members & {self.me.node, *self.peers}:
            return (
                f"the members on record ({', '.join(sorted(members))}) are not in the"
                f" configuration, and no other {self.role} replica can lead. Give the nodes their"
                " names back, or go on with what another has: python -m bazar promote NODE"
            )
        return None

    def waits_for(self) -> str:
        """Return what has to come before this node can follow or lead, in words."""
        owner = self._arbiter.lock_owner()
        held = "nobody holds" if owner is None else f"process {owner} holds"
        waits = f"{held} the lock of {self.role}, and no peer says it leads"
        recorded = self._arbiter.look()
        return self._hopeless(recorded) or f"{waits}{self._lost(recorded)}"

    def _lost(self, recorded: Membership | None) -> str:
        """Return what to do about this node's file, if it is not the one that was in sync."""
        members = set() if recorded is None else recorded.members
        names = {member.node for member in members}
        if self.me in members or self.me.node not in names:
            return ""
        others = ", ".join(sorted(names - {self.me.node}))
        return (
            f". The file of {self.me.node} that was in sync is gone: deleted, or set aside as"
            f" {self.me.node}.db.damaged-*. If that of {others} is lost, too, put one of them back"
            " and go on with it: python -m bazar promote NODE"
        )
