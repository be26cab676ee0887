"""Files that are lost, or copied in part: a node notices, and says what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.commands import command


async def start_in_vain(shop: Cluster, name: str) -> str:
    """Start a node that can't start; return what it says."""
    process = shop.launch(name, "--role", shop.roles[name], "--port", str(shop.ports[name]))
    await shop.ended(process.pid)
    assert process.returncode == os.EX_CONFIG
    return shop.log(name)


async def test_copies_without_a_wal_are_no_shop(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start()
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        before = {role: await shop.same_rows(role) for role in ("catalog", "order")}
        copies = tmp_path / "copies"
        copies.mkdir()
        for path in shop.data_dir.glob("*.db"):
            shutil.copy(path, copies)
        await shop.kill_all()
        shop.data_dir.rename(tmp_path / "lost")
        copies.rename(shop.data_dir)
        for name in ("catalog-1", "order-2"):
            assert f"{name}.db: is a copy of a database in use, without its WAL" in (
                await start_in_vain(shop, name)
            )
        shown = await command(shop, "rebuild", "catalog", "--force")
        assert shown.returncode == 2
        assert "no database of the catalog group has any entry to go on with" in shown.stderr

        # What a crash leaves is no copy.
        shutil.rmtree(shop.data_dir)
        (tmp_path / "lost").rename(shop.data_dir)
        await shop.start()
        for role, rows in before.items():
            assert await shop.same_rows(role) == rows


async def test_a_membership_that_is_lost_is_made_anew(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 2}) as shop:
        await shop.start()
        await shop.update(4, count=7)
        primary, follower = await shop.primary("catalog"), await shop.follower("catalog")
        await shop.same_rows("catalog")
        await shop.kill(follower)
        await shop.update(4, through=primary, count=6)
        assert "has a primary" in (await command(shop, "rebuild", "catalog")).stderr
        await shop.kill(primary)
        assert "has its membership" in (await command(shop, "rebuild", "catalog")).stderr
        members = shop.data_dir / "catalog.members"
        members.unlink()

        assert "python -m bazar rebuild catalog" in await start_in_vain(shop, primary)
        for path in shop.data_dir.glob(f"{follower}.db*"):
            path.rename(shop.directory / path.name)
        # One that is empty does not begin beside the other's log.
        assert "python -m bazar rebuild catalog" in await start_in_vain(shop, follower)
        for path in shop.directory.glob(f"{follower}.db*"):
            path.rename(shop.data_dir / path.name)
        told = (await command(shop, "promote", follower, "--force")).stderr
        assert "python -m bazar rebuild catalog" in told
        assert not members.exists()

        shown = await command(shop, "rebuild", "catalog")
        assert (shown.returncode, members.exists()) == (1, False)
        assert f"To be recorded as in sync: {primary}, in epoch " in shown.stdout
        assert (await command(shop, "rebuild", "catalog", "--force")).returncode == 0
        await shop.start()
        assert await shop.primary("catalog") == primary
        await shop.same_rows("catalog")
        assert shop.query(follower, "SELECT count FROM books WHERE id = 4") == [(6,)]


async def test_a_catalog_does_not_begin_beside_orders(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 1, "order": 1, "frontend": 1}) as shop:
        await shop.start()
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        await shop.kill_all()
        for path in shop.data_dir.glob("catalog*"):
            path.unlink()
        assert "order-1.db has a log, and the catalog databases" in (
            await start_in_vain(shop, "catalog-1")
        )
        assert (await command(shop, "found", "catalog")).returncode == 0
        await shop.start("catalog-1")
        assert len(shop.rows("catalog-1", "books")) == 7
        assert "has a primary" in (await command(shop, "found", "catalog")).stderr
