"""Buyers, updaters and readers who remember every answer.

    customers = Customers(shop, "seed", memory)
    customers.come()          # until rest(): nothing is under way then, and everything is known
    await customers.rest()

A writer asks again with the same key, at another port if one fails, until the outcome is known.
While they rest the history has no open ends, and can be checked.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tests.cluster.client import Answer, Doors, HTTPClient, StaleConnection
from tests.cluster.cluster import until
from tests.cluster.memory import PASSING, Memory, Violation, Write
from tests.cluster.moments import Sold
from tests.simulation.history import FIELDS

TOPICS = ("Distributed Systems", "Undergraduate School", "Operating Systems", "Tests")
EVERYTHING = "s"  # every title of the stock has it
PACE_S = 0.02  # between the requests of one customer: the machine is to fail, not to be overloaded
KNOWN_S = 60.0  # until the outcome of a write must be known, once all faults are over
TIMEOUTS_S = (0.3, 1.0, 3.0, 15.0)
SETTLED = (200, 409)


class Customers:
    """All customers of one shop; `memory` keeps their answers."""

    def __init__(self, shop: Doors, seed: str, memory: Memory) -> None:
        self.shop = shop
        self.memory = memory
        self.counts = memory.counts
        self._books = list(memory.stock)
        self._seed = seed
        self._number = itertools.count(1)
        self._chosen: set[str] = set()  # orders of which something was cancelled, or will be
        self._open = asyncio.Event()
        self._under_way = 0
        self._tasks: list[asyncio.Task[None]] = []

    # --- coming and going ------------------------------------------------------------------------

    def start(self) -> None:
        """Start all customers; they wait for `come`."""
        doors, catalogs, orders = (
            self.shop.group(role) for role in ("frontend", "catalog", "order")
        )
        for first in doors:
            others = [door for door in doors if door != first]
            self._enter([first, *others], self._buy, 2)
            self._enter([first], self._look, 2)
            self._enter([first], self._search)
            self._enter([first], self._look_up_order)
        self._enter(orders, self._buy)
        self._enter(catalogs, self._sell, token=True)
        self._enter(doors, self._cancel, token=True)
        self._enter(orders, self._cancel, token=True)
        self._enter(catalogs, self._update, token=True)
        self._enter(catalogs[::-1], self._update, token=True)
        for catalog in catalogs:
            self._enter([catalog], self._look)
            self._enter([catalog], self._search)

    def _enter(
        self,
        doors: Sequence[str],
        act: Callable[[random.Random, Sequence[HTTPClient]], Awaitable[None]],
        how_many: int = 1,
        *,
        token: bool = False,
    ) -> None:
        for _ in range(how_many):
            rng = random.Random(f"{self._seed}/{len(self._tasks)}")
            clients = [self.shop.client(door, with_token=token) for door in doors]
            self._tasks.append(asyncio.create_task(self._stay(act, rng, clients)))

    async def _stay(
        self,
        act: Callable[[random.Random, Sequence[HTTPClient]], Awaitable[None]],
        rng: random.Random,
        clients: Sequence[HTTPClient],
    ) -> None:
        try:
            while True:
                await self._open.wait()
                self._under_way += 1
                try:
                    await act(rng, clients)
                finally:
                    self._under_way -= 1
                await asyncio.sleep(rng.uniform(0, 2 * PACE_S))
        finally:
            for client in clients:
                client.close()

    def come(self) -> None:
        self._open.set()
        self._fail_early()

    def _fail_early(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def rest(self) -> None:
        """Wait until every customer knows the outcome of the last request."""
        self._open.clear()

        def known() -> bool:
            self._fail_early()
            return not self._under_way

        try:
            await until(known, "every write is known", KNOWN_S)
        except AssertionError as error:
            if isinstance(error, Violation):
                raise
            raise Violation(f"{error}: {self._under_way} still ask") from error

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def failure(self) -> BaseException | None:
        """Return the error that a customer has met, if any."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                return task.exception()
        return None

    # --- writing ---------------------------------------------------------------------------------

    async def _insist(
        self,
        rng: random.Random,
        clients: Sequence[HTTPClient],
        write: Write,
        ask: Callable[[HTTPClient, float], Awaitable[Answer]],
        settled: tuple[int, ...] = SETTLED,
    ) -> Answer:
        """Return the answer as soon as there is one, of the history of that time."""
        self.memory.open[write.key] = write
        for client in itertools.cycle(clients):
            asked_at = time.monotonic()
            try:
                answer = await ask(client, rng.choice(TIMEOUTS_S))
            except OSError:
                write.unheard_at = time.monotonic()
            else:
                if answer.status not in settled + PASSING:
                    raise Violation(f"a write was answered {answer}")
                if answer.status in settled and asked_at >= self.memory.catalog_since:
                    return answer
            self.counts["asked again"] += 1
            await asyncio.sleep(rng.uniform(0, 2 * PACE_S))
        raise AssertionError("no client")

    def _key(self) -> str:
        return f"{self._seed}-{next(self._number)}"

    def _purchase(self, rng: random.Random) -> Write:
        return Write(self._key(), rng.choice(self._books), "buy", rng.choice((1, 1, 2)))

    async def _buy(self, rng: random.Random, clients: Sequence[HTTPClient]) -> None:
        write = self._purchase(rng)
        path, body = f"/purchase/{write.book}", {"quantity": write.argument}
        answer = await self._insist(
            rng,
            clients,
            write,
            lambda client, timeout_s: client.put(path, body, key=write.key, timeout_s=timeout_s),
        )
        told = answer.json
        if answer.status == 409:
            self.memory.refuse(write, told["code"])
        else:
            sold = Sold(write.book, write.argument, told["order_id"], told["new_count"])
            self.memory.acknowledge(write, sold)
            self.memory.ordered(write, sold)

    async def _sell(self, rng: random.Random, clients: Sequence[HTTPClient]) -> None:
        """Sell at the catalog directly, as an order replica does."""
        write = self._purchase(rng)
        lines = [{"book": write.book, "quantity": write.argument}]
        items = [{"op": "sell", "key": write.key, "lines": lines}]

        async def ask(client: HTTPClient, timeout_s: float) -> Answer:
            answer = await client.post("/write", {"items": items}, timeout_s=timeout_s)
            if answer.status != 200:
                return answer
            [result] = answer.json["results"]
            status = result["error"]["status"] if "error" in result else 200
            return Answer(status, answer.headers, answer.body)

        answer = await self._insist(rng, clients, write, ask)
        if answer.status == 409:
            self.memory.refuse(write, answer.json["results"][0]["error"]["code"])
            return
        told = answer.json["results"][0]["answer"]
        sold = Sold(write.book, write.argument, told["order_id"], told["lines"][0]["new_count"])
        self.memory.acknowledge(write, sold)

    async def _cancel(self, rng: random.Random, clients: Sequence[HTTPClient]) -> None:
        """Cancel some copies of an order, or all of them; of each order once."""
        await asyncio.sleep(rng.uniform(0, 10 * PACE_S))  # they are rarer than purchases
        orders = [sold for sold in self.memory.orders if sold.order_id not in self._chosen]
        if not orders:
            return
        sold = rng.choice(orders)
        self._chosen.add(sold.order_id)
        copies = rng.randint(1, sold.quantity)
        write = Write(self._key(), sold.book, "back", copies, order_id=sold.order_id)
        path = f"/orders/{sold.order_id}/cancel"
        body = {"lines": [{"book": sold.book, "quantity": copies}]}

        while True:
            answer = await self._insist(
                rng,
                clients,
                write,
                lambda client, timeout_s: client.post(
                    path, body, key=write.key, timeout_s=timeout_s
                ),
                (200, 404),
            )
            if answer.status == 200:
                break
            if self.memory.forget(write):
                return
        if answer.json["cancelled"] != body["lines"]:
            raise Violation(f"{copies} of {sold} are cancelled, and the answer is {answer}")
        self.memory.cancel(write)

    async def _update(self, rng: random.Random, clients: Sequence[HTTPClient]) -> None:
        key, book = self._key(), rng.choice(self._books)
        body: dict[str, Any] = {"title": f"Book {book}, edition {key}", "topic": rng.choice(TOPICS)}
        if rng.random() < 0.3:
            body = {"retired": rng.random() < 0.4}
        write = Write(key, book, "update", tuple(map(body.get, FIELDS)))
        path = f"/update/{book}"
        answer = await self._insist(
            rng,
            clients,
            write,
            lambda client, timeout_s: client.put(path, body, key=key, timeout_s=timeout_s),
        )
        if answer.status != 200:
            raise Violation(f"an update was answered {answer}")
        self.memory.update(write)
        await asyncio.sleep(rng.uniform(0, 10 * PACE_S))  # they are rarer than purchases

    # --- reading ---------------------------------------------------------------------------------

    async def _get(self, rng: random.Random, client: HTTPClient, path: str) -> Any:
        """Return the JSON of a 200; None if there was no such answer."""
        began = time.monotonic()
        try:
            answer = await client.get(path, timeout_s=rng.choice(TIMEOUTS_S))
        except StaleConnection:
            return None
        except OSError:
            self.counts["reads that failed"] += 1
            return None
        if answer.status in PASSING:
            self.counts["reads that failed"] += 1
            return None
        if answer.status == 404 and began < self.memory.orders_since:
            return None  # an order that is yet to be made again
        if answer.status != 200:
            raise Violation(f"{path} at port {client.port} was answered {answer}")
        self.counts["reads"] += 1
        self.memory.read_at.append(time.monotonic())
        if answer.cache == "hit":
            self.counts["cache hits"] += 1
        return answer.json

    async def _look(self, rng: random.Random, clients: Sequence[HTTPClient]) -> None:
        book = rng.choice(self._books)
        began = time.monotonic()
        shown = await self._get(rng, clients[0], f"/info/{book}")
        if shown is not None:
            self.memory.saw(shown, began)

    async def _search(self, rng: random.Random, clients: Sequence[HTTPClient]) -> None:
        topic = rng.choice((EVERYTHING, "under", "Systems"))
        began = time.monotonic()
        shown = await self._get(rng, clients[0], f"/search?topic={topic}")
        if shown is None:
            return
        for book in shown:
            self.memory.saw(book, began)
        found = sorted(book["id"] for book in shown)
        if len(set(found)) < len(found) or not set(found) <= set(self._books):
            raise Violation(f"a search for {topic!r} shows the books {found}", shown)
        if topic == EVERYTHING:
            self.memory.missed(set(self._books).difference(found), began)

    async def _look_up_order(self, rng: random.Random, clients: Sequence[HTTPClient]) -> None:
        if self.memory.orders:
            await self._get(rng, clients[0], f"/orders/{rng.choice(self.memory.orders).order_id}")
        await asyncio.sleep(2 * PACE_S)
