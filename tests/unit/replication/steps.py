"""What the tests of both sides of the protocol are made of: a log, and what was sent."""

from __future__ import annotations

from collections.abc import Sequence

from bazar.replication.effects import Effect, Send
from bazar.replication.messages import (
    GENESIS,
    ArbiterId,
    Change,
    Entry,
    Mark,
    Member,
    Message,
    chained,
)
from bazar.replication.primary import Primary
from bazar.replication.timing import Timing

TIMING = Timing(lease_s=1.0, ack_timeout_s=0.3)
HERE = ArbiterId("here", "/data on one")
THERE = ArbiterId("there", "/data on two")


def log(before: Mark, *tags: str, epoch: int = 1) -> tuple[Entry, ...]:
    """One entry a tag, behind `before`."""
    return chained(before, epoch, [Change((tag,), {"to": tag}) for tag in tags])


def sent(effects: Sequence[Effect], feed: int | None = None) -> list[Message]:
    """What is sent on this feed, or on any."""
    sends = [effect for effect in effects if isinstance(effect, Send)]
    return [one.message for one in sends if feed is None or one.feed == feed]


def lone_primary(now: float = 0.0) -> Primary:
    """A primary of a new group, which has yet to be recorded: `r-1` on its store `s1`."""
    primary, _ = Primary.take_over(
        *(Member("r-1", "s1"), None, GENESIS, (), now, TIMING),
        known=0,
        epoch_id="e1",
        restarted=False,
        arbiter=HERE,
    )
    return primary
