"""An attack on a whole shop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from tests.cluster.cluster import Cluster
from tests.hostile.making import Maker
from tests.hostile.talking import Heard, talk

SIDE_BY_SIDE = 4


async def attack(cluster: Cluster, seed: int, goes_on: Callable[[int], bool]) -> Heard:
    """Talk to every node while `goes_on`, which is told how many talks one has had at one of its
    connections. Raises AssertionError if a node has ended, or is not ready any more."""
    heard = Heard()

    async def at(name: str, number: int) -> None:
        random = Random(f"{seed} {name} {number}")
        document = (await cluster.get(name, "/openapi.json")).json
        maker = Maker(random, document, cluster.token)
        talks = 0
        while goes_on(talks):
            await talk(cluster.ports[name], maker.talk(), random, heard)
            talks += 1

    await asyncio.gather(*(at(name, one) for name in cluster.roles for one in range(SIDE_BY_SIDE)))
    await cluster.ready()
    return heard
