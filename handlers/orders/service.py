"""The orders as a service: one replica of them, which sells, and follows the sales (S2, S3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from lru import LRU

from bazar import deadlines
from bazar.background_tasks import Tasks
from bazar.config import NodeConfig
from bazar.errors import (
    BadRequest,
    BazarError,
    Conflict,
    ForeignHistory,
    Indeterminate,
    NotFound,
    Unavailable,
)
from bazar.metrics.figures import Figures
from bazar.metrics.tell import tell_pool
from bazar.node.server import Context, Route
from bazar.replication.engine import Engine
from bazar.replication.messages import Entry
from bazar.replication.store import Answer
from bazar.rpc.batcher import Batcher
from bazar.rpc.pool import ReplicaPool
from handlers.calls import Call
from handlers.kinds import ListOf
from handlers.orders import listing, trace
from handlers.orders.adoption import Adoption
from handlers.orders.writes import CANCELLATION_ITEM, WRITES
from handlers.paths import (
    ADOPT_PATH,
    BEGIN_TRACING_PATH,
    CANCELLATIONS_PATH,
    LISTING_PATH,
    PURCHASES_PATH,
    SALES_PATH,
    STANDING_PATH,
    TRACE_OF_SALE_PATH,
    WRITE_PATH,
)
from handlers.replicated import ReplicatedService
from handlers.validation import ORDER_ID
from storage.books import copies, lines_of
from storage.engines import order_engine
from storage.history import Position
from storage.orders import OrderReader, order_cost, order_key, projected_by, shows

log = logging.getLogger(__name__)

SALES_WAIT_MS = 1000
PROJECT_RETRY_S = 0.05
FOREIGN_RETRY_S = 0.5
LOOKUP_S = 10.0
MAX_MADE = 4096
MAX_SHOWN = 50  # orders that are read together

_ORDER_IDS = ListOf(ORDER_ID, 0, MAX_SHOWN)
_SOLD = ("key", "lines", "tell")  # what of a purchase goes on to the catalog


class OrderService(ReplicatedService[OrderReader]):
    """One order replica."""

    prefix = "(?:/order_service2?)?"
    writes = WRITES

    def __init__(
        self,
        context: Context,
        routes: Sequence[Route] = (),
        *,
        engine: Engine[OrderReader] | None = None,
    ) -> None:
        if engine is None:
            engine = order_engine(context.config, context.node)
        super().__init__(context, engine, routes)
        self.settings = context.config.pool
        self.catalogs = ReplicaPool(context.config.group("catalog"), self.settings, context.clock)
        self.cursor = Position()  # every sale up to here has its order, in what is committed here
        self._made: LRU[str, None] = LRU(MAX_MADE)  # the orders that came last
        self._projected = asyncio.Event()  # replaced whenever any have come
        self._lookups = Batcher(self._look_up)
        self._foreign: str | None = None  # why no sale becomes an order (S2)
        self._tasks = Tasks(context.on_fatal)
        self._traces: trace.ProjectionTraces | None = None  # while they are asked for
        self.calls[PURCHASES_PATH] = Call(self.purchase_item)
        self.calls[CANCELLATIONS_PATH] = Call(self.cancel_item)
        self.calls[LISTING_PATH] = Call(self.listing)
        self.calls[BEGIN_TRACING_PATH] = Call(self.trace_item)
        self.calls[TRACE_OF_SALE_PATH] = Call(self.traced_item)
        self.adoption = Adoption(self)
        self.calls[STANDING_PATH] = Call(self.adoption.standing)
        self.calls[ADOPT_PATH] = Call(self.adoption.adopt)

    async def start(self) -> None:
        await super().start()
        self._tasks.spawn(self._project())

    async def stop(self) -> None:
        await self._tasks.close()
        await super().stop()

    async def installed(self) -> None:
        known = self.cursor
        cursor = await self.reader.cursor()
        if self.cursor is known:  # or what has been committed meanwhile has moved it on
            self.cursor = cursor
        self._made.clear()
        self._wake()

    def committed(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            order_ids, cursor = projected_by(entry)
            self._made.update(dict.fromkeys(order_ids))
            self.cursor = cursor or self.cursor
        self._wake()

    def _wake(self) -> None:
        projected, self._projected = self._projected, asyncio.Event()
        projected.set()

    def status(self) -> dict[str, Any]:
        return {**super().status(), **({"foreign": self._foreign} if self._foreign else {})}

    def measure(self, figures: Figures) -> None:
        super().measure(figures)
        figures.gauge("bazar_foreign_history", self._foreign is not None)
        tell_pool(figures, "catalog", self.catalogs)

    async def _look_up(self, orders: list[str], timeout_s: float) -> list[bool]:
        found = await self.reader.numbers(orders)
        return [order in found for order in orders]

    async def read(self, item: dict[str, Any]) -> Answer:
        match item:
            case {"op": "order", "order_id": str(order_id)}:
                return {"order": await self._order(order_id)}
            case {"op": "orders", "order_ids": order_ids}:
                order_ids = _ORDER_IDS(order_ids, "order_ids")
                await self.replica.reads.barrier(frozenset(map(order_key, order_ids)))
                return {"orders": list((await self.reader.known(order_ids)).values())}
        raise BadRequest(f"no such read: {str(item)[:100]}")

    async def _order(self, order_id: str) -> Answer:
        await self.replica.reads.barrier(frozenset({order_key(order_id)}))
        order = await self.reader.order(order_id)
        if order is None:
            raise NotFound(f"no order has the id {order_id}")
        return order

    async def listing(self, item: dict[str, Any]) -> Answer:
        """Return a page of `orders`: with the `op` "sold" those of a time, newest first, and the
        place `before` which there are more; with "changed" all by their last change, and behind
        which one, `after`, there are more."""
        return await listing.page(self, item)

    # --- selling (S3) ----------------------------------------------------------------------------

    async def purchase_item(self, item: dict[str, Any]) -> Answer:
        """Carry out one purchase of a front end's batch; the front end asks again by itself."""
        return await self.purchase(item, self.settings.write_attempt_s)

    async def purchase(self, item: dict[str, Any], deadline_s: float) -> Answer:
        """Sell `lines` once for this `key`, and answer when its order is committed too (S3). With
        `tell` the answer says how it went."""
        clock = self.context.clock
        deadline = deadlines.of(deadline_s, clock())
        # A replica out of sync could not tell when the order is there: it refuses at once.
        await self.replica.reads.barrier(frozenset())
        tell = item.get("tell", False)
        if tell:
            await self._ask_leader(BEGIN_TRACING_PATH, {}, deadline)
        began = clock()
        asked, sale = await self._sell(item, deadline)
        sold = clock()
        await self._ordered(sale, deadline - clock())
        answer = {
            "order_id": sale["order_id"],
            "lines": sale["lines"],
            "cost": order_cost(sale["lines"]),
            "key": item["key"],
            "replayed": sale.get("replayed", False),
            **{name: sale[name] for name in ("cancelled",) if name in sale},
        }
        if tell:
            order_ms, seq = 1000 * (clock() - sold), {"seq": sale["seq"]}
            projection = await self._ask_leader(TRACE_OF_SALE_PATH, seq, deadline)
            answer["told"] = {
                "sale": {"asked": asked, "ms": 1000 * (sold - began), **sale.get("told", {})},
                "order": {"ms": order_ms, **projection},
            }
        return answer

    async def _sell(self, item: dict[str, Any], deadline: float) -> tuple[str, Answer]:
        """Return the replica that was asked, and its answer. Raises ForeignHistory (S4)."""
        sell = {"op": "sell", **{name: item[name] for name in _SOLD if name in item}}
        return await self._have_written(sell, deadline)

    async def _have_written(self, operation: Answer, deadline: float) -> tuple[str, Answer]:
        """Have a catalog replica write this, and return its name and its answer (S4)."""
        clock = self.context.clock

        async def attempt(node: NodeConfig) -> tuple[str, Answer]:
            left_s = max(deadline - clock(), 0.01)
            timeout_s = min(self.settings.read_attempt_s, left_s)
            operation["cursor"] = self.cursor.plain
            return node.name, await self.client.submit(node, WRITE_PATH, operation, timeout_s)

        return await self.catalogs.call(
            attempt,
            deadline - clock(),
            self._catalog_primary,
            begun_within_s=self.settings.read_attempt_s,
        )

    @property
    def _catalog_primary(self) -> str | None:
        """Return the catalog's primary, if known. Any replica takes a sale and passes it on (R7),
        and each has it a moment later: this saves the detour."""
        return self.client.primaries.get("catalog")

    async def _ordered(self, sale: Answer, timeout_s: float) -> None:
        """Wait until the sale has its order here. Raises Indeterminate."""
        try:
            async with asyncio.timeout(max(timeout_s, 0)):
                # The order itself has to be there: a number may come twice (S5).
                while sale["order_id"] not in self._made:
                    projected, passed = self._projected, self.cursor.number >= sale["seq"]
                    if passed and await self._lookups.submit(sale["order_id"], LOOKUP_S):
                        return  # a replay, of a sale of long ago
                    await projected.wait()
        except (TimeoutError, Unavailable) as error:
            # It is sold, whatever keeps us from its order (R5).
            why = str(error) or f"not committed in {timeout_s:.1f} s"
            raise Indeterminate(f"sold, but its order is not known: {why}") from error

    # --- cancelling (S6) -------------------------------------------------------------------------

    async def cancel_item(self, item: dict[str, Any]) -> Answer:
        """Carry out one cancellation of a front end's batch; the front end asks again by itself."""
        return await self.cancel(CANCELLATION_ITEM(item, "item"), self.settings.write_attempt_s)

    async def cancel(self, item: dict[str, Any], deadline_s: float) -> Answer:
        """Cancel `lines` of an order - so many copies of each book in all - or, without `lines`,
        all of it, once for this `key`. A `buyer` undoes a purchase (S6). Return the order as it is
        then, when it is committed here, too. Raises NotFound, Conflict, NotBuyer or TooLate."""
        deadline = deadlines.of(deadline_s, self.context.clock())
        order = await self._order(item["order_id"])
        cancel = {
            "op": "cancel",
            "key": item["key"],
            "order_id": order["order_id"],
            "lines": item.get("lines") or lines_of(copies(order["lines"])),
            **{name: item[name] for name in ("buyer",) if name in item},
        }
        _, cancelled = await self._have_written(cancel, deadline)
        order = await self._cancelled(cancelled, deadline - self.context.clock())
        return {**order, "key": item["key"], "replayed": cancelled.get("replayed", False)}

    async def _cancelled(self, cancelled: Answer, timeout_s: float) -> Answer:
        """Return the order once it shows what is cancelled of it. Raises Indeterminate."""
        wanted = cancelled["cancelled"]
        try:
            async with asyncio.timeout(max(timeout_s, 0)):
                while True:
                    projected = self._projected
                    order = await self.reader.order(cancelled["order_id"])
                    if order is not None and shows(order, wanted):
                        return order
                    await projected.wait()
        except (TimeoutError, Unavailable) as error:  # R5: it is cancelled by now
            raise Indeterminate(f"cancelled, but its order does not show it: {error}") from None

    async def _project(self) -> None:
        """Turn sales into orders: this is the one path on which they do, recovery included (S2)."""
        while True:
            await self.replica.leading.wait()
            try:
                cursor = self.cursor
                behind = await self.sales_behind(cursor, SALES_WAIT_MS)
                if self._foreign is not None:
                    log.warning("%s follows the catalog's sales again", self.context.node.name)
                    self._foreign = None
                if behind["changes"]:
                    project = {"op": "project", "after": cursor.plain, **behind}
                    if (traces := self._tracing()) is None:
                        await self.write(project)
                    else:
                        done = await self.write({**project, "tell": True})
                        up_to = Position.of(done["cursor"]).number
                        traces.keep(cursor.number, up_to, done["told"])
            except Conflict:
                pass  # this very batch came in on an earlier try
            except ForeignHistory as error:
                if self._foreign is None:
                    log.critical(
                        "%s: no sale becomes an order, and none is made: %s",
                        *(self.context.node.name, error),
                    )
                self._foreign = str(error)
                await asyncio.sleep(FOREIGN_RETRY_S)
            except (Unavailable, Indeterminate) as error:
                log.info("%s cannot follow the sales: %s", self.context.node.name, error)
                await asyncio.sleep(PROJECT_RETRY_S)

    # --- how sales become orders, shown ----------------------------------------------------------

    def _tracing(self) -> trace.ProjectionTraces | None:
        if self._traces is not None and self.context.clock() >= self._traces.until:
            self._traces = None
        return self._traces

    async def trace_item(self, item: dict[str, Any]) -> Answer:
        """Trace how the next sales become orders, for a while."""
        self._traces = self._traces or trace.ProjectionTraces()
        self._traces.until = self.context.clock() + trace.TRACED_S
        return {}

    async def traced_item(self, item: dict[str, Any]) -> Answer:
        """Return how the sale of entry `seq` became an order here. Raises NotFound."""
        if self._traces is None:
            raise NotFound(f"{self.context.node.name} traces no orders")
        match item:
            case {"seq": int(seq)}:
                return await self._traces.of(seq)
        raise BadRequest(f"seq: is not in {str(item)[:100]}")

    async def _ask_leader(self, path: str, item: dict[str, Any], deadline: float) -> Answer:
        """Return what the orders' primary says about its traces, nothing if it can't tell."""
        leader = self.replica.leader
        if leader is None:
            return {}
        try:
            if leader.name == self.context.node.name:
                return await self.calls[path].method(item)
            timeout_s = min(trace.TOLD_S, deadline - self.context.clock())
            told: Answer = await self.client.submit(leader, path, item, timeout_s)
        except BazarError:
            return {}
        return told

    async def sales_behind(self, cursor: Position, wait_ms: int) -> Answer:
        """Return the sales and cancellations behind the cursor, and the `id` of the last one's
        epoch."""
        return await self.ask_catalog(SALES_PATH, {"after": cursor.plain, "wait_ms": wait_ms})

    async def ask_catalog(self, path: str, item: dict[str, Any]) -> Answer:
        timeout_s = item.get("wait_ms", 0) / 1000 + self.settings.read_attempt_s
        return await self.catalogs.call(
            lambda node: self.client.submit(node, path, item, timeout_s),
            self.settings.read_deadline_s,
            self._catalog_primary,
        )
