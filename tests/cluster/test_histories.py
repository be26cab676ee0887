"""Files that are put back to an earlier moment: of one group, of one node, of all. A node that
followed what is lost notices, and nothing is sold that would get no order (H1-H4, S2, S4, S5)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, until
from tests.cluster.commands import command

BOOK = 4  # 7 copies of it are in stock


async def buy(shop: Cluster) -> str:
    """Buy one copy; return the order's id."""
    bought = await shop.put("frontend-1", f"/purchase/{BOOK}")
    assert bought.status == 200, bought
    order_id: str = bought.json["order_id"]
    assert (await shop.get("frontend-1", f"/orders/{order_id}")).status == 200
    return order_id


async def left(shop: Cluster) -> int:
    """Return how many copies are left, as every node has it."""
    counts = set()
    for name in ("frontend-1", *shop.group("catalog")):
        counts.add((await shop.get(name, f"/info/{BOOK}")).json["count"])
    [count] = counts
    return int(count)


def keep(shop: Cluster) -> Path:
    """Copy all files of a shop that is stopped."""
    aside = shop.directory / "backup"
    shutil.copytree(shop.data_dir, aside)
    return aside


def put_back(shop: Cluster, aside: Path, *patterns: str) -> None:
    """Replace the files that these patterns name by the copies."""
    for pattern in patterns:
        for file in shop.data_dir.glob(pattern):
            file.unlink()
        for file in aside.glob(pattern):
            shutil.copy(file, shop.data_dir)


@dataclass(frozen=True)
class Sold:
    """The files of a shop that was stopped twice: after its first order, and after five more."""

    aside: Path
    data_dir: Path
    before: list[str]
    after: list[str]

    def since(self, shop: Cluster) -> tuple[Path, list[str], list[str]]:
        """Let a shop have the later files. Return the earlier ones, the order before them, and the
        five after them."""
        shutil.copytree(self.data_dir, shop.data_dir)
        return self.aside, list(self.before), list(self.after)


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Sold:
    return asyncio.run(_sold(tmp_path_factory.mktemp("sold")))


async def _sold(directory: Path) -> Sold:
    async with Cluster(directory) as shop:
        await shop.start()
        before = [await buy(shop)]
        assert set((await shop.terminate_all()).values()) == {0}
        aside = keep(shop)
        await shop.start()
        after = [await buy(shop) for _ in range(5)]
        assert set((await shop.terminate_all()).values()) == {0}
        return Sold(aside, shop.data_dir, before, after)


async def listed(shop: Cluster, after: int = 0) -> list[dict[str, Any]]:
    async with shop.client("order-1", with_token=True) as client:
        answer = await client.get(f"/orders?after={after}")
    assert answer.status == 200, answer
    orders: list[dict[str, Any]] = answer.json
    return orders


def ids(orders: Sequence[dict[str, Any]]) -> list[str]:
    return [order["order_id"] for order in orders]


async def agree(shop: Cluster) -> None:
    """Check that all replicas have the same rows, and that `verify` finds nothing."""
    for role in ("catalog", "order"):
        await shop.same_rows(role)
    shown = await command(shop, "verify")
    assert shown.returncode == 0, shown.stdout


async def refused_until_adopted(shop: Cluster, lost: list[str], rounds: int = 1) -> None:
    """Check that nothing is sold, that clients are told why, and that `adopt` works."""
    count = await left(shop)
    for name in ("frontend-1", *shop.group("order")):
        refused = await shop.put(name, f"/purchase/{BOOK}")
        assert (refused.status, refused.json["code"]) == (503, "foreign_history"), refused
        assert "python -m bazar adopt" in refused.json["error"]
    assert await left(shop) == count
    primary = await shop.primary("order")
    await until(lambda: "no sale becomes an order" in shop.log(primary), "the log says so")
    shown = await command(shop, "status")
    assert shown.returncode == 1
    assert "no sale is made" in shown.stdout
    shown = await command(shop, "verify")
    assert shown.returncode == 1
    assert "is not on the catalog's history" in shown.stdout

    before = await listed(shop)
    shown = await command(shop, "adopt")
    assert shown.returncode == 1
    assert all(order_id in shown.stdout for order_id in lost), shown.stdout
    assert (await shop.put("order-1", f"/purchase/{BOOK}")).status == 503
    shown = await command(shop, "adopt", "--force")
    assert shown.returncode == 0, shown
    assert (await command(shop, "adopt")).returncode == 0

    async def sells() -> Any:
        answer = await shop.put("frontend-1", f"/purchase/{BOOK}")
        assert answer.status in (200, 503), answer
        return answer if answer.status == 200 else None

    bought = await until(sells, "it sells again")
    more = [bought.json["order_id"], await buy(shop), await buy(shop)]
    assert await left(shop) == count - 3
    assert ids(await listed(shop)) == [*ids(before), *more]
    assert ids(await listed(shop, before[-1]["change"])) == more
    for order_id in lost:
        assert (await shop.get("frontend-1", f"/orders/{order_id}")).status == 200
    await agree(shop)
    said = sum(shop.log(name).count("no sale becomes an order") for name in shop.group("order"))
    assert said == rounds


