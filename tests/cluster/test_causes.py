"""A node or command that waits for what can't come says what that is."""

from __future__ import annotations

import fcntl
import os
from functools import partial
from pathlib import Path

from tests.cluster.cluster import Cluster, until
from tests.cluster.commands import command


def says(shop: Cluster, name: str, words: str) -> bool:
    return words in shop.log(name)


async def test_members_that_are_not_in_the_configuration(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 2}) as shop:
        await shop.start()
        await shop.terminate_all()
        shop.ports = {f"{name}0": port for name, port in shop.ports.items()}
        shop.roles = dict.fromkeys(shop.ports, "catalog")
        shop.write_config()
        await shop.start(wait=False)
        cause = "the members on record (catalog-1, catalog-2) are not in the configuration"
        for name in shop.roles:
            await until(partial(says, shop, name, cause), f"{name} says so")
            await until(partial(shop.status, name), f"{name} answers")
        shown = await command(shop, "status")
        assert shown.returncode == 1
        assert f"catalog-10 seeks a primary: {cause}" in shown.stdout


async def test_a_lock_that_somebody_else_holds(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 1}) as shop:
        shop.data_dir.mkdir()
        with (shop.data_dir / "catalog.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            await shop.start(wait=False)
            cause = f"process {os.getpid()} holds the lock of catalog, and no peer says it leads"
            await until(lambda: cause in shop.log("catalog-1"), "it says who holds the lock")
            assert f"catalog-1 seeks a primary: {cause}" in (await command(shop, "status")).stdout
        await shop.ready()
        assert "seeks" not in (await command(shop, "status")).stdout


async def test_a_token_that_a_peer_does_not_know(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 2}) as shop:
        await shop.start("catalog-1")
        shop.environment = {"BAZAR_TOKEN": "another-token-altogether"}
        await shop.start("catalog-2", wait=False)
        said = "catalog-2 gets no feed from catalog-1: answered 'HTTP/1.1 403"
        await until(lambda: said in shop.log("catalog-2"), "it says so")


async def test_a_port_that_was_changed_below_a_running_shop(tmp_path: Path, port: int) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start_supervised()
        before, shop.ports["frontend-1"] = shop.ports["frontend-1"], port
        shop.write_config()
        restart = await command(shop, "restart", "frontend-1")
        assert restart.returncode == 2
        assert f"frontend-1 does not answer on port {port}, where" in restart.stderr
        assert f"a frontend runs on port {before}" in restart.stderr
