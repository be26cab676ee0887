"""Real signals: what the shop still does, and what it must never lose (R3, T1-T5, S1, S2)."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.cluster import LONG_LEASES, Cluster, until
from tests.cluster.load import Load, purchase

STOCK = 1_000_000
TINY = {"local": {"entries": 1}, "default": {"entries": 1}}
DEFAULT_LEASES = {"replication": {"lease_s": 1.0, "ack_timeout_s": 0.3}}


async def nothing_lost(shop: Cluster, load: Load) -> None:
    """Check that every acknowledged purchase is one sale and one order on every replica, that a key
    used again gets its first answer, and that sold and left are what was stocked."""
    catalog = await shop.same_rows("catalog")
    sales = {sale[1]: sale[0] for sale in catalog["sales"]}
    assert len(sales) == len(catalog["sales"])
    assert {one.key: one.order_id for one in load.bought} == sales
    [left] = shop.query("catalog-1", "SELECT count FROM books WHERE id = 4")
    assert left == (STOCK - len(sales),)

    async def projected() -> bool:
        orders = await shop.same_rows("order")
        return len(orders["orders"]) >= len(sales)

    await until(projected, "every sale has its order")
    orders = [row[0] for row in (await shop.same_rows("order"))["orders"]]
    assert sorted(orders) == sorted(sales.values())

    async with shop.client("frontend-1") as client:
        for one in (load.bought[0], load.bought[-1]):
            again = (await purchase(client, one.book, one.key)).json
            assert again["replayed"] is True
            assert (again["order_id"], again["new_count"]) == (one.order_id, one.new_count)
        assert len({one.new_count for one in load.bought}) == len(load.bought)
        assert (await client.get("/info/4")).json["count"] == STOCK - len(sales)


async def used_again(shop: Cluster, name: str, paths: list[str]) -> None:
    """Wait until the front end's round robin comes to this replica again."""

    async def met() -> bool:
        return name in [(await shop.get("frontend-1", path)).replica for path in paths]

    await until(met, f"the front end uses {name} again")


@pytest.mark.parametrize("role", ["catalog", "order"])
async def test_no_reader_notices_that_a_follower_is_killed(tmp_path: Path, role: str) -> None:
    async with Cluster(tmp_path, settings={"caches": TINY}) as shop:
        await shop.start()
        await shop.update(4, count=STOCK)
        follower = await shop.follower(role)
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            await load.flowing(0)
            paths = ["/info/1", "/info/4", "/search?topic=under"]
            if role == "order":
                paths = [f"/orders/{one.order_id}" for one in load.bought[:3]]
            load.read("frontend-1", paths, readers=3)
            await load.has_read(50)

            killed_at = time.monotonic()
            await shop.kill(follower)
            await load.flowing(killed_at)
            await load.has_read(100)
            print(f"{follower} killed: writes stood for {load.gap_s(killed_at, killed_at + 1):.2f}")

            await shop.start(follower)
            await used_again(shop, follower, paths)
            await load.flowing(time.monotonic())
        assert load.read_errors == []
        await nothing_lost(shop, load)


@pytest.mark.parametrize("role", ["catalog", "order"])
async def test_writes_resume_after_a_primary_is_killed(tmp_path: Path, role: str) -> None:
    async with Cluster(tmp_path, settings=DEFAULT_LEASES) as shop:
        await shop.start()
        await shop.update(4, count=STOCK)
        primary, follower = await shop.primary(role), await shop.follower(role)
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            load.read("frontend-1", ["/info/1", "/info/4", "/search?topic=under"])
            await load.flowing(0)

            killed_at = time.monotonic()
            await shop.kill(primary)
            gone_at = time.time()
            await load.flowing(killed_at)
            gap_s = load.gap_s(killed_at, time.monotonic())
            print(f"{role} primary killed: {gap_s:.2f} s without an acknowledged purchase")
            assert await shop.primary(role) == follower

            await shop.start(primary)
            status = await until(partial(shop.status, primary), f"{primary} answers")
            assert "members" not in status  # it follows
            if role == "catalog":
                # T2: the successor sold nothing while a lease of its predecessor could run.
                early = "SELECT COUNT(*) FROM sales WHERE sold_at BETWEEN ? AND ?"
                until_s = gone_at + 0.9 * shop.lease_s
                assert shop.query(follower, early, 1000 * gone_at, 1000 * until_s) == [(0,)]
            await load.flowing(time.monotonic())
        assert load.read_errors == []  # they were late, some of them
        print(f"buyers had to ask again {len(load.write_errors)} times")
        await nothing_lost(shop, load)


@pytest.mark.parametrize("role", ["catalog", "order"])
async def test_a_primary_that_is_asked_to_leave_hands_over(tmp_path: Path, role: str) -> None:
    """T5: with leases far longer than the gap, the successor can't have waited one out."""
    async with Cluster(tmp_path, settings={"replication": LONG_LEASES}) as shop:
        await shop.start()
        await shop.update(4, count=STOCK)
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            await load.flowing(0)
            for _ in range(2):  # there and back again
                primary = await shop.primary(role)
                asked_at = time.monotonic()
                assert await shop.terminate(primary) == 0
                await load.flowing(time.monotonic())
                gap_s = load.gap_s(asked_at, time.monotonic())
                print(f"{primary} terminated: {gap_s:.2f} s without an acknowledged purchase")
                assert gap_s < shop.lease_s
                assert await shop.primary(role) != primary
                await shop.start(primary)
                await load.flowing(time.monotonic())
        await nothing_lost(shop, load)


