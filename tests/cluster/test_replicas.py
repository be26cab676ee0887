"""Replicas that are added and taken away, and ports that change, as docs/operations.md says."""

from __future__ import annotations

import time
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.commands import command
from tests.cluster.load import Load
from tests.cluster.test_failures import STOCK, nothing_lost


async def test_replicas_come_and_go_and_ports_change(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        supervisor = await shop.start_supervised()
        await shop.update(4, count=STOCK)
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            await load.flowing(0)
            shop.place("catalog-3", "catalog")
            joined = await command(shop, "join")
            assert (joined.returncode, joined.stderr) == (0, "")
            assert "catalog-3 is in sync" in joined.stdout
            await load.flowing(time.monotonic())
            assert load.write_errors == []

            supervisor.terminate()
            await shop.ended(supervisor.pid)
            shop.remove("catalog-2")
            shop.place("order-2", "order")
            await shop.start_supervised()
            await load.flowing(time.monotonic())
        status = await shop.status(await shop.primary("catalog"))
        assert status is not None
        assert status["members"] == ["catalog-1", "catalog-3"]
        await nothing_lost(shop, load)
        assert (await command(shop, "verify")).returncode == 0
