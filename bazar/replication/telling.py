"""What an operator is told of a node: how it stands, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bazar.replication.messages import Member, Membership
from bazar.replication.primary import Primary
from bazar.replication.replica_subscriber import ReplicaSubscriber


def hopeless(
    me: Member, role: str, peers: Iterable[str], recorded: Membership | None
) -> str | None:
    """Why no replica of this group can ever lead as it stands; None if one may."""
    if recorded is None or me in recorded.members:
        return None
    members = {member.node for member in recorded.members}
    if members == {me.node}:
        return (
            f"the file that was the only one in sync is gone, and no {role} replica can lead."
            " Put it back, or go on with what another has: python -m bazar promote NODE"
        )
    if not members & {me.node, *peers}:
        return (
            f"the members on record ({', '.join(sorted(members))}) are not in the"
            f" configuration, and no other {role} replica can lead. Give the nodes their names"
            " back, or go on with what another has: python -m bazar promote NODE"
        )
    return None


def standing(core: Primary | ReplicaSubscriber, now: float) -> dict[str, Any]:
    """How one side of the protocol stands, as JSON; times are seconds from `now`."""
    shown: dict[str, Any] = {
        "epoch": core.epoch,
        "epoch_id": core.epoch_id,
        "committed": core.committed.seq,
        "digest": core.committed.digest,
        "pending": len(core.pending),
    }
    if isinstance(core, ReplicaSubscriber):
        shown["lease_s"] = round(max(core.lease_until - now, 0.0), 3)
        return shown
    shown["waits_s"] = round(max(core.not_before - now, 0.0), 3)  # T2
    shown["members"] = sorted(member.node for member in core.membership.members)
    shown["feeds"] = [
        {
            "node": feed.hello.node,
            "kind": feed.hello.kind,
            "joined": feed.joined,
            "acked": feed.position.seq,
            "lag": max(core.committed.seq - feed.position.seq, 0),
            "lease_s": round(max(core.leases.get(feed.hello.run, now) - now, 0.0), 3),
        }
        for feed in core.feeds.values()
    ]
    return shown