async def test_each_sale_becomes_one_order_whatever_crashes_between(tmp_path: Path) -> None:
    """S2: both order nodes die while sales are made directly at the catalog."""
    async with Cluster(tmp_path) as shop:
        await shop.start()
        await shop.update(4, count=STOCK)
        sold: dict[str, str] = {}
        crashed = asyncio.Event()

        async def sell(through: str, sales: int) -> None:
            for number in range(sales):
                if number == sales // 2:
                    await crashed.wait()
                key = secrets.token_hex(8)
                item = {"op": "sell", "key": key, "lines": [{"book": 4, "quantity": 1}]}
                [result] = (await shop.post(through, "/write", {"items": [item]})).json["results"]
                sold[key] = result["answer"]["order_id"]

        async def crash() -> None:
            await until(lambda: len(sold) >= 20, "some sales")
            await shop.kill(*shop.group("order"))
            crashed.set()

        await asyncio.gather(sell("catalog-1", 40), sell("catalog-2", 40), crash())
        assert len(sold) == 80
        with_order = {row[0] for row in shop.rows("order-1", "orders")}
        print(f"{len(with_order)} of 80 sales had their order at the crash")
        assert len(with_order) < 80

        await shop.start(*shop.group("order"))
        await until(lambda: len(shop.rows("order-1", "orders")) >= 80, "the orders are there")
        orders = (await shop.same_rows("order"))["orders"]
        assert sorted(row[0] for row in orders) == sorted(sold.values())
        async with shop.client("frontend-1") as client:
            for key in list(sold)[-3:]:
                answer = (await purchase(client, 4, key)).json
                assert (answer["replayed"], answer["order_id"]) == (True, sold[key])
                assert (await client.get(f"/orders/{sold[key]}")).status == 200
        assert len(shop.rows("order-1", "orders")) == 80


async def test_nothing_acknowledged_is_lost_when_everything_stops(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start()
        await shop.update(4, count=STOCK)
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            for _ in range(3):
                await load.flowing(time.monotonic())
                await shop.kill(*shop.roles)
                await shop.start()
            await load.flowing(time.monotonic())
        await nothing_lost(shop, load)
        before = await shop.same_rows("catalog"), await shop.same_rows("order")

        codes = await shop.terminate_all()
        assert codes == dict.fromkeys(shop.roles, 0)
        await shop.start()
        await nothing_lost(shop, load)
        after = await shop.same_rows("catalog"), await shop.same_rows("order")
        assert after == before


@pytest.mark.parametrize("leases", [2.0, 3.0])
async def test_a_front_end_that_was_paused_shows_nothing_old(tmp_path: Path, leases: float) -> None:
    """C1, C4: requests that waited in its socket all along are the first that it answers."""
    roles = {"frontend": 2, "catalog": 2, "order": 2}
    async with Cluster(tmp_path, roles) as shop:
        await shop.start()
        async with AsyncExitStack() as stack:
            waiting = [
                await stack.enter_async_context(shop.client("frontend-2")) for _ in range(20)
            ]
            for client in waiting:  # each connection is open, and the answers are cached
                assert (await client.get("/info/4")).json["count"] == 7
                await client.get("/search?topic=under")

            async def hit() -> bool:
                return (await waiting[0].get("/info/4")).cache == "hit"

            await until(hit, "it answers from its cache")

            paths = ["/info/4", "/search?topic=under"]
            await shop.pause("frontend-2")
            paused_at = time.monotonic()
            early = [
                asyncio.create_task(client.get(paths[number % 2]))
                for number, client in enumerate(waiting[:10])
            ]
            # The writes wait for its lease, and go on without it.
            for left in (6, 5, 4):
                assert (await shop.put("frontend-1", "/purchase/4")).json["new_count"] == left
            await shop.update(4, cost=33)
            # The fault itself lasts so long.
            pause_s = leases * shop.lease_s
            await asyncio.sleep(max(paused_at + pause_s - time.monotonic(), 0))
            late = [
                asyncio.create_task(client.get(paths[number % 2]))
                for number, client in enumerate(waiting[10:])
            ]
            await asyncio.sleep(0)  # they are on their way
            shop.resume("frontend-2")
            for answer in await asyncio.gather(*early, *late):
                assert answer.status == 200, answer
                books = answer.json if isinstance(answer.json, list) else [answer.json]
                [book] = [book for book in books if book["id"] == 4]
                assert (book["count"], book["cost"]) == (4, 33), answer
            await shop.ready("frontend-2")
            bought = await shop.put("frontend-2", "/purchase/4")
            assert bought.json["new_count"] == 3


async def test_a_paused_follower_answers_nothing_old(tmp_path: Path) -> None:
    """L2: after the pause its lease is over, and it answers only when it has caught up."""
    async with Cluster(tmp_path) as shop:
        await shop.start()
        follower = await shop.follower("catalog")
        primary = await shop.primary("catalog")
        async with shop.client(follower) as client:
            assert (await client.get("/info/4")).json["count"] == 7
            await shop.pause(follower)
            early = asyncio.create_task(client.get("/info/4"))
            await shop.update(4, through=primary, count=3)
            shop.resume(follower)
            answer = await early
            assert answer.status == 503 or answer.json["count"] == 3, answer
            await shop.ready(follower)
            assert (await client.get("/info/4")).json["count"] == 3
        await shop.same_rows("catalog")
