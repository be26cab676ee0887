"""What a subscriber is sent on its way in (J2-J6)."""

from __future__ import annotations

from bazar.replication.effects import Effect, LogPage, Send
from bazar.replication.messages import Commit, Prepare, Welcome
from bazar.replication.subscription import Stage, Subscription
from bazar.replication.tenure import Tenure


def welcome(tenure: Tenure, now: float) -> Welcome:
    """Return the answer to a hello; it may ask for what lies beyond our log (T3)."""
    marks = tenure.tail, tenure.committed
    return Welcome(tenure.epoch, *marks, tenure.adopts(now), tenure.epoch_id, tenure.arbiter)


def await_tail(tenure: Tenure, feed: Subscription, now: float) -> None:
    """Wait for what a member's log has beyond ours, if that will be adopted (T3)."""
    if tenure.adopts(now) and feed.hello.last.seq > tenure.tail.seq:
        await_log(tenure, feed, now)


def await_log(tenure: Tenure, feed: Subscription, now: float) -> None:
    """Go on without this member only if its log is not ours by then (T3)."""
    feed.awaited = True
    feed.hold_until = max(now, tenure.not_before) + tenure.timing.ack_timeout_s


def send_page(tenure: Tenure, feed: Subscription, page: LogPage) -> list[Effect]:
    """Bring a replica a page further (J2)."""
    feed.stage = Stage.NEAR if page.end else Stage.CATCHING_UP
    # An empty page is sent too: its ack says how far the follower's own log agrees.
    effects: list[Effect] = [Send(feed.id, Prepare(page.entries))]
    done = [entry.mark for entry in page.entries if entry.seq <= tenure.committed.seq]
    if done:
        effects.append(Send(feed.id, Commit(done[-1])))
    return effects


def join(tenure: Tenure, feed: Subscription) -> list[Effect]:
    """Take a replica in that is durable up to our tail and in the set: from here on its acks count
    (J4)."""
    feed.stage, feed.hold_until = Stage.JOINED, None
    if tenure.committed.seq > feed.hello.committed.seq:
        # It has not been told yet what was committed while its acknowledgement was under way.
        return [Send(feed.id, Commit(tenure.committed))]
    return []


def join_cache(tenure: Tenure, feed: Subscription, now: float) -> list[Effect]:
    """Take a cache in: it starts empty, and is told of all that is pending before its first lease
    (J6)."""
    feed.stage = Stage.JOINED
    feed.acked, feed.asked_at = tenure.committed, now
    effects: list[Effect] = [Send(feed.id, welcome(tenure, now))]
    if tenure.pending:
        tags_only = tuple(entry.without_effects() for entry in tenure.pending)
        effects.append(Send(feed.id, Prepare(tags_only)))
    return effects
