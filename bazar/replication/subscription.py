"""One subscriber as its primary sees it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bazar.replication.effects import LogPage
from bazar.replication.messages import CACHE, FOLLOWER, Hello, Mark, Member


class Stage(enum.IntEnum):
    """How far a subscriber has come, from its hello (J1) to where its acks count (J4, J6).

    GREETED ──▶ HEARD ──▶ CATCHING_UP ◀──▶ NEAR ──▶ JOINED
    HEARD ──▶ NEAR   its first page is the last one
    CATCHING_UP ──▶ JOINED   a snapshot was all it lacked (J3)
    GREETED ──▶ JOINED   a cache: it has no log to compare (J6)
    """

    GREETED = enum.auto()
    HEARD = enum.auto()  # its hello has been compared with our log (J5)
    CATCHING_UP = enum.auto()  # it is welcomed, and is sent what it lacks (J2, J3)
    NEAR = enum.auto()  # one page from the end: the next batch waits for it
    JOINED = enum.auto()


@dataclass(slots=True)
class Subscription:
    """One subscriber's connection, from its hello to its end."""

    id: int
    hello: Hello
    acked: Mark | None = None
    stage: Stage = Stage.GREETED
    renew: int | None = None  # the newest question not yet granted
    asked_at: float = 0.0  # when it was last sent something to acknowledge
    awaited: bool = False  # until its log is ours, for a while (T3)
    busy: bool = False  # a page of the log, or a snapshot, is on its way to it
    page: LogPage | None = None  # its first page, kept until the next boundary
    hold_until: float | None = None

    def has_our_log(self) -> None:
        """Wait for it no more: what it had beyond ours is adopted, or does not extend ours."""
        if self.awaited:
            self.awaited, self.hold_until = False, None

    @property
    def heard(self) -> bool:
        return self.stage >= Stage.HEARD

    @property
    def welcomed(self) -> bool:
        return self.stage >= Stage.CATCHING_UP

    @property
    def near(self) -> bool:
        return self.stage is Stage.NEAR

    @property
    def joined(self) -> bool:
        return self.stage is Stage.JOINED

    @property
    def is_cache(self) -> bool:
        """Whether it keeps no log: it has none to compare, and is told of what comes."""
        return self.hello.kind in (CACHE, FOLLOWER)

    @property
    def member(self) -> Member:
        return Member(self.hello.node, self.hello.store)

    @property
    def position(self) -> Mark:
        """Return how far its log is known to agree with ours."""
        return self.acked or self.hello.committed
