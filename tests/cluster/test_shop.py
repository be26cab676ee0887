"""What a shopper sees, through the front end and on every replica."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

from tests.cluster.client import HTTPClient
from tests.cluster.cluster import LONG_LEASES, Cluster, until

SETTLED = {"replication": LONG_LEASES}
NO_CACHE = {"caches": {"local": {"entries": 1}}}  # small enough to be evicted all the time


async def test_purchases_show_everywhere_at_once(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings=SETTLED) as shop:
        await shop.start()
        for left in (6, 5):
            bought = await shop.put("frontend-1", "/purchase/4")
            assert (bought.status, bought.json["new_count"]) == (200, left)
            for name, path in (
                ("frontend-1", "/info/4"),
                ("catalog-1", "/catalog/info/4"),
                ("catalog-2", "/catalog/info/4"),
                ("catalog-2", "/catalog2/info/4"),
            ):
                assert (await shop.get(name, path)).json["count"] == left, (name, path)
            found = await shop.get("frontend-1", "/search?topic=under")
            assert {book["id"]: book["count"] for book in found.json}[4] == left
        order = await shop.get("frontend-1", f"/orders/{bought.json['order_id']}")
        assert order.json["lines"][0]["book"] == 4


async def test_headers_tell_hit_miss_and_whose_turn_it_is(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings=SETTLED) as shop:
        await shop.start()
        async with shop.client("frontend-1") as client:
            turns = []
            for book in (1, 2, 3, 5):
                miss = await client.get(f"/info/{book}")
                assert miss.cache == "miss"
                turns.append(miss.replica)
                hit = await client.get(f"/info/{book}")
                assert (hit.cache, hit.replica, hit.body) == ("hit", miss.replica, miss.body)
            assert turns in (["catalog-1", "catalog-2"] * 2, ["catalog-2", "catalog-1"] * 2)

            assert (await client.get("/search?topic=dis")).cache == "miss"
            assert (await client.get("/search?topic=dis")).cache == "hit"
            orders = [(await client.put("/purchase/1")).replica for _ in range(4)]
            assert sorted(orders[:2]) == ["order-1", "order-2"]
            assert orders[:2] == orders[2:]
            # A sale drops the book and the searches that show it, and nothing else.
            assert (await client.get("/info/5")).cache == "hit"
            assert (await client.get("/info/1")).cache == "miss"
            assert (await client.get("/search?topic=dis")).cache == "miss"
        lines = (
            "data is cached",
            "data is not cached",
            "Data retrieved from cache",
            "Forwarding request to replica: 1",
            "Forwarding request to replica: 2",
        )
        # Hits are logged in batches.
        await until(lambda: all(line in shop.log("frontend-1") for line in lines), f"{lines}")


async def test_200_buyers_of_50_copies(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings=SETTLED) as shop:
        await shop.start()
        await shop.update(4, count=50)
        clients = [shop.client("frontend-1") for _ in range(200)]
        try:
            await asyncio.gather(*(client.connect() for client in clients))
            answers = await asyncio.gather(*(client.put("/purchase/4") for client in clients))
        finally:
            for client in clients:
                client.close()
        assert Counter(answer.status for answer in answers) == {200: 50, 409: 150}
        told = [answer.json for answer in answers if answer.status == 200]
        assert sorted(one["new_count"] for one in told) == list(range(50))
        for name in shop.group("catalog"):
            assert (await shop.get(name, "/info/4")).json["count"] == 0

        await shop.same_rows("catalog")
        await shop.same_rows("order")
        for name in shop.group("catalog"):
            assert shop.query(name, "SELECT count FROM books WHERE id = 4") == [(0,)]
            assert len(shop.rows(name, "sales")) == 50
        for name in shop.group("order"):
            orders = {row[0] for row in shop.rows(name, "orders")}
            assert len(orders) == 50
            assert orders == {one["order_id"] for one in told}


class Writer:
    """A writer of one book, which knows what every read must show from then on."""

    def __init__(self, shop: Cluster, book: int) -> None:
        self.shop = shop
        self.book = book
        self.count = 1000
        self.cost = 0
        self.writes = 0

    async def run(self, writes: int, front: HTTPClient) -> None:
        catalogs = [self.shop.client(n, with_token=True) for n in self.shop.group("catalog")]
        orders = [self.shop.client(name) for name in self.shop.group("order")]
        await self.update(catalogs[0])
        try:
            for turn in range(writes):
                through = turn // 2 % 2
                if turn % 2:
                    await self.update(catalogs[through])
                else:
                    await self.buy(orders[through])
                self.writes += 1
                await self.check(front)
        finally:
            for client in catalogs + orders:
                client.close()

    async def buy(self, client: HTTPClient) -> None:
        answer = await client.put(f"/order_service/purchase/{self.book}")
        assert answer.status == 200, answer
        self.count -= 1
        assert answer.json["new_count"] == self.count

    async def update(self, client: HTTPClient) -> None:
        self.cost += 1
        fields = {"cost": self.cost, "count": self.count}
        answer = await client.put(f"/catalog/update/{self.book}", fields, key=secrets.token_hex(8))
        assert answer.status == 200, answer

    async def check(self, front: HTTPClient) -> None:
        """It is the only one who writes this book: the value is exactly known."""
        shown = await front.get(f"/info/{self.book}")
        found = await front.get("/search?topic=under")
        for book in (shown.json, next(b for b in found.json if b["id"] == self.book)):
            assert (book["cost"], book["count"]) == (self.cost, self.count), (shown, found)


async def test_500_writes_are_each_seen_by_the_next_read(tmp_path: Path) -> None:
    """While four readers keep evicting and filling; these must never see time run backwards."""
    async with Cluster(tmp_path, settings={**SETTLED, **NO_CACHE}) as shop:
        await shop.start()
        writers = [Writer(shop, book) for book in (4, 5)]
        done = asyncio.Event()
        reads: Counter[str] = Counter()

        async def read(number: int) -> None:
            newest: dict[Any, int] = {}
            paths = ["/info/4", "/search?topic=under", "/info/5", "/search?topic=school", "/info/1"]
            async with shop.client("frontend-1") as client:
                while not done.is_set():
                    for path in paths[number:] + paths[:number]:
                        answer = await client.get(path)
                        assert answer.status == 200, answer
                        reads[answer.cache] += 1
                        books = answer.json if "search" in path else [answer.json]
                        for book in books:
                            if book["id"] in (4, 5):
                                key = book["id"]
                                assert book["cost"] >= newest.get(key, 0), (book, newest)
                                newest[key] = book["cost"]

        async def write(writer: Writer) -> None:
            async with shop.client("frontend-1") as front:
                await writer.run(250, front)

        await shop.update(4, cost=0)
        await shop.update(5, cost=0)
        readers = [asyncio.create_task(read(number)) for number in range(4)]
        try:
            await asyncio.gather(*(write(writer) for writer in writers))
        finally:
            done.set()
            await asyncio.gather(*readers)
        assert sum(writer.writes for writer in writers) == 500
        print(f"500 writes among {sum(reads.values())} reads: {dict(reads)}")
        assert reads["hit"] and reads["miss"]
        await shop.same_rows("catalog")
        await shop.same_rows("order")
