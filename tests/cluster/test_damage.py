"""Files that are damaged while their node is down: noticed at its return, repaired from the others,
and never served (J3, J5)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster.cluster import LONG_LEASES, Cluster, until
from tests.cluster.commands import command

TITLE = b"RPCs for Noobs"


def flip_letter(path: Path) -> None:
    """Flip a letter in a book's title: SQLite's own checks do not notice it in the row."""
    content = bytearray(path.read_bytes())
    content[content.index(TITLE) + 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("role", ["catalog", "order"])
async def test_a_damaged_replica_is_filled_again(tmp_path: Path, role: str) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start()
        for _ in range(3):
            assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        before = await shop.same_rows(role)
        name = await shop.follower(role)
        [[store]] = shop.query(name, "SELECT value FROM meta WHERE name = 'store_id'")
        await shop.kill(name)
        path = shop.data_dir / f"{name}.db"
        wal = path.with_name(path.name + "-wal")
        os.truncate(wal, wal.stat().st_size // 2)
        assert (await command(shop, "verify")).returncode == 1
        await shop.start(name)
        assert "is damaged: " in shop.log(name)
        assert path.with_name(path.name + ".damaged-1").exists()
        assert await shop.same_rows(role) == before
        [[anew]] = shop.query(name, "SELECT value FROM meta WHERE name = 'store_id'")
        assert anew != store
        assert (await command(shop, "verify")).returncode == 0


async def test_a_supervised_shop_repairs_a_flipped_letter(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start_supervised()
        await shop.update(2, cost=5)
        before = await shop.same_rows("catalog")
        assert set((await shop.terminate_all()).values()) == {0}
        flip_letter(shop.data_dir / "catalog-1.db")
        shown = await command(shop, "verify")
        assert shown.returncode == 1
        assert "catalog-1: " in shown.stdout
        await shop.start_supervised()
        assert "catalog-1.db: is damaged: " in shop.log("cluster")
        assert await shop.same_rows("catalog") == before
        assert (await command(shop, "verify")).returncode == 0


async def test_a_primary_that_has_lost_commits_steps_down(tmp_path: Path) -> None:
    """J5, where nothing on its own disk tells: a member shows it."""
    async with Cluster(tmp_path, settings={"replication": LONG_LEASES}) as shop:
        await shop.start()
        for count in (100, 99, 98):
            await shop.update(4, count=count)
        before = await shop.same_rows("catalog")
        primary, follower = await shop.primary("catalog"), await shop.follower("catalog")
        await shop.kill(primary, follower)
        wal = shop.data_dir / f"{primary}.db-wal"
        os.truncate(wal, wal.stat().st_size - 1)  # the last commit's last frame
        wal.with_name(f"{primary}.db-reached").unlink()

        await shop.start(primary, wait=False)
        assert await shop.primary("catalog") == primary
        pid = shop.pid(primary)
        assert pid is not None
        assert shop.query(primary, "SELECT count FROM books WHERE id = 4") == [(99,)]
        await shop.start(follower, wait=False)
        await shop.ended(pid)
        assert shop.exit_code(primary) == 3
        assert "lost acknowledged entries" in shop.log(primary)
        await shop.ready(follower)
        assert await shop.primary("catalog") == follower
        await shop.start(primary)
        assert await shop.same_rows("catalog") == before
        assert (await shop.get("frontend-1", "/info/4")).json["count"] == 98


async def test_it_is_said_when_the_only_file_in_sync_is_damaged(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 2}) as shop:
        await shop.start()
        await shop.update(4, count=100)
        follower, primary = await shop.follower("catalog"), await shop.primary("catalog")
        await shop.kill(follower)
        await shop.update(4, through=primary, count=99)
        assert await shop.terminate(primary) == 0
        path = shop.data_dir / f"{primary}.db"
        flip_letter(path)

        await shop.start(primary, follower, wait=False)
        words = "no catalog replica can lead. Put it back, or go on with what another has"
        await until(lambda: words in shop.log(primary), "it says so")
        # What the operator is told to do works, and says what is lost.
        await shop.kill(primary, follower)
        assert (await command(shop, "promote", follower, "--force")).returncode == 0
        await shop.start()
        await until(
            lambda: shop.query(primary, "SELECT count FROM books WHERE id = 4") == [(100,)],
            "it goes on with what the other had",
        )
        await shop.same_rows("catalog")
        assert path.with_name(path.name + ".damaged-1").exists()


async def test_a_damaged_file_without_a_membership_begins_no_new_shop(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 1}) as shop:
        await shop.start()
        assert await shop.terminate("catalog-1") == 0
        flip_letter(shop.data_dir / "catalog-1.db")
        (shop.data_dir / "catalog.members").unlink()
        process = shop.launch("catalog-1", "--role", "catalog")
        await shop.ended(process.pid)
        assert process.returncode == os.EX_CONFIG
        assert "its group's membership is missing" in shop.log("catalog-1")
        assert (shop.data_dir / "catalog-1.db").exists()


async def test_an_empty_disk_is_no_damage(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start()
        follower = await shop.follower("catalog")
        await shop.terminate(follower)
        for path in shop.data_dir.glob(f"{follower}.db*"):
            path.unlink()
        await shop.start(follower)
        await shop.same_rows("catalog")
        assert "is damaged" not in shop.log(follower)
