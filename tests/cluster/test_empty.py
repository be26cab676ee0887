"""Shops that begin empty, and stay so, whoever leads; and samples that are taken away."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.client import Answer
from tests.cluster.cluster import LONG_LEASES, Cluster, until
from tests.cluster.commands import command
from tests.cluster.databases import Databases, over

NO_BOOKS = "It has no books yet: python -m bazar import FILE.csv"
NOTHING = "--empty changes nothing"
BOOK = {"title": "Der Deich", "topic": "Reise", "cost": 700, "count": 4}


async def shown(shop: Cluster) -> list[str]:
    """Return the titles that each node shows, all the same."""
    found = []
    for name in (*shop.group("frontend"), *shop.group("catalog")):
        answer = await until(partial(_found, shop, name), f"{name} answers")
        found.append([book["title"] for book in answer.json])
    assert all(one == found[0] for one in found), found
    return found[0]


async def _found(shop: Cluster, name: str) -> Answer | None:
    answer = await shop.get(name, "/search?topic=i")
    return answer if answer.status == 200 else None


async def begin_and_go_on(shop: Cluster) -> None:
    """Begin it empty; have another node lead, restart it, make a book, restart it again."""
    await shop.start_supervised("--empty")
    await until(lambda: NO_BOOKS in shop.log("cluster"), "the keeper is told what to do")
    assert await shown(shop) == []
    await shop.kill(await shop.primary("catalog"))
    await shop.ready()
    assert await shown(shop) == []

    await shop.terminate("cluster")
    await shop.start_supervised()  # it is not asked again
    await until(lambda: shop.log("cluster").count(NO_BOOKS) == 2, "it has opened again")
    assert await shown(shop) == []
    assert NOTHING not in shop.log("cluster")
    made = await shop.post("catalog-1", "/create", BOOK)
    assert (made.status, made.json["id"]) == (201, 8)

    await shop.terminate("cluster")
    await shop.start_supervised("--empty")
    await until(lambda: NOTHING in shop.log("cluster"), "it says that it has begun")
    assert await shown(shop) == ["Der Deich"]
    await shop.terminate("cluster")


async def test_it_stays_empty(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await begin_and_go_on(shop)
        assert [row[1] for row in (await shop.same_rows("catalog"))["books"]] == ["Der Deich"]


async def test_it_stays_empty_over_postgresql(databases: Databases, tmp_path: Path) -> None:
    async with over(databases, tmp_path) as shop:
        await begin_and_go_on(shop)
        assert [row[1] for row in databases.state("catalog")["books"]] == ["Der Deich"]


@pytest.mark.parametrize("empty", [True, False], ids=["empty first", "samples first"])
async def test_who_begins_decides_for_all(
    databases: Databases, tmp_path: Path, empty: bool
) -> None:
    """As on two machines, of which one is told otherwise."""
    async with over(databases, tmp_path) as shop:
        told = {"catalog-1": empty, "catalog-2": not empty}
        for name in told:
            words = ["--empty"] if told[name] else []
            port = str(shop.ports[name])
            shop.launch(name, "--role", "catalog", "--port", port, *words)
            await shop.ready(name)
        status = 404 if empty else 200
        assert [(await shop.get(name, "/info/1")).status for name in told] == [status] * 2
        await shop.kill("catalog-1")
        assert await shop.primary("catalog") == "catalog-2"
        await shop.ready("catalog-2")
        assert (await shop.get("catalog-2", "/info/1")).status == status


async def test_the_samples_are_taken_away_by_one_command(tmp_path: Path) -> None:
    settings = {"replication": LONG_LEASES}
    async with Cluster(tmp_path, settings=settings) as shop:
        closed = await command(shop, "remove-samples")
        assert (closed.returncode, "start the shop" in closed.stderr) == (2, True)
        await shop.start()
        await shop.update(2, title="Mine")
        removed = await command(shop, "remove-samples")
        assert removed.returncode == 0, removed
        assert "book 4 is taken away: 'Cooking for the Impatient Undergrad'" in removed.stdout
        assert "book 2 was changed, and stays: 'Mine'" in removed.stdout
        assert await shown(shop) == ["Mine"]
        again = await command(shop, "remove-samples")
        assert (again.returncode, "There are no samples" in again.stdout) == (0, True)
        assert [row[:2] for row in (await shop.same_rows("catalog"))["books"]] == [(2, "Mine")]
        assert (await command(shop, "verify")).returncode == 0


async def test_s7_a_purchase_at_the_same_moment_is_before_it_or_finds_nothing(
    tmp_path: Path,
) -> None:
    settings = {"replication": LONG_LEASES}
    async with Cluster(tmp_path, settings=settings) as shop:
        await shop.start()
        async with (
            shop.client("order-1") as buyer,
            shop.client("order-2") as other,
            shop.client("catalog-2", with_token=True) as keeper,
        ):
            bought, sold, removed = await asyncio.gather(
                buyer.put("/purchase/4", key="a"),
                other.put("/purchase/5", key="b"),
                keeper.request("DELETE", "/samples"),
            )
        made = [answer.status for answer in (bought, sold)]
        assert set(made) <= {200, 404}, made
        assert removed.status == (409 if 200 in made else 200), (made, removed)
        rows = await shop.same_rows("catalog")
        assert len(rows["books"]) == (7 if 200 in made else 0)
        assert len(rows["sales"]) == made.count(200)
        if 200 in made:
            refused = await command(shop, "remove-samples")
            assert refused.returncode == 2
            assert "something was sold: order" in refused.stderr
            assert "Retire each of them" in refused.stderr
