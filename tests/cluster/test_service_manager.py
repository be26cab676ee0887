"""Whoever starts the shop as a service is told when it is open."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from bazar.node.service_manager import VARIABLE, tell
from tests.cluster.cluster import READY_S, Cluster


@pytest.mark.parametrize("abstract", [False, True])
async def test_ready_is_told_once_the_shop_is_open(abstract: bool, tmp_path: Path) -> None:
    name = f"bazar-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)
        manager.bind(f"\0{name}" if abstract else name)
        environment = {VARIABLE: f"@{name}" if abstract else name}
        async with Cluster(tmp_path / "shop", environment=environment) as shop:
            await shop.start_supervised(wait=False)
            async with asyncio.timeout(READY_S):
                told = await asyncio.get_running_loop().sock_recv(manager, 1024)
            assert told == b"READY=1"
            assert (await shop.get("frontend-1", "/info/1")).status == 200


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "vsock:2:1"])
def test_a_manager_that_can_not_be_told_is_left_alone(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, address)
    tell("READY=1")
