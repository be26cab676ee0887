"""A replica that fills itself while the shop sells."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from pathlib import Path

from tests.cluster.client import HTTPClient
from tests.cluster.cluster import Cluster, until

SOLD_BEFORE, BATCH = 10_000, 100
LOG_ENTRIES = 100  # far less than what is sold during one snapshot


async def sell(client: HTTPClient) -> None:
    line = {"book": 4, "quantity": 1}
    items = [{"op": "sell", "key": secrets.token_hex(16), "lines": [line]} for _ in range(BATCH)]
    answer = await client.post("/write", {"items": items})
    assert answer.status == 200, answer


async def test_a_snapshot_under_load_is_of_use_when_it_is_there(tmp_path: Path) -> None:
    settings = {"replication": {"log_entries": LOG_ENTRIES}}
    async with Cluster(tmp_path, roles={"catalog": 2}, settings=settings) as shop:
        await shop.start()
        await shop.update(4, count=10**9)
        primary, other = await shop.primary("catalog"), await shop.follower("catalog")
        async with shop.client(primary, with_token=True) as client:
            for _ in range(SOLD_BEFORE // BATCH):
                await sell(client)
            await shop.kill(other)
            for file in shop.data_dir.glob(f"{other}.db*"):
                file.unlink()
            await sell(client)  # without it, from here on

            async def keep_selling() -> None:
                while True:
                    await sell(client)

            status = await until(partial(shop.status, primary), f"{primary} answers")
            assert other not in status["members"]
            selling = asyncio.create_task(keep_selling())
            await shop.start(other, wait=False)

            async def joined() -> bool:
                assert not selling.done(), selling
                status = await shop.status(primary)
                return status is not None and other in status["members"]

            await until(joined, f"{other} is in sync while the shop sells")
            selling.cancel()
            await asyncio.wait([selling])
        assert "sends a snapshot" in shop.log(primary)
