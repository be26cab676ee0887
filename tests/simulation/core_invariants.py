"""What must hold of one primary or follower at every step, by its own state alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bazar.replication.effects import Effect, Send
from bazar.replication.messages import Revoke
from bazar.replication.primary import Primary
from bazar.replication.replica_subscriber import ReplicaSubscriber
from bazar.replication.states import Life, Phase
from tests.simulation.disk import Image
from tests.world.world import Excused, Violation

if TYPE_CHECKING:
    from tests.simulation.shopworld import Group


def check_memory(follower: ReplicaSubscriber, image: Image) -> None:
    """Check J1, T1: a follower whose disk is idle knows what is on it, and may lead from there."""
    if (image.committed, image.pending) != (follower.committed, tuple(follower.pending)):
        raise Violation(f"J1: {follower} is not what its disk says, {image.committed}")


def check_excuse(primary: Primary, image: Image, group: Group) -> None:
    """Check J5: a primary whose disk has lost commits has waited, and no member that has them has
    come."""
    if primary.me not in primary.membership.members or not primary.on_record:
        return  # it is leaving, or answers no client yet
    # It waits for a member that has said hello, although the member's time is over.
    if primary._unproven:
        goes_on = primary._recording or primary.phase is Phase.COMMITTING
        for feed in primary.feeds.values() if goes_on else ():
            if group.is_member(feed.member) and feed.hello.committed.seq > image.last_seq:
                who = feed.hello.node
                raise Violation(f"J5: {primary.me.node} goes on, and {who} said that he has more")
        return
    for feed in primary.feeds.values() if primary._boundary else ():
        if feed.page is not None and feed.hello.committed.seq > image.last_seq:
            raise Violation(f"J5: {primary.me.node} leads on, though {feed.hello.node} has more")
    raise Excused(f"{primary.me.node} leads with a damaged disk, and nobody else came back")


def check_boundary(primary: Primary, now: float, calm_s: float) -> None:
    """Check J4: no subscriber holds a boundary open for much longer than allowed. The primary has
    surely run for the last `calm_s`; before that it may have been stopped."""
    for feed in primary.feeds.values():
        since = feed.hold_until
        if since is not None and min(now - since, calm_s) > primary.timing.lease_s:
            raise Violation(f"J4: {primary.me.node} holds its boundary open for {feed.hello.node}")


def check_joining(primary: Primary) -> None:
    """Check J4: a subscriber whose acks count owes none for which it was never asked."""
    for feed in primary.feeds.values():
        if feed.joined and feed.acked != primary.tail and not feed.asked_at:
            raise Violation(f"J4: {feed.hello.node} joins at {feed.acked}, not at {primary.tail}")


def check_hand_over(primary: Primary, effects: Iterable[Effect], last_lease: float) -> float:
    """Check T5: the last batch is done before any lease is taken back, and from then on leases only
    end. Returns when the last lease ends."""
    if primary.life is Life.LEADING:
        return last_lease
    if primary.phase is not Phase.IDLE:
        if any(isinstance(one, Send) and isinstance(one.message, Revoke) for one in effects):
            raise Violation(f"T5: {primary.me.node} takes leases back amid a batch")
        return last_lease
    last = max(primary.leases.values(), default=0.0)
    if last > last_lease:
        raise Violation(f"T5: {primary.me.node} hands over, and grants")
    return last
