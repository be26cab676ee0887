"""Files that are deleted below nodes that have them open (R8, T0)."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, until

BOUGHT = 3


def delete(shop: Cluster, name: str, *suffixes: str) -> None:
    for suffix in suffixes:
        (shop.data_dir / f"{name}.db{suffix}").unlink()


async def buy(shop: Cluster) -> str:
    """Repeat a purchase until it is done; return its order."""

    async def bought() -> Any:
        answer = await shop.put("frontend-1", "/purchase/4", key=key)
        return answer.json["order_id"] if answer.status == 200 else None

    key = f"key-{len(shop.query('catalog-1', 'SELECT * FROM sales'))}"
    order_id: str = await until(bought, "a purchase is acknowledged")
    return order_id


@pytest.mark.parametrize("suffixes", [("",), ("-wal",), ("", "-wal", "-shm")])
@pytest.mark.parametrize("victim", ["primary", "follower"])
async def test_a_replica_whose_file_is_deleted_is_filled_again(
    tmp_path: Path, victim: str, suffixes: tuple[str, ...]
) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start_supervised()
        bought = [await buy(shop) for _ in range(BOUGHT)]
        primary, follower = await shop.primary("catalog"), await shop.follower("catalog")
        name = primary if victim == "primary" else follower
        pid = shop.pid(name)
        assert pid is not None
        delete(shop, name, *suffixes)
        await shop.ended(pid)
        assert "is not there any more, though it is open" in shop.log("cluster")
        await until(lambda: shop.pid(name), f"{name} runs again")
        await shop.ready()
        sold = {row[0] for row in shop.query("catalog-1", "SELECT order_id FROM sales")}
        assert set(bought) <= sold
        await buy(shop)
        await shop.same_rows("catalog")


async def test_a_primary_makes_its_membership_anew(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start()
        members = shop.data_dir / "catalog.members"
        before, running = members.read_bytes(), shop.running()
        members.unlink()
        await until(members.exists, "the membership is there again")
        assert members.read_bytes() == before
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        assert shop.running() == running
        await shop.kill(await shop.primary("catalog"))
        [heir] = [name for name in shop.group("catalog") if shop.pid(name)]
        await until(lambda: f"{heir} is primary in epoch" in shop.log(heir), "the other leads")


def is_gone(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


async def test_nobody_lives_on_whose_directory_is_deleted(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 2, "order": 2}) as shop:
        await shop.start()
        running = shop.running()
        await until(lambda: is_gone(shop.data_dir), "all is deleted, whatever is made meanwhile")
        for name, pid in running.items():
            await shop.ended(pid)
            assert shop.exit_code(name) == 3, shop.log(name)


async def test_a_shop_whose_files_are_all_deleted_does_not_begin_anew(tmp_path: Path) -> None:
    """T0: the samples would pass for the shop that was there, and be sold."""
    async with Cluster(tmp_path) as shop:
        await shop.start_supervised()
        await buy(shop)
        await until(lambda: "The shop is open" in shop.log("cluster"), "the shop has opened")
        primary = shop.pid(await shop.primary("catalog"))
        assert primary is not None
        for path in shop.data_dir.iterdir():
            if path.name.startswith(("catalog", "order")) and path.suffix != ".pid":
                path.unlink(missing_ok=True)
        await shop.ended(primary)
        # As long as it has its lock, a primary makes its membership anew.
        (shop.data_dir / "catalog.members").unlink(missing_ok=True)
        refusal = "were deleted, or moved away, while the shop ran"
        await until(
            lambda: refusal in shop.log("cluster"), "the catalog says why it does not begin"
        )

        async def refuses(name: str) -> bool:
            try:
                answer = await shop.get(name, "/catalog/info/4")
            except OSError:
                return False  # it leaves, and is started again, as long as it can't begin
            assert answer.status == 503, answer
            return True

        for name in shop.group("catalog"):
            await until(partial(refuses, name), f"{name} answers")
        assert not (shop.data_dir / "catalog.members").exists()
