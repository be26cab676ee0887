"""The terminal is closed: SIGHUP, and writes to it fail."""

from __future__ import annotations

import os
import pty
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster


@contextmanager
def nohup() -> Iterator[None]:
    """Have processes that are started meanwhile ignore SIGHUP, as below `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_shop_ends_in_order_with_its_terminal(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        supervisor = await shop.start_supervised()
        supervisor.send_signal(signal.SIGHUP)
        await shop.ended(supervisor.pid)
        assert supervisor.returncode == 0
        assert shop.all_processes() == {}
        for role in ("catalog", "order"):
            assert '"clean": true' in (shop.data_dir / f"{role}.members").read_text()


@pytest.mark.parametrize("name", ["catalog-1", "frontend-1"])
async def test_so_does_a_single_node(tmp_path: Path, name: str) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start()
        await shop.ended(shop.signal(name, signal.SIGHUP))
        assert shop.exit_code(name) == 0


async def test_below_nohup_it_lives_on_without_a_terminal(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        terminal, ours = pty.openpty()
        with nohup():
            shop.launch("cluster", stderr=ours)
        os.close(ours)
        await shop.ready()
        os.close(terminal)  # from now on a line of the log is an error: EIO
        running = shop.running()
        supervisor = shop.signal("cluster", signal.SIGHUP)
        for name in shop.roles:
            shop.signal(name, signal.SIGHUP)
            assert (await shop.get(name, "/healthz")).status == 200
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        assert shop.running() == running
        os.kill(supervisor, signal.SIGTERM)
        await shop.ended(supervisor)
        assert shop.exit_code("cluster") == 0
