"""Round robin over the replicas of a service: 1, 2, 1, 2, … What would travel in one call together
with others that wait goes where they go (`prefer`). A replica that fails is set aside for a
while that grows with its failures, then tried again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeVar

from bazar import deadlines
from bazar.config import NodeConfig, PoolConfig
from bazar.errors import BazarError, Indeterminate, ShuttingDown, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

ROUND_PAUSE_S = 0.05  # between two rounds over all replicas
ROUND_PAUSE_MAX_S = 0.4


@dataclass(slots=True)
class Health:
    """What the pool remembers of one replica. All times are on the pool's clock."""

    node: NodeConfig
    failures: int = 0
    aside_until: float = 0.0

    @property
    def healthy(self) -> bool:
        return self.failures == 0


def choose(replicas: Sequence[Health], turn: int, now: float, tried: set[str]) -> Health | None:
    """Return the next replica at or after `turn` that has not been tried. If all that are left are
    set aside, return the one that is due first. Return None if all have been tried."""
    left = [health for health in replicas if health.node.name not in tried]
    for offset in range(len(replicas)):
        health = replicas[(turn + offset) % len(replicas)]
        if health in left and now >= health.aside_until:
            return health
    return min(left, key=lambda health: health.aside_until, default=None)


class ReplicaPool:
    """The replicas of one service, for its callers."""

    def __init__(
        self, nodes: Sequence[NodeConfig], settings: PoolConfig, clock: Callable[[], float]
    ) -> None:
        self.replicas = [Health(node) for node in nodes]
        self._settings = settings
        self._clock = clock
        self._turn = 0

    def __repr__(self) -> str:
        return f"<ReplicaPool {[(h.node.name, h.failures) for h in self.replicas]}>"

    def _next(self, tried: set[str], prefer: str | None) -> Health | None:
        if prefer not in tried:
            for preferred in self.replicas:
                if preferred.node.name == prefer and preferred.healthy:
                    return preferred
        health = choose(self.replicas, self._turn, self._clock(), tried)
        if health is not None:
            self._turn = (self.replicas.index(health) + 1) % len(self.replicas)
        return health

    def _failed(self, health: Health, error: Exception) -> None:
        if health.healthy:
            log.info("asks others for a while: %s", error)
        backoff_s = self._settings.backoff_s * 2 ** min(health.failures, 20)
        if isinstance(error, ShuttingDown):
            # While the replica restarts, its supervisor lets connections wait: do not add to them.
            backoff_s = self._settings.backoff_max_s
        health.failures += 1
        health.aside_until = self._clock() + min(backoff_s, self._settings.backoff_max_s)

    def _answered(self, health: Health) -> None:
        if not health.healthy:
            log.info("uses %s again", health.node.name)
        health.failures, health.aside_until = 0, 0.0

    async def call(
        self,
        attempt: Callable[[NodeConfig], Awaitable[T]],
        deadline_s: float,
        prefer: str | None = None,
        begun_within_s: float | None = None,
    ) -> T:
        """Return what `attempt` returns at the first replica that answers; try them round by round
        until `deadline_s` is over. `attempt` must be safe to repeat (a read, or a write with its
        key). The replica named by `prefer` is asked first, unless it is set aside. A write
        says that an attempt is begun within `begun_within_s` or never (R9), which nobody knows of
        plain HTTP (inf); after a read nothing is left.

        Raises the error by which a replica refused; Unavailable if surely nothing happened, else
        Indeterminate, once nothing can be begun any more.
        """
        deadline = self._clock() + deadline_s
        last: Unavailable | Indeterminate = Unavailable("no replica is configured")
        unknown: Indeterminate | None = None
        window_s = inf if begun_within_s is None else begun_within_s
        open_until = self._clock()  # so long an attempt whose outcome is unknown may be begun
        tried: set[str] = set()
        pause_s = ROUND_PAUSE_S
        while self._clock() < deadline:
            health = self._next(tried, prefer)
            if health is None:
                await asyncio.sleep(min(pause_s, deadline - self._clock()))
                pause_s = min(pause_s * 2, ROUND_PAUSE_MAX_S)
                tried.clear()
                continue
            tried.add(health.node.name)
            began = self._clock()
            try:
                with deadlines.bounded(window_s, began) as until:
                    answer = await attempt(health.node)
            except (Unavailable, Indeterminate) as error:
                self._failed(health, error)
                last = error
                if isinstance(error, Indeterminate):
                    unknown = error
                    open_until = began if begun_within_s is None else until
                continue
            except BazarError:
                self._answered(health)
                if began >= open_until:
                    raise
                if open_until >= deadline:
                    break
                # An earlier attempt may be behind this one: the refusal does not say that it can't
                # succeed (R5). An answer to what is asked from then on does.
                await asyncio.sleep(open_until - self._clock())
                tried.clear()
                continue
            self._answered(health)
            return answer
        if unknown is not None:
            if open_until < inf:
                await asyncio.sleep(open_until - self._clock())
            raise unknown
        raise last
