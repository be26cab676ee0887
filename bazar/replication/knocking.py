"""Asking peers under which arbiter they are: two clusters by mistake find each other (A3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from bazar.config import NodeConfig
from bazar.errors import BazarError, FatalError, OtherToken
from bazar.replication.arbiter import Knock, two_clusters
from bazar.replication.effects import Effect
from bazar.replication.messages import ArbiterId
from bazar.replication.primary import Primary
from bazar.replication.store import Answer

log = logging.getLogger(__name__)

BEGINNING_S = 0.3  # from when a node starts until it surely listens

Ask = Callable[[NodeConfig, Answer], Awaitable[Answer]]


class Knocking:
    """The peers of a node, and how it asks them: within a bound, all at once."""

    def __init__(self, node: str, home: ArbiterId, peers: Sequence[NodeConfig], ask: Ask) -> None:
        self.node = node
        self.home = home
        self.peers = peers
        self._ask = ask

    async def at(self, peers: Iterable[NodeConfig], ours: Knock) -> list[Knock]:
        """Ask these peers; return the answers that came."""

        async def one(peer: NodeConfig) -> Knock | None:
            try:
                return Knock.load(await self._ask(peer, ours.plain()))
            except OtherToken:
                return Knock(peer.name, ArbiterId(peer.url, f"another token at {peer.url}"), None)
            except (BazarError, KeyError, TypeError) as error:  # not there, or of another version
                log.debug("%s does not say who it is: %s", peer.name, error)
                return None

        answers = await asyncio.gather(*(one(peer) for peer in peers))
        return [answer for answer in answers if answer is not None]

    async def must_be_alone(self, founding: bool) -> None:
        """Raise FatalError if a peer is under another arbiter. Two that begin at once do not listen
        yet when they ask first, but when they ask again."""
        unheard, ours = list(self.peers), Knock(self.node, self.home, None)
        for turn in range(2 if founding else 1):
            if turn and unheard:
                await asyncio.sleep(BEGINNING_S)
            answers = await self.at(unheard, ours)
            for theirs in answers:
                if theirs.arbiter != self.home:
                    raise FatalError(
                        two_clusters(self.node, self.home, theirs.node, theirs.arbiter)
                    )
            heard = {theirs.node for theirs in answers}
            unheard = [peer for peer in unheard if peer.name not in heard]

    async def look_for_others(
        self, primary: Primary, perform: Callable[[Iterable[Effect]], None], every_s: float
    ) -> None:
        """Have a primary ask the peers that hold no feed of it, again and again."""
        while True:
            here = {feed.hello.node for feed in primary.feeds.values()}
            others = [peer for peer in self.peers if peer.name not in here]
            for theirs in await self.at(others, primary.knock()):
                perform(primary.meet(theirs))
            await asyncio.sleep(every_s)
