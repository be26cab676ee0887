"""Buyers, updaters and readers who remember everything they were told, and whether it can be true.

    customers = Customers(shop, "seed", stock)
    customers.come()          # until rest(): nothing is under way then, and everything is known
    await customers.rest()
    await customers.check()   # raises Violation

Whoever writes asks again with the same key, at another door if one fails, until it is known. While
they rest the history has no loose ends, so that each check starts from what the last one found.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.compare import ReplicaFile, closing, differences, same_moment
from tests.cluster.client import Answer, Client, StaleConnection
from tests.cluster.cluster import Cluster, until
from tests.simulation.history import Book, Operation, linearizable

TOPICS = ("Distributed Systems", "Undergraduate School", "Operating Systems", "Tests")
EVERYTHING = "s"  # is in each of them
KEYS = {
    "catalog": {
        **{"topics": "id", "books": "id", "sales": "order_id", "answers": "key"},
        "history": "epoch",
    },
    "order": {"orders": "order_id", "cursors": "name", "adoptions": "upto", "history": "epoch"},
}
PACE_S = 0.02  # between what one customer asks for: the machine is to fail, not to be full
KNOWN_S = 60.0  # until a write must be known, once nothing is broken any more
TIMEOUTS_S = (0.3, 1.0, 3.0, 15.0)
ASKED_AGAIN = 3  # keys, at each check
SETTLED = (200, 409)
PASSING = (503, 504)


class Violation(AssertionError):
    """Something that must never be so. `history` is what shows it."""

    def __init__(self, what: str, history: Sequence[Any] = ()) -> None:
        super().__init__(what)
        self.history = history


@dataclass(frozen=True, slots=True)
class Sold:
    """A purchase that was acknowledged."""

    book: int
    quantity: int
    order_id: str
    new_count: int


class Customers:
    """All that ask something of one shop. `stock` is how many of each book are there at first."""

    def __init__(self, shop: Cluster, seed: str, stock: Mapping[int, int]) -> None:
        self.shop = shop
        self.stock = dict(stock)
        self.sold: dict[str, Sold] = {}  # by key, of all times
        self.refused: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.known_at: list[float] = []  # of acknowledged purchases
        self._seed = seed
        self._histories: dict[int, list[Operation]] = {book: [] for book in stock}
        self._shown: dict[int, Book] = {}  # at the last check
        self._orders: deque[str] = deque(maxlen=100)  # acknowledged: everybody sees them
        self._number = itertools.count(1)
        self._open = asyncio.Event()
        self._under_way = 0
        self._tasks: list[asyncio.Task[None]] = []

    # --- coming and going ------------------------------------------------------------------------

    def start(self) -> None:
        """Let everybody in; they wait for `come`."""
        self._shown = {
            book: (title, topic, self.stock[book])
            for book, (title, topic, _) in self._books().items()
        }
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
        self._enter(catalogs, self._update, token=True)
        self._enter(catalogs[::-1], self._update, token=True)
        for catalog in catalogs:
            self._enter([catalog], self._look)
            self._enter([catalog], self._search)

    def _enter(
        self,
        doors: Sequence[str],
        act: Callable[[random.Random, Sequence[Client]], Awaitable[None]],
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
        act: Callable[[random.Random, Sequence[Client]], Awaitable[None]],
        rng: random.Random,
        clients: Sequence[Client],
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
        """Let everybody learn what has come of their last request."""
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
        """What one of them has met that must not be."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                return task.exception()
        return None

    # --- writing ---------------------------------------------------------------------------------

    async def _insist(
        self,
        rng: random.Random,
        clients: Sequence[Client],
        ask: Callable[[Client, float], Awaitable[Answer]],
    ) -> tuple[Answer, float]:
        """The answer, once it is one, and when it was first asked for."""
        began = time.monotonic()
        for client in itertools.cycle(clients):
            try:
                answer = await ask(client, rng.choice(TIMEOUTS_S))
            except OSError:
                self.counts["asked again"] += 1
            else:
                if answer.status in SETTLED:
                    return answer, began
                if answer.status not in PASSING:
                    raise Violation(f"a write was answered {answer}")
                self.counts["asked again"] += 1
            await asyncio.sleep(rng.uniform(0, 2 * PACE_S))
        raise AssertionError("no client")

    def _key(self) -> str:
        return f"{self._seed}-{next(self._number)}"

    async def _buy(self, rng: random.Random, clients: Sequence[Client]) -> None:
        key, book, quantity = self._key(), rng.choice(list(self.stock)), rng.choice((1, 1, 2))
        answer, began = await self._insist(
            rng,
            clients,
            lambda client, timeout_s: client.put(
                f"/purchase/{book}", {"quantity": quantity}, key=key, timeout_s=timeout_s
            ),
        )
        told = answer.json
        if answer.status == 409:
            self._refuse(key, book, quantity, began)
        else:
            sold = Sold(book, quantity, told["order_id"], told["new_count"])
            self._acknowledge(key, sold, began)
            self._orders.append(sold.order_id)

    async def _sell(self, rng: random.Random, clients: Sequence[Client]) -> None:
        """As an order replica does, straight at the catalog."""
        key, book, quantity = self._key(), rng.choice(list(self.stock)), rng.choice((1, 1, 2))
        lines = [{"book": book, "quantity": quantity}]
        items = [{"op": "sell", "key": key, "lines": lines}]

        async def ask(client: Client, timeout_s: float) -> Answer:
            answer = await client.post("/write", {"items": items}, timeout_s=timeout_s)
            if answer.status != 200:
                return answer
            [result] = answer.json["results"]
            status = result["error"]["status"] if "error" in result else 200
            return Answer(status, answer.headers, answer.body)

        answer, began = await self._insist(rng, clients, ask)
        if answer.status == 409:
            self._refuse(key, book, quantity, began)
            return
        told = answer.json["results"][0]["answer"]
        sold = Sold(book, quantity, told["order_id"], told["lines"][0]["new_count"])
        self._acknowledge(key, sold, began)

    def _acknowledge(self, key: str, sold: Sold, began: float) -> None:
        now = time.monotonic()
        self.sold[key] = sold
        self.known_at.append(now)
        self.counts["purchases"] += 1
        self._remember(sold.book, "buy", sold.quantity, began, sold.new_count)

    def _refuse(self, key: str, book: int, quantity: int, began: float) -> None:
        self.refused.add(key)
        self.counts["sold out"] += 1
        self._remember(book, "buy", quantity, began, None)

    async def _update(self, rng: random.Random, clients: Sequence[Client]) -> None:
        key, book = self._key(), rng.choice(list(self.stock))
        title, topic = f"Book {book}, edition {key}", rng.choice(TOPICS)
        answer, began = await self._insist(
            rng,
            clients,
            lambda client, timeout_s: client.put(
                f"/update/{book}", {"title": title, "topic": topic}, key=key, timeout_s=timeout_s
            ),
        )
        if answer.status != 200:
            raise Violation(f"an update was answered {answer}")
        self.counts["updates"] += 1
        self._remember(book, "update", (title, topic, None), began, ())
        await asyncio.sleep(rng.uniform(0, 10 * PACE_S))  # they are rarer than purchases

    # --- reading ---------------------------------------------------------------------------------

    async def _get(self, rng: random.Random, client: Client, path: str) -> Any:
        """The JSON of a 200; None if it could not be had."""
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
        if answer.status != 200:
            raise Violation(f"{path} at port {client.port} was answered {answer}")
        self.counts["reads"] += 1
        if answer.cache == "hit":
            self.counts["cache hits"] += 1
        return answer.json

    async def _look(self, rng: random.Random, clients: Sequence[Client]) -> None:
        book = rng.choice(list(self.stock))
        began = time.monotonic()
        shown = await self._get(rng, clients[0], f"/info/{book}")
        if shown is not None:
            self._saw(shown, began)

    async def _search(self, rng: random.Random, clients: Sequence[Client]) -> None:
        topic = rng.choice((EVERYTHING, "under", "Systems"))
        began = time.monotonic()
        shown = await self._get(rng, clients[0], f"/search?topic={topic}")
        if shown is None:
            return
        for book in shown:
            self._saw(book, began)
        found = sorted(book["id"] for book in shown)
        if len(set(found)) < len(found) or (topic == EVERYTHING and found != sorted(self.stock)):
            raise Violation(f"a search for {topic!r} shows the books {found}", shown)

    async def _look_up_order(self, rng: random.Random, clients: Sequence[Client]) -> None:
        if self._orders:
            await self._get(rng, clients[0], f"/orders/{rng.choice(self._orders)}")
        await asyncio.sleep(2 * PACE_S)

    def _saw(self, shown: Mapping[str, Any], began: float) -> None:
        result = (shown["title"], shown["topic"], shown["count"])
        self._remember(shown["id"], "read", None, began, result)

    def _remember(self, book: int, kind: str, argument: Any, began: float, result: Any) -> None:
        operation = Operation(kind, argument, began, time.monotonic(), result)
        self._histories[book].append(operation)

    # --- whether it can be true ------------------------------------------------------------------

    async def check(self) -> None:
        """While everybody rests and all nodes are well. Raises Violation."""
        began = time.monotonic()
        for role in ("catalog", "order"):
            await self._same_everywhere(role)
        self._check_sales()
        await self._check_orders()
        books = self._books()
        for book, history in self._histories.items():
            for name in self.shop.group("catalog"):
                async with self.shop.client(name) as client:
                    self._saw((await client.get(f"/info/{book}")).json, began)
            history.append(Operation("read", None, began, time.monotonic(), books[book]))
            if not linearizable(history, self._shown[book]):
                ordered = sorted(history, key=lambda operation: operation.start)
                raise Violation(
                    f"no order of these {len(history)} operations on book {book}, which was "
                    f"{self._shown[book]}, explains their results",
                    [operation._asdict() for operation in ordered],
                )
            self.counts["operations checked"] += len(history)
            history.clear()
        self._shown = books
        await self._ask_again()
        self.counts["checks"] += 1

    def _files(self, role: str) -> list[ReplicaFile]:
        return [
            ReplicaFile(name, self.shop.data_dir / f"{name}.db") for name in self.shop.group(role)
        ]

    async def _same_everywhere(self, role: str) -> None:
        files = self._files(role)
        with closing(files):

            def equal() -> bool:
                return same_moment(files, 0) and len({file.committed for file in files}) == 1

            try:
                await until(equal, f"the {role} replicas are at the same entry")
            except AssertionError as error:
                marks = {file.node: file.committed for file in files}
                raise Violation(f"{error}: {marks}") from error
            faults = [fault for file in files for fault in file.faults(KEYS[role])]
            if faults:
                raise Violation(f"damaged: {faults}")
            found = list(itertools.islice(differences(files, KEYS[role]), 5))
            if found:
                raise Violation(f"the {role} replicas differ: {found}")

    def _check_sales(self) -> None:
        catalog = self.shop.group("catalog")[0]
        rows = self.shop.query(catalog, "SELECT key, order_id, lines FROM sales")
        in_file = {key: (order_id, json.loads(lines)) for key, order_id, lines in rows}
        for key, sold in self.sold.items():
            if key not in in_file:
                raise Violation(f"the acknowledged sale {key} ({sold}) is missing")
            order_id, [line] = in_file[key]
            kept = Sold(line["book"], line["quantity"], order_id, line["new_count"])
            if kept != sold:
                raise Violation(f"the sale {key} was acknowledged as {sold}, but is {kept}")
        for key in in_file:
            if key not in self.sold:
                raise Violation(f"the sale {key} is known to nobody (refused: {self.refused})")
        if len(rows) != len(in_file) or len({order for order, _ in in_file.values()}) != len(rows):
            raise Violation("a key or an order is sold twice")
        gone: Counter[int] = Counter()
        for sold in self.sold.values():
            gone[sold.book] += sold.quantity
        for book, (_, _, count) in self._books().items():
            if count + gone[book] != self.stock[book]:
                raise Violation(
                    f"book {book}: {gone[book]} sold and {count} left of {self.stock[book]}"
                )

    async def _check_orders(self) -> None:
        name = self.shop.group("order")[0]
        wanted = sorted(sold.order_id for sold in self.sold.values())

        def projected() -> bool:
            [[orders]] = self.shop.query(name, "SELECT COUNT(*) FROM orders")
            return int(orders) >= len(wanted)

        try:
            await until(projected, "every sale has its order")
        except AssertionError as error:
            raise Violation(str(error)) from error
        if sorted(row[0] for row in self.shop.query(name, "SELECT order_id FROM orders")) != wanted:
            raise Violation("the orders are not one for each sale")
        await self._same_everywhere("order")

    def _books(self) -> dict[int, Book]:
        rows = self.shop.query(
            self.shop.group("catalog")[0],
            "SELECT b.id, b.title, t.name, b.count FROM books b JOIN topics t ON t.id = catalog_id",
        )
        return {book: (title, topic, count) for book, title, topic, count in rows}

    async def _ask_again(self) -> None:
        """A key that is used again gets its first answer."""
        keys = list(self.sold)
        for key in keys[:: max(len(keys) // ASKED_AGAIN, 1)]:
            sold = self.sold[key]
            path, body = f"/purchase/{sold.book}", {"quantity": sold.quantity}
            async with self.shop.client(self.shop.group("frontend")[0]) as client:

                async def ask(client: Client, timeout_s: float) -> Answer:
                    return await client.put(path, body, key=key)  # noqa: B023 - awaited here

                answer, _ = await self._insist(random.Random(key), [client], ask)
            told = answer.json if answer.status == 200 else {}
            if (told.get("order_id"), told.get("new_count"), told.get("replayed")) != (
                sold.order_id,
                sold.new_count,
                True,
            ):
                raise Violation(f"asked again, the sale {key} ({sold}) was answered {answer}")


def write_history(path: Path, violation: Violation) -> None:
    """What shows the violation, one JSON value a line."""
    lines = [json.dumps(one, default=str, ensure_ascii=False) for one in violation.history]
    path.write_text("\n".join([str(violation), *lines, ""]), "utf-8")
