"""One subscriber as its primary sees it."""

from __future__ import annotations

from dataclasses import dataclass

from bazar.replication.effects import LogPage
from bazar.replication.messages import CACHE, Hello, Mark, Member


@dataclass(slots=True)
class Feed:
    """One subscriber's connection, from its hello to its end."""

    id: int
    hello: Hello
    acked: Mark | None = None
    welcomed: bool = False
    joined: bool = False
    heard: bool = False  # its hello has been compared with our log
    renew: int | None = None  # the newest question not yet granted
    asked_at: float = 0.0  # when it was last sent something to acknowledge
    busy: bool = False  # a page of the log, or a snapshot, is on its way to it
    page: LogPage | None = None  # its first page, kept until the next boundary
    near: bool = False  # one page from the end: the next batch waits for it
    hold_until: float | None = None

    @property
    def is_cache(self) -> bool:
        return self.hello.kind == CACHE

    @property
    def member(self) -> Member:
        return Member(self.hello.node, self.hello.store)

    @property
    def position(self) -> Mark:
        """How far its log is known to agree with ours."""
        return self.acked or self.hello.committed
