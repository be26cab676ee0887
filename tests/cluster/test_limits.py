"""Limits that a process reaches: descriptors, and the reader of its log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import LONG_LEASES, Cluster

FILES = 200
IDLE = 2 * FILES


@pytest.fixture(autouse=True)
def _enough_files() -> Iterator[None]:
    """This process is the client at the other end of all those connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 8 * IDLE:
        pytest.skip("needs more open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8 * IDLE), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors(shop: Cluster, name: str) -> int:
    """Return the highest descriptor that this node has open."""
    return max(int(one.name) for one in Path(f"/proc/{shop.pid(name)}/fd").iterdir())


async def test_idle_connections_take_no_descriptor_from_those_at_work(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings={"replication": LONG_LEASES}, files=FILES) as shop:
        await shop.start()
        with contextlib.ExitStack() as idle:
            for name in ("frontend-1", "catalog-1", "order-1"):
                for _ in range(IDLE):
                    idle.enter_context(socket.create_connection(("127.0.0.1", shop.ports[name])))
                assert (await shop.get(name, "/readyz")).status == 200
                assert descriptors(shop, name) < FILES
            for buyer in ("frontend-1", "order-2"):
                assert (await shop.put(buyer, "/purchase/4")).status == 200
            # A node that starts now dials ports that are full of strangers.
            await shop.restart("catalog-2")
            await shop.restart("order-2")
            assert (await shop.put("order-2", "/purchase/4")).status == 200
        await shop.same_rows("catalog")


async def test_too_few_descriptors_are_refused_with_a_sentence(tmp_path: Path) -> None:
    async with Cluster(tmp_path, files=64) as shop:
        await shop.start("catalog-1", wait=False)
        process = shop.pid("catalog-1")
        if process is not None:
            await shop.ended(process)
        assert shop.exit_code("catalog-1") == os.EX_CONFIG
        assert "may open 64 files only" in shop.log("catalog-1")


async def test_a_node_takes_as_many_descriptors_as_it_may(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (8 * IDLE, hard))
        await shop.start("catalog-1")
        pid = shop.pid("catalog-1")
        assert pid is not None
        soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        assert soft > 8 * IDLE or soft == hard


async def test_a_log_that_nobody_reads_stops_nobody(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings={"replication": LONG_LEASES}) as shop:
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as unread:
            shop.launch("cluster", stderr=writing)
            os.close(writing)
            await shop.ready()
            async with shop.client("frontend-1") as client:
                for number in range(700):  # with 8 KiB each: more than pipe and queue take
                    answer = await client.get(f"/search?topic={'x' * 8000}{number % 10}")
                    assert answer.status in (200, 400)
            supervisor = shop.signal("cluster", signal.SIGTERM)
            await shop.ended(supervisor)
            text = await asyncio.to_thread(unread.read)
        assert b"Traceback" not in text


async def test_nobody_else_may_open_what_a_shop_writes(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with Cluster(tmp_path) as shop:
            await shop.start()
            assert (await shop.put("frontend-1", "/purchase/4")).status == 200
            modes = {path.name: path.stat().st_mode & 0o777 for path in shop.data_dir.iterdir()}
            assert {"token", "catalog.lock", "catalog-1.db-wal", "catalog-1.db-shm"} <= set(modes)
            assert set(modes.values()) == {0o600}
            assert shop.data_dir.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
