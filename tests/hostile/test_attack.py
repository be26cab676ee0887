"""A short attack: nothing that comes in breaks a node."""

from __future__ import annotations

from pathlib import Path

from tests.described.shop import shop
from tests.hostile.run import attack

TALKS = 15


async def test_nothing_that_comes_in_breaks_a_node(tmp_path: Path) -> None:
    async with shop(tmp_path / "shop") as cluster:
        await cluster.start()
        heard = await attack(cluster, 1, lambda talks: talks < TALKS)
        assert not heard.failures, heard.failures[:5]
        assert heard.talks >= TALKS * len(cluster.roles)
        assert {200, 400, 404} <= set(heard.statuses), str(heard)
