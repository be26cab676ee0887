"""An order node over a catalog that does what a test says, in virtual time."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from bazar.config import NodeConfig
from bazar.replication.messages import Entry
from bazar.replication.store import Answer
from handlers.orders.service import OrderService
from storage.history import Position
from tests.unit.handlers.parts import Engine, context
from tests.world.lab import play
from tests.world.world import Process

Item = dict[str, Any]
LINES = [{"book": 4, "title": "T", "quantity": 2, "unit_cost": 20, "new_count": 5}]

SOON_S = 0.05
"""Shorter than all that a test waits for."""


class Reader:
    """The committed orders: what is looked at is counted."""

    def __init__(self) -> None:
        self.orders: dict[str, Item] = {}
        self.at = Position()
        self.looked_up: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def cursor(self) -> Position:
        at = self.at
        self.meanwhile()
        return at

    async def order(self, order_id: str) -> Item | None:
        return self.orders.get(order_id)

    async def known(self, order_ids: Iterable[str]) -> dict[str, Item]:
        return {one: self.orders[one] for one in order_ids if one in self.orders}

    async def numbers(self, order_ids: Iterable[str]) -> dict[str, int]:
        wanted = list(order_ids)
        self.looked_up += wanted
        return dict.fromkeys(await self.known(wanted), 1)


class Client:
    """Takes the calls of the node to others. `answers` has what each path is answered."""

    def __init__(self) -> None:
        self.primaries: dict[str, str | None] = {}
        self.arbiters: dict[str, Any] = {}
        self.batchers: dict[Any, Any] = {}
        self.asked: list[tuple[str, str, Item, float]] = []
        self.answers: dict[str, Callable[[Item], Awaitable[Answer]]] = {}
        self.closed = False

    async def submit(self, node: NodeConfig, path: str, item: Item, timeout_s: float) -> Answer:
        self.asked.append((node.name, path, dict(item), timeout_s))
        return await self.answers[path](item)

    def to(self, path: str) -> list[tuple[str, Item, float]]:
        return [(name, item, timeout_s) for name, one, item, timeout_s in self.asked if one == path]

    def close(self) -> None:
        self.closed = True


class Node:
    """The order node `order-1`. Its clock goes on with the loop's, or stands until it is moved on
    by hand."""

    def __init__(self, process: Process, *, stands: bool = False) -> None:
        self.now = 1000.0
        self.fatal: list[BaseException] = []
        self.reader = Reader()
        self.engine = Engine(self.reader)
        loop, began = process.loop, self.now
        self.clock: Callable[[], float] = (
            (lambda: self.now) if stands else (lambda: began + loop.time())
        )
        made = context("order-1", self.clock, fatal=self.fatal.append)
        self.service = OrderService(made, engine=self.engine)
        self.part = self.engine.replica
        self.service.replica = self.part  # type: ignore[assignment]
        self.client = Client()
        self.service.client = self.client  # type: ignore[assignment]

    def commits(self, order_id: str | None, seq: int, *, cursor: bool = True) -> None:
        """Hear of an entry by which the sale of entry `seq` has this order."""
        orders = [] if order_id is None else [{"order_id": order_id}]
        if order_id is not None:
            self.reader.orders[order_id] = {"order_id": order_id, "lines": LINES}
        put: Item = {"orders": orders}
        if cursor:
            put["cursors"] = [{"name": "sales", "seq": seq, "id": "e"}]
        self.service.committed([Entry(1, 1, (), {"put": put}, "")])


class OrdersTestCase(unittest.TestCase):
    def play(self, work: Callable[[Node], Coroutine[Any, Any, None]], **options: Any) -> None:
        async def run(process: Process) -> None:
            node = Node(process, **options)
            await work(node)
            self.assertEqual(node.fatal, [])

        play(run, 90.0)


async def passes(seconds: float) -> float:
    """Let time pass; return the moment."""
    await asyncio.sleep(seconds)
    return asyncio.get_running_loop().time()
