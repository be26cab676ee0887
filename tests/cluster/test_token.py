"""The token is changed while customers buy."""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path

import pytest

from bazar.cli import Shop, restart
from bazar.cluster_file import load
from bazar.errors import Unavailable
from bazar.node.server import Context
from handlers import ROLES
from handlers.keeper.session import Sessions
from tests.cluster.client import HTTPClient
from tests.cluster.cluster import Cluster, until
from tests.cluster.commands import command
from tests.cluster.databases import SHORT, Databases
from tests.cluster.load import Load
from tests.cluster.test_failures import STOCK, nothing_lost

ONE_EACH = {"frontend": 1, "catalog": 1, "order": 1}  # where it is not about who takes over


async def taken(shop: Cluster, token: str) -> bool:
    """Return whether every node takes this token."""
    statuses = set()
    for port in shop.ports.values():
        async with HTTPClient(port, token) as client:
            statuses.add((await client.get("/status")).status)
    assert statuses in ({200}, {403}), statuses
    return statuses == {200}


def begin(shop: Cluster) -> str:
    """Return the cookie of a keeper's session, as any of the shop's processes would make it."""
    config = load(shop.config_path, ROLES)
    return Sessions(Context(config, config.group("frontend")[0], shop.token, print)).begin()


async def goes_on(shop: Cluster, session: str) -> bool:
    """Return whether the front end takes it."""
    async with shop.client("frontend-1") as client:
        client.headers = {"Cookie": f"keeper={session}"}
        return (await client.get("/keeper/books")).status == 200


async def test_step_by_step_both_are_taken_in_between(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start_supervised()
        await shop.update(4, count=STOCK)
        old = shop.token
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            load.read("frontend-1", ["/info/4"])
            await load.flowing(0)
            for step, sent_is_old, old_counts in (
                ("add", True, True),
                ("use", False, True),
                ("drop", False, False),
            ):
                ran = await command(shop, "token", step)
                assert ran.returncode == 0, ran.stderr
                assert (shop.token == old) is sent_is_old, step
                assert await taken(shop, shop.token), step
                assert await taken(shop, old) is old_counts, step
                await load.flowing(time.monotonic())
            assert not load.read_errors
            refused = await command(shop, "token", "use")
            assert refused.returncode == 2
            assert "there is one token only" in refused.stderr
        await nothing_lost(shop, load)


async def test_all_at_once(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start_supervised()
        old, session = shop.token, begin(shop)
        assert await goes_on(shop, session)
        ran = await command(shop, "token", "change")
        assert ran.returncode == 0, ran.stderr
        assert shop.token != old
        assert await taken(shop, shop.token)
        assert not await taken(shop, old)
        assert not await goes_on(shop, session)
        assert await goes_on(shop, begin(shop))
        assert (shop.data_dir / "token").stat().st_mode & 0o777 == 0o600
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200


async def test_a_change_that_breaks_off_says_how_to_go_on(tmp_path: Path) -> None:
    async with Cluster(tmp_path, ONE_EACH) as shop:
        await shop.start("catalog-1", "order-1")  # and not the first that is to be restarted
        old = shop.token
        broken = await command(shop, "token", "change")
        assert broken.returncode == 2
        assert (
            "see to that node, then `restart`, then `token use`, then `token drop`" in broken.stderr
        )
        assert "frontend-1 does not answer" in broken.stderr
        assert shop.token == old
        again = await command(shop, "token", "change")
        assert (again.returncode, "not come to its end" in again.stderr) == (2, True), again


async def test_a_node_that_nobody_starts_again_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restart, "NODE_S", 0.5)
    async with Cluster(tmp_path, {"frontend": 1}) as shop:
        await shop.start(wait=False)
        await until(lambda: shop.status("frontend-1"), "it answers")
        said = r"frontend-1 is not in sync after .*: no supervisor runs to start it again"
        with Shop(load(shop.config_path, ROLES)) as known, pytest.raises(Unavailable, match=said):
            await restart.run(known, argparse.Namespace(nodes=[]))
        await until(lambda: shop.exit_code("frontend-1") == 0, "it has ended")


async def test_another_machine_is_brought_the_new_one(tmp_path: Path) -> None:
    async with Cluster(tmp_path, ONE_EACH) as shop:
        await shop.start_supervised()
        brought = tmp_path / "brought"
        brought.write_text(f"{shop.token}\n{'n' * 20}\n", "ascii")
        for _ in range(2):  # once more is nothing more
            ran = await command(shop, "token", "add", "--from", str(brought))
            assert ran.returncode == 0, ran.stderr
        assert (shop.data_dir / "token").read_text("ascii") == brought.read_text("ascii")
        assert await taken(shop, "n" * 20)
        for wrong, why in (("\n", "has 0 tokens"), ("# see wiki", "16 to 200 visible")):
            brought.write_text(wrong, "ascii")
            ran = await command(shop, "token", "add", "--from", str(brought))
            assert (ran.returncode, f"{brought}: " in ran.stderr) == (2, True), ran.stderr
            assert why in ran.stderr, ran.stderr
        assert await taken(shop, "n" * 20)


async def test_over_a_database_the_shop_stays_the_same(
    databases: Databases, tmp_path: Path
) -> None:
    settings = {"engine": databases.engine, "replication": SHORT}
    async with Cluster(tmp_path, ONE_EACH, settings) as shop:
        await shop.start_supervised()
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        refused = await command(shop, "token", "change")
        assert refused.returncode == 2
        told = re.search(r'"cluster_id": "(\w+)"', refused.stderr)
        assert told is not None, refused.stderr
        plain = json.loads(shop.config_path.read_text())
        plain["engine"]["cluster_id"] = told[1]
        shop.config_path.write_text(json.dumps(plain))
        for words in (["restart"], ["token", "change"], ["verify"]):
            ran = await command(shop, *words)
            assert ran.returncode == 0, ran.stderr
        assert (await shop.put("frontend-1", "/purchase/4")).json["new_count"] == 5
