"""What an operator is told of a node: how it stands, and what it waits for."""

from __future__ import annotations

from typing import Any

from bazar.replication.primary import Primary
from bazar.replication.subscriber import Subscriber


def standing(core: Primary | Subscriber, now: float) -> dict[str, Any]:
    """Return how one side of the protocol stands, as JSON; times are seconds from `now`."""
    shown: dict[str, Any] = {
        "epoch": core.epoch,
        "epoch_id": core.epoch_id,
        "committed": core.committed.seq,
        "digest": core.committed.digest,
        "pending": len(core.pending),
    }
    if isinstance(core, Subscriber):
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
