"""Faults below a supervisor: nobody starts a node again but it."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.cluster import ROOT, SHORT_LEASES, Cluster, until
from tests.cluster.load import Load
from tests.cluster.test_failures import STOCK, nothing_lost

HANG_S = 0.6
SETTINGS = {"replication": SHORT_LEASES, "supervisor": {"hang_s": HANG_S}}


async def test_a_primary_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings=SETTINGS) as shop:
        await shop.start_supervised()
        await shop.update(4, count=STOCK)
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            await load.flowing(0)
            for role in ("catalog", "order"):
                primary = await shop.primary(role)
                pid = shop.pid(primary)
                assert pid is not None
                paused_at = time.monotonic()
                await shop.pause(primary)
                await shop.ended(pid)
                await load.flowing(time.monotonic())
                gap_s = load.gap_s(paused_at, time.monotonic())
                print(f"{primary} hung: {gap_s:.2f} s without an acknowledged purchase")
                assert f"{primary} answers nothing; it is killed" in shop.log("cluster")
                await shop.ready()
        await nothing_lost(shop, load)


@pytest.mark.parametrize("role", ["frontend", "catalog", "order"])
async def test_killed_nodes_come_back_by_themselves(tmp_path: Path, role: str) -> None:
    async with Cluster(tmp_path, settings=SETTINGS) as shop:
        await shop.start_supervised()
        await shop.update(4, count=STOCK)
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            await load.flowing(0)
            victim = "frontend-1" if role == "frontend" else await shop.primary(role)
            killed_at = time.monotonic()
            await shop.kill(victim)
            await load.flowing(time.monotonic())
            gap_s = load.gap_s(killed_at, time.monotonic())
            print(f"{victim} killed: {gap_s:.2f} s without an acknowledged purchase")
            await until(lambda: shop.pid(victim), f"{victim} runs again")
            await shop.ready()
        await nothing_lost(shop, load)


async def test_a_rolling_restart_fails_no_request(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start_supervised()
        await shop.update(4, count=STOCK)
        before = shop.running()
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            load.read("frontend-1", ["/info/1", "/info/4", "/search?topic=under"])
            await load.flowing(0)
            began = time.monotonic()
            command = ("-m", "bazar", "restart", "--config", str(shop.config_path))
            restart = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT)
            assert await restart.wait() == 0
            await load.flowing(time.monotonic())
            gap_s = load.gap_s(began, time.monotonic())
            print(f"all nodes restarted: {gap_s:.2f} s without an acknowledged purchase at worst")
        after = shop.running()
        assert sorted(after) == sorted(before)
        assert not set(after.values()) & set(before.values())
        assert load.read_errors == []
        assert load.write_errors == []
        await nothing_lost(shop, load)
