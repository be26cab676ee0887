"""One of a shop's databases is put back to an earlier moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, until
from tests.cluster.commands import command
from tests.cluster.databases import Databases, buy, over, stopped

ORDER = "SELECT count(*) FROM bazar_order.orders WHERE order_id = '{}'"


async def put_back(databases: Databases, shop: Cluster, *roles: str) -> list[str]:
    """Buy, keep these databases, buy again, put them back, and start the shop. Return the ids of
    the two orders."""
    await shop.start_supervised()
    first = await buy(shop, 4, "before-backup")
    await stopped(shop)
    for role in roles:
        databases.keep(role)
    await shop.start_supervised()
    second = await buy(shop, 4, "behind-backup")
    await stopped(shop)
    for role in roles:
        databases.put_back(role)
    await shop.start_supervised()
    return [first["order_id"], second["order_id"]]


async def test_the_catalog_alone(databases: Databases, tmp_path: Path) -> None:
    async with over(databases, tmp_path) as shop:
        _, lost = await put_back(databases, shop, "catalog")
        refused = await shop.put("frontend-1", "/purchase/4", key="not-sold-yet")
        assert (refused.status, refused.json["code"]) == (503, "foreign_history"), refused
        assert "python -m bazar adopt" in refused.json["error"]
        told = await command(shop, "status")
        assert told.returncode == 1
        assert "no sale is made" in told.stdout
        assert (await command(shop, "verify")).returncode == 1

        costs = await command(shop, "adopt")
        assert (costs.returncode, lost in costs.stdout) == (1, True), costs
        assert (await command(shop, "adopt", "--force")).returncode == 0
        again = await buy(shop, 4, "not-sold-yet")
        assert again["new_count"] == 5  # the lost copy is in stock again
        assert databases.ask("order", ORDER.format(lost)) == [(1,)]
        verified = await command(shop, "verify")
        assert verified.returncode == 0, verified
        assert f"lost something, as an operator has chosen, 1: {lost}" in verified.stdout
        await stopped(shop)


async def test_the_orders_alone(databases: Databases, tmp_path: Path) -> None:
    async with over(databases, tmp_path) as shop:
        _, missing = await put_back(databases, shop, "order")
        await until(lambda: databases.ask("order", ORDER.format(missing)) == [(1,)], "it is made")
        assert (await buy(shop, 4, "behind-backup"))["replayed"]
        verified = await command(shop, "verify")
        assert verified.returncode == 0, verified
        await stopped(shop)


async def test_both(databases: Databases, tmp_path: Path) -> None:
    async with over(databases, tmp_path) as shop:
        await put_back(databases, shop, "order", "catalog")
        bought = await buy(shop, 4, "behind-backup")
        assert (bought["replayed"], bought["new_count"]) == (False, 5)
        assert (await command(shop, "verify")).returncode == 0
        await stopped(shop)


async def test_dumps_of_a_shop_that_runs(databases: Databases, tmp_path: Path) -> None:
    """The orders' first, then the catalog's: what lies between is made again."""
    async with over(databases, tmp_path) as shop:
        await shop.start_supervised()
        await buy(shop, 4, "before-both")
        databases.dump("order")
        between = await buy(shop, 4, "between-the-dumps")
        databases.dump("catalog")
        await buy(shop, 4, "behind-both")
        await stopped(shop)
        for role in ("order", "catalog"):
            databases.restore(role)
        await shop.start_supervised()
        assert await buy(shop, 4, "between-the-dumps") == {**between, "replayed": True}
        again = await buy(shop, 4, "behind-both")
        assert (again["replayed"], again["new_count"]) == (False, 4)
        found = await shop.get("frontend-1", "/search?q=cook")
        assert [book["id"] for book in found.json] == [4]
        assert (await command(shop, "verify")).returncode == 0
        await stopped(shop)


@pytest.mark.parametrize("role", ["catalog", "order"])
async def test_below_a_shop_that_runs(databases: Databases, tmp_path: Path, role: str) -> None:
    """Its primary finds another mark than it has left, and stops (P4)."""
    async with over(databases, tmp_path) as shop:
        await shop.start_supervised()
        await buy(shop, 4, "before-backup")
        await stopped(shop)
        databases.keep(role)
        await shop.start_supervised()
        await buy(shop, 4, "behind-backup")
        databases.put_back(role)

        async def goes_on() -> bool:
            answer = await shop.put("frontend-1", "/purchase/4", key="later-purchase")
            if role == "order":
                return answer.status == 200
            return answer.status == 503 and answer.json["code"] == "foreign_history"

        await until(goes_on, "the shop has noticed")
        if role == "catalog":
            assert (await command(shop, "adopt", "--force")).returncode == 0
            await buy(shop, 4, "later-purchase")
        assert (await command(shop, "verify")).returncode == 0
        await stopped(shop)
