"""Links between real nodes, cut and slowed as the page of the cluster does it."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.cluster.cluster import PATIENT, SHORT_LEASES, Cluster, until
from tests.cluster.commands import command
from tests.cluster.load import Load
from tests.cluster.test_failures import STOCK, nothing_lost

# A call over a cut link is given up as soon as in a shop; nobody else is hurried.
SETTINGS: dict[str, Any] = {"pool": {}, "supervisor": PATIENT["supervisor"]}


async def disturb(shop: Cluster, one: str, other: str, do: str, **more: int) -> None:
    answer = await shop.post(
        "frontend-1", "/cluster/links", {"between": [one, other], "do": do, **more}
    )
    assert answer.status == 200, answer


async def leads(shop: Cluster, name: str) -> dict[str, Any]:
    status = await shop.status(name)
    assert status is not None and "members" in status, status
    return status


async def lacks_lease(shop: Cluster) -> bool:
    """Return whether the front end may not cache what the catalog tells."""
    status = await shop.status("frontend-1")
    return status is not None and status["sources"]["catalog"]["lease_s"] == 0


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_follower_that_is_cut_off_answers_nothing_and_comes_back(
    tmp_path: Path, tls: bool
) -> None:
    own = {"tls": Authority(tmp_path / "keys").sign("shop")} if tls else {}
    async with Cluster(tmp_path, settings={**SETTINGS, **own}) as shop:
        await shop.start()
        await shop.update(4, count=STOCK)
        primary, follower = await shop.primary("catalog"), await shop.follower("catalog")
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            await load.flowing(0)
            await disturb(shop, primary, follower, "cut")
            await load.flowing(time.monotonic())
            assert (await leads(shop, primary))["members"] == [primary]
            refused = await shop.get(follower, "/info/4")
            assert refused.status == 503, refused
            told = await command(shop, "status")
            assert f"{follower}: its link to {primary} is cut for" in told.stdout, told
            assert told.returncode == 1  # not all is well

            await disturb(shop, primary, follower, "mend")
            await shop.ready(follower)
            await load.flowing(time.monotonic())
        await nothing_lost(shop, load)


async def test_a_front_end_that_is_cut_off_caches_nothing_and_is_never_stale(
    tmp_path: Path,
) -> None:
    options = {"frontend-1": {"processes": 2}}
    async with Cluster(tmp_path, settings=SETTINGS, options=options) as shop:
        await shop.start_supervised()
        primary = await shop.primary("catalog")
        assert (await shop.get("frontend-1", "/info/4")).json["count"] == 7
        await disturb(shop, "frontend-1", primary, "cut")
        bought = await shop.put("order-1", "/purchase/4")
        assert (bought.status, bought.json["new_count"]) == (200, 6), bought
        status = await shop.status("frontend-1")
        assert status is not None
        for process in status["processes"]:  # for the sale has waited for all of them (R3)
            assert process["sources"]["catalog"]["lease_s"] == 0, process
            assert process["sources"]["order"]["lease_s"] > 0, process
            assert [link["to"] for link in process["links"]] == [primary]
        for _ in range(8):  # each at one of the processes
            answer = await shop.get("frontend-1", "/info/4")
            assert (answer.json["count"], answer.cache) == (6, "pass"), answer
            assert answer.replica != primary
        await disturb(shop, "frontend-1", primary, "mend")
        await shop.ready("frontend-1")


@pytest.mark.parametrize(
    "ends",
    [("catalog", "order"), ("order", "order"), ("catalog", "frontend"), ("order", "frontend")],
)
async def test_whatever_link_is_cut_nothing_is_lost(tmp_path: Path, ends: tuple[str, str]) -> None:
    """Only the wrong pair of links would close the shop: never one alone."""
    async with Cluster(tmp_path, settings=SETTINGS) as shop:
        await shop.start()
        await shop.update(4, count=STOCK)
        one = await shop.primary(ends[0])
        other = "frontend-1" if ends[1] == "frontend" else await shop.primary(ends[1])
        if one == other:
            other = await shop.follower(ends[1])
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            await load.flowing(0)
            await disturb(shop, one, other, "cut")
            await load.flowing(time.monotonic())
            await disturb(shop, one, other, "mend")
            await shop.ready()
            await load.flowing(time.monotonic())
        await nothing_lost(shop, load)


async def test_the_side_that_holds_the_lock_goes_on_alone(tmp_path: Path) -> None:
    """T1: no quorum decides. Nobody else leads while the primary's process lives."""
    async with Cluster(tmp_path, settings=SETTINGS) as shop:
        await shop.start()
        primary, follower = await shop.primary("catalog"), await shop.follower("catalog")
        epoch = (await leads(shop, primary))["epoch"]
        others = [name for name in shop.roles if name != primary]
        for name in others:
            await disturb(shop, primary, name, "cut")
        await shop.update(4, through=primary, count=STOCK)
        status = await leads(shop, primary)
        assert (status["members"], status["epoch"]) == ([primary], epoch)
        path, body = "/catalog/update/4", {"count": 1}
        refused = [
            await shop.get(follower, "/info/4"),
            await shop.get("frontend-1", "/info/4"),
            await shop.put(follower, path, body, key="k", with_token=True),
        ]
        assert [answer.status for answer in refused] == [503, 503, 503], refused
        for name in others:
            await disturb(shop, primary, name, "mend")
        await shop.ready()
        assert (await shop.get("frontend-1", "/info/4")).json["count"] == STOCK


async def test_a_write_takes_as_long_as_the_slowest_acknowledgement(tmp_path: Path) -> None:
    leases = {"lease_s": 5.0, "ack_timeout_s": 2.0}  # none is waited for
    async with Cluster(tmp_path, settings={**SETTINGS, "replication": leases}) as shop:
        await shop.start()
        primary = await shop.primary("catalog")
        await disturb(shop, "frontend-1", primary, "slow", delay_ms=150)
        began = time.monotonic()
        bought = await shop.put("order-1", "/purchase/4")
        assert (bought.status, bought.json["new_count"]) == (200, 6), bought
        assert time.monotonic() - began >= 0.3  # there and back
        assert (await shop.get("frontend-1", "/info/4")).json["count"] == 6


async def test_over_a_link_slower_than_a_lease_there_is_none(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings={**SETTINGS, "replication": SHORT_LEASES}) as shop:
        await shop.start()
        primary = await shop.primary("catalog")
        await disturb(shop, "frontend-1", primary, "slow", delay_ms=600)
        await until(partial(lacks_lease, shop), "its lease has run out")
        bought = await shop.put("order-1", "/purchase/4")
        assert bought.status == 200, bought
        assert (await shop.get("frontend-1", "/info/4")).json["count"] == 6
        await disturb(shop, "frontend-1", primary, "mend")
        await shop.ready("frontend-1")


async def test_a_restart_forgets_a_cut(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings=SETTINGS) as shop:
        await shop.start()
        primary, follower = await shop.primary("order"), await shop.follower("order")
        await disturb(shop, primary, follower, "cut")
        await shop.restart(follower)  # which dials: so the link is whole
        assert (await leads(shop, primary))["links"]  # where it makes no difference