@pytest.mark.parametrize("patterns", [["catalog*"], ["catalog-*"]], ids=["members", "no members"])
async def test_only_the_catalog_is_put_back(
    tmp_path: Path, sold: Sold, patterns: list[str]
) -> None:
    async with Cluster(tmp_path) as shop:
        aside, _, after = sold.since(shop)
        put_back(shop, aside, *patterns)
        await shop.start()
        assert await left(shop) == 6
        await refused_until_adopted(shop, after)


async def test_only_the_catalog_is_put_back_twice(tmp_path: Path, sold: Sold) -> None:
    """The numbers of its epochs come a third time."""
    async with Cluster(tmp_path) as shop:
        aside, _, after = sold.since(shop)
        for rounds in (1, 2):
            put_back(shop, aside, "catalog*")
            await shop.start()
            await refused_until_adopted(shop, after, rounds)
            after = ids((await listed(shop))[-3:])
            assert set((await shop.terminate_all()).values()) == {0}


async def test_what_is_cancelled_is_lost_with_the_catalogs_end(tmp_path: Path) -> None:
    """No sale is lost, but the orders know of something that the catalog does not."""
    async with Cluster(tmp_path) as shop:
        await shop.start()
        order_id = await buy(shop)
        assert set((await shop.terminate_all()).values()) == {0}
        aside = keep(shop)
        await shop.start()
        async with shop.client("order-1", with_token=True) as client:
            cancelled = await client.post(f"/orders/{order_id}/cancel", {})
        assert cancelled.status == 200, cancelled
        assert await left(shop) == 7
        assert set((await shop.terminate_all()).values()) == {0}
        put_back(shop, aside, "catalog*")
        await shop.start()
        assert await left(shop) == 6
        await refused_until_adopted(shop, [order_id])


async def test_the_catalog_begins_anew(tmp_path: Path, sold: Sold) -> None:
    """All of its files are gone."""
    async with Cluster(tmp_path) as shop:
        aside, before, after = sold.since(shop)
        put_back(shop, aside / "nothing", "catalog*")
        founded = await command(shop, "found", "catalog")  # or it would not, beside orders
        assert founded.returncode == 0
        await shop.start()
        assert await left(shop) == 7
        await refused_until_adopted(shop, [*before, *after])


async def test_only_the_orders_are_put_back(tmp_path: Path, sold: Sold) -> None:
    async with Cluster(tmp_path) as shop:
        aside, before, after = sold.since(shop)
        put_back(shop, aside, "order*")
        await shop.start()
        await until(lambda: len(shop.rows("order-1", "orders")) == 6, "they are made again")
        assert ids(await listed(shop)) == [*before, *after]
        last = await buy(shop)
        assert ids(await listed(shop)) == [*before, *after, last]
        assert await left(shop) == 0
        await agree(shop)
        assert (await command(shop, "status")).returncode == 0


@pytest.mark.parametrize("name", ["catalog-1", "catalog-2", "order-1", "order-2"])
async def test_only_one_replica_is_put_back(tmp_path: Path, sold: Sold, name: str) -> None:
    async with Cluster(tmp_path) as shop:
        aside, before, after = sold.since(shop)
        put_back(shop, aside, f"{name}.db*")
        others = [other for other in shop.roles if other != name]
        await shop.start(*others)
        await shop.start(name)
        last = await buy(shop)
        assert ids(await listed(shop)) == [*before, *after, last]
        assert await left(shop) == 0
        await agree(shop)


async def test_all_is_put_back(tmp_path: Path, sold: Sold) -> None:
    async with Cluster(tmp_path) as shop:
        aside, before, _ = sold.since(shop)
        put_back(shop, aside, "catalog*", "order*")
        await shop.start()
        assert await left(shop) == 6
        more = [await buy(shop) for _ in range(6)]
        assert ids(await listed(shop)) == [*before, *more]
        await agree(shop)


async def test_a_front_end_that_runs_on_forgets_what_it_knew(tmp_path: Path, sold: Sold) -> None:
    """Its caches know higher epochs than there are now, and hold leases of the killed."""
    leases = {"replication": {"lease_s": 3.0, "ack_timeout_s": 1.0}}
    async with Cluster(tmp_path, settings=leases) as shop:
        aside, _, _ = sold.since(shop)
        await shop.start()
        epoch = 0
        for _ in range(2):  # so that the numbers are beyond those of the backup
            await shop.restart(await shop.primary("catalog"))
            epoch = (await shop.status(await shop.primary("catalog")) or {})["epoch"]
        assert (await shop.get("frontend-1", f"/info/{BOOK}")).json["count"] == 1
        await shop.kill(*shop.group("catalog"), *shop.group("order"))
        put_back(shop, aside, "catalog*", "order*")
        await shop.start(*shop.group("catalog"), *shop.group("order"))
        await shop.ready("frontend-1")
        assert (await shop.status(await shop.primary("catalog")) or {})["epoch"] < epoch
        await shop.update(BOOK, count=100)
        assert await left(shop) == 100
        await buy(shop)
        assert await left(shop) == 99


async def test_a_promotion_by_force_that_loses_sales_is_noticed(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start()
        await buy(shop)
        follower, primary = await shop.follower("catalog"), await shop.primary("catalog")
        await shop.kill(follower)
        lost = [await buy(shop) for _ in range(3)]
        await shop.kill(primary)
        for file in shop.data_dir.glob(f"{primary}.db*"):
            file.unlink()
        assert (await command(shop, "promote", follower, "--force")).returncode == 0
        await shop.start(follower, primary)
        await refused_until_adopted(shop, lost)
