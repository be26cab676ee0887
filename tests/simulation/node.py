"""One run of a node: the product's own service in a simulated process.

Only HTTP is left out: requests of clients come as calls, and nodes meet at a `Door` that reads no
more of a request's head than its path. All else (driver, feeds, frames, calls, pool, cache, keys,
orders) is production code. The model observes it from the store, and through `Watched`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import replace
from math import inf
from pathlib import PurePosixPath
from typing import Any, cast
from unittest.mock import patch

import orjson

from bazar import durable
from bazar.config import CacheConfig, Config, NodeConfig, PoolConfig, ReplicationConfig
from bazar.errors import BazarError, NotFound, ShuttingDown, Unavailable
from bazar.http.known_targets import KnownTargets
from bazar.http.response import body_of
from bazar.http.traffic import ASTRAY
from bazar.node.server import DRAIN_S, STOP_S, Context
from bazar.replication import file_arbiter
from bazar.replication.effects import Effect, ReadLog
from bazar.replication.feed_client import FEED_PATH
from bazar.replication.messages import Member
from bazar.replication.primary import Primary
from bazar.replication.replica import Replica
from bazar.replication.states import Phase
from bazar.replication.store import Answer, Operation
from bazar.replication.subscriber import Subscriber
from bazar.replication.timing import Timing
from bazar.rpc import frames
from bazar.rpc.client import CALLS_PATH
from handlers.calls import CallsHandler
from handlers.catalog.known_book import KnownBook
from handlers.catalog.service import CatalogService
from handlers.feed import FeedHandler
from handlers.frontend.questions import Question
from handlers.frontend.service import FrontEndService
from handlers.orders.service import OrderService
from handlers.replicated import ReplicatedService
from tests.simulation.core_invariants import (
    check_boundary,
    check_excuse,
    check_hand_over,
    check_joining,
    check_memory,
)
from tests.simulation.invariants import copies
from tests.simulation.shopworld import Node, ShopWorld
from tests.simulation.store import SimulatedEngine, SimulatedStore
from tests.simulation.strays import check_alone, check_feeds
from tests.world.system import SYSTEM, Path
from tests.world.transport import Transport
from tests.world.world import Process

MAX_SPREAD_S = 1000.0  # by which the zeros of clocks may differ


class NodeProcess(Process):
    """One run of any node."""

    world: ShopWorld
    service: Any

    def __init__(self, world: ShopWorld, node: Node) -> None:
        offset = MAX_SPREAD_S * world.profile.draw.random()
        super().__init__(world, node.name, rate=node.rate, offset=offset)
        node.runs += 1
        self.node = node
        self.run = f"{node.name}#{node.runs}"
        self.profile = world.profile
        self.truth = node.group.truth
        world.group_of[self.run] = node.group
        self.led_at = inf  # when it began to lead
        self.step_s = 0.0002 if world.profile.calm else world.profile.step_s
        self.syscall_chance = 0.0 if world.profile.calm else world.profile.syscalls
        self.loop.network = world.network
        self.terminating = False
        self.ready = False
        node.process = node.host.process = self
        self.loop.spawn(self._begin)

    @property
    def subscribers(self) -> list[Subscriber]:
        """Return the subscribers that hold this node's leases, while another node leads."""
        raise NotImplementedError

    def context(self) -> Context:
        """Return the context from which the product's services are made."""
        profile, timing = self.profile, self.node.timing
        config = Config(
            data_dir=cast(Any, PurePosixPath("/data")),
            nodes={node.name: node.config for node in self.world.nodes},
            caches={
                name: CacheConfig(profile.shelf_entries, profile.ttl_s)
                for name in ("local", "default", "pages")
            },
            replication=ReplicationConfig(timing.lease_s, timing.ack_timeout_s, profile.batch_rows),
            pool=PoolConfig(
                read_attempt_s=profile.attempt_s,
                read_deadline_s=2.0,
                write_attempt_s=profile.write_attempt_s,
                write_deadline_s=1.4,
            ),
        )
        clock, node = self.clock, self.node.config
        return Context(config, node, "token", self.give_up, clock=clock, run=self.run)

    def give_up(self, error: BaseException) -> None:
        self.exit(str(error))

    # --- its life --------------------------------------------------------------------------------

    async def _begin(self) -> None:
        await self.service.start()
        await self.loop.create_server(lambda: Door(self), port=self.node.config.port)
        self.ready = True

    def die(self, why: str) -> None:
        if self.alive:
            self.node.process = None
            super().die(why)

    def terminate(self) -> None:
        """Receive SIGTERM."""
        if not self.terminating:
            self.world.say(self.name, "SIGTERM")
            self.terminating = True
            self.world.after(STOP_S, self, self.die, "killed: it did not stop in time")
            self.loop.spawn(self._stop)

    async def _stop(self) -> None:
        """Do what `bazar.node.server.Server.stop` does; end the process a little later."""
        self.world.network.close(self.node.config.port)
        if self.ready:
            await self.service.context.activity.drain(DRAIN_S)
            primary = getattr(self, "primary", None)
            await self.service.stop()
            now = self.node.group.membership
            led = None if primary is None or self.truth.lock_lost else primary.epoch
            if now is not None and now.epoch == led and not now.clean:
                self.world.violate(f"T5: {self.name} leaves in order, and hands nothing over")
            if self.leaves_amid_a_batch(primary):
                self.world.violate(f"T5: {self.name} leaves in order amid a batch")
            if any(one.lease_valid(self.time()) for one in self.subscribers):
                self.world.violate(f"L3: {self.name} leaves in order, and with a lease")
        self.die("stopped")

    def leaves_amid_a_batch(self, primary: Primary | None) -> bool:
        return primary is not None and primary.phase is not Phase.IDLE

    def dispose(self) -> None:
        """Forget what is known: lru-dict hides its items from the garbage collector, and they know
        of the whole world."""
        super().dispose()
        self.service.known = KnownTargets()

    # --- requests --------------------------------------------------------------------------------

    async def serve(
        self, method: str, args: tuple[Any, ...], answer: Callable[[Any], None]
    ) -> None:
        """Answer one request of a client, as `handlers.base.Handler` would."""
        if not self.ready:
            answer(Unavailable("not listening yet"))
            return
        activity, request = self.service.context.activity, object()
        activity.enter(request)
        try:
            answer(await getattr(self, method)(*args))
        except BazarError as error:
            answer(error)
        finally:
            activity.leave(request)

    async def known(self, target: bytes) -> Any:
        """Answer a GET that was asked before, as the port does; None if it was not."""
        known = self.service.known.find(target)
        if known is None:
            return None
        found = known.find(self.clock()) or await known.fetch(_ignore)
        return orjson.loads(body_of(found.entity))

    def upgrade(self, path: str) -> frames.FrameConnection:
        """Open a connection to `path`. Raises BazarError."""
        raise NotFound(f"no such path: {path}")


class Door(asyncio.Protocol):
    """The reader of a node's request head, which then hands the connection over."""

    def __init__(self, process: NodeProcess) -> None:
        self._process = process
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._stream = cast(Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self._head.endswith(b"\r\n\r\n"):
            return
        try:
            connection = self._process.upgrade(self._head.split(b" ")[1].decode())
        except BazarError as error:
            self._stream.write(f"HTTP/1.1 {error.status} no\r\n\r\n".encode())
            self._stream.close()
            return
        frames.accept(connection, self._stream, b"")


class Watched(Replica):
    """The product's driver, observed by the model, which changes nothing."""

    _excused_at = 0.0
    _last_lease = inf

    @property
    def process(self) -> ReplicaProcess:
        return cast(SimulatedStore, self.store).process

    def _lead(self) -> None:
        process = self.process
        world, image = process.world, process.disk.image
        world.say(process.name, f"leads from {image.committed} +{len(image.pending)}")
        world.guard(check_memory, self.subscriber, image)
        world.guard(process.truth.check_leader, process.me)
        world.guard(check_alone, world, process.node.group, self.subscriber)
        process.led_at = world.now
        world.takeovers += 1
        membership = process.node.group.membership
        if membership is not None:
            # A primary whose disk lost fsynced commits may lead, although T2's wait for the others
            # was in vain.
            alone = membership.members == {process.me}
            wait_s = 0.0 if alone else Timing.surely_over_s(membership.lease_s)
            self._excused_at = process.time() + wait_s
        group = process.node.group
        if group.hangs_next is process.node:
            if process.profile.hangs_reading:
                process.hangs_soon = True
            else:
                process.hang_disk()
        group.hangs_next = None
        super()._lead()

    async def write(self, operation: Operation, timeout_s: float, **options: bool) -> Answer:
        process, began = self.process, self.process.world.now
        retiring = self.primary is not None and self.primary.retiring
        try:
            return await super().write(operation, timeout_s, **options)
        except Unavailable:
            if retiring and process.world.now > began:
                process.world.violate(f"T5: {process.name} retires, and does not refuse at once")
            raise

    def _perform(self, effects: Iterable[Effect]) -> None:
        process, effects = self.process, list(effects)
        world = process.world
        if self.primary is not None:
            world.guard(check_feeds, world, process.node.group, self.primary)
            if process.disk.lost_seq and process.time() >= self._excused_at:
                group = process.node.group
                world.guard(check_excuse, self.primary, process.disk.image, group)
            last = world.guard(check_hand_over, self.primary, effects, self._last_lease)
            self._last_lease = last
            world.guard(check_joining, self.primary)
            calm_s = world.now - process.profile.calm_since
            if calm_s > 0:
                world.guard(check_boundary, self.primary, process.time(), calm_s)
        super()._perform(effects)
        for effect in effects if process.profile.aims else ():
            world.aim(process.node, effect)

    def _carry_out(self, effect: Effect) -> None:
        process = self.process
        if process.hangs_soon and isinstance(effect, ReadLog) and not process.disk.hangs:
            process.hang_disk()
        super()._carry_out(effect)
        if self.primary is None and process.profile.aims:
            process.world.aim(process.node, effect)


class ReplicaProcess(NodeProcess):
    """A run of a catalog or order node."""

    service: CatalogService | OrderService

    def __init__(self, world: ShopWorld, node: Node) -> None:
        assert node.disk is not None
        self.disk = node.disk
        self.has_probed = False  # its disk took a write before it led (T1)
        self.hangs_soon = False  # it will hang with the first look at its log for another
        self.me = Member(node.name, node.disk.store)
        super().__init__(world, node)
        kind: Any = CatalogService if node.config.role == "catalog" else OrderService
        self.service = kind(self.context(), engine=SimulatedEngine(self, Watched))

    @property
    def replica(self) -> Replica | None:
        return cast("Replica | None", getattr(self.service, "replica", None))

    @property
    def primary(self) -> Primary | None:
        return self.replica.primary if self.replica is not None else None

    @property
    def subscribers(self) -> list[Subscriber]:
        replica = self.replica
        return [] if replica is None or replica.primary is not None else [replica.subscriber]

    def exit(self, why: str) -> None:
        group = self.node.group
        gone = not group.is_recorded and group.holder is self
        if gone and self.primary is not None and ".members" in why:
            self.world.violate(f"T0: {self.name} leads, and leaves its group unrecorded")
        super().exit(why)

    def hang_disk(self) -> None:
        self.world.say(self.name, "its disk hangs")
        self.disk.hangs = True

    def may_read(self) -> bool:
        """Return whether this replica may answer a read now, as far as it knows."""
        assert self.replica is not None
        try:
            self.replica.core.read(frozenset(), self.time())
        except Unavailable:
            return False
        return True

    def upgrade(self, path: str) -> frames.FrameConnection:
        kinds: dict[str, type[FeedHandler | CallsHandler]]
        kinds = {FEED_PATH: FeedHandler, CALLS_PATH: CallsHandler}
        if self.service.context.activity.draining:
            raise ShuttingDown(f"{self.name} is about to stop")
        handler = kinds[path].__new__(kinds[path])
        handler.service = cast(Any, self.service)
        return handler.open_connection()

    async def write(self, operation: dict[str, Any]) -> Any:
        """Take a write of an operator (PUT /update, POST /create), or a sale if the shop has no
        orders."""
        if self.service.context.activity.draining:
            raise ShuttingDown(f"{self.name} is about to stop")
        answer = await self.service.write(operation)
        if "seq" in answer:
            self.world.guard(self.truth.sale_is_committed, answer["order_id"])
            self.world.guard(
                self.truth.check_cancelled, answer["order_id"], copies(answer), self.name
            )
        return answer

    async def read(self, item: dict[str, Any]) -> Any:
        """Answer a GET with what the answer's readers are shown."""
        found = await self.known(orjson.dumps(item))
        if found is not None:
            return found
        answer = await self.service.read(item)
        if isinstance(self.service, CatalogService) and item["op"] == "info":
            known = KnownBook(self.service, item["book"], ASTRAY)
            self.service.known.remember(orjson.dumps(item), known)
        return next(iter(answer.values()))

    async def purchase(self, item: dict[str, Any]) -> Any:
        """Sell, and answer when the order is there (S3)."""
        service = cast(OrderService, self.service)
        answer = await service.purchase(item, service.settings.write_deadline_s)
        state, order_id = self.disk.image.state, answer["order_id"]
        if ("orders", order_id) not in state:
            self.world.violate(f"S3: {self.name} answers a purchase, and has no order of it")
        return answer

    async def cancel(self, item: dict[str, Any]) -> Any:
        """Cancel, and answer when the order shows it (S6)."""
        service = cast(OrderService, self.service)
        answer = await service.cancel(item, service.settings.write_deadline_s)
        order = self.disk.image.state.get(("orders", answer["order_id"]))
        if any(copies(order).get(book, 0) < many for book, many in copies(answer).items()):
            self.world.violate(f"S6: {self.name} answers {answer}, and has {order}")
        return answer


class FrontEndProcess(NodeProcess):
    """A run of a front end."""

    service: FrontEndService

    def __init__(self, world: ShopWorld, node: Node) -> None:
        super().__init__(world, node)
        self.service = FrontEndService(self.context())

    def dispose(self) -> None:
        """Empty the caches, too, as `NodeProcess` does with what is known."""
        super().dispose()
        for source in self.service.sources:
            source.cache.reset()

    @property
    def subscribers(self) -> list[Subscriber]:
        return [source.subscriber for source in self.service.sources]

    @property
    def is_at_home(self) -> bool:
        """Whether it follows no other cluster's catalog. While there is one, a front end that has
        just started is bound to neither (A2)."""
        arbiter = self.service.catalog.subscriber.arbiter
        return arbiter.place.startswith("/data ") if arbiter is not None else not self.world.strays

    def _question(self, item: dict[str, Any]) -> Question:
        match item:
            case {"op": "info", "book": book}:
                return self.service.info(book)
            case {"op": "topics"}:
                return self.service.topics()
            case {"op": "order", "order_id": order_id}:
                return self.service.order(order_id)
        return self.service.search(item)

    async def read(self, item: dict[str, Any]) -> Any:
        """Answer a GET: from the response cache, as HTTP does, or by asking a replica."""
        if item["op"] in ("books", "orders") or "retired" in item:
            # For one visitor, or a keeper, and never cached.
            name = "orders" if item["op"] == "orders" else "books"
            source = self.service.catalog if name == "books" else self.service.orders
            answer, _ = await source.read(item, _ignore)
            return answer[name]
        as_page = self.world.client_tape.chance(0.3)
        target = orjson.dumps([as_page, item])
        found = await self.known(target)
        if found is not None:
            return found
        question = self._question(item)
        if as_page:  # another way to show the same, as `ShelfPage` does
            question = replace(question, store=self.service.pages, key=f"page_{question.key}")
        page, _ = await self.service.answered(target, question, _ignore)
        return orjson.loads(page.body)

    async def purchase(self, item: dict[str, Any]) -> Any:
        answer, _ = await self.service.buy(item, _ignore)
        return answer

    async def cancel(self, item: dict[str, Any]) -> Any:
        answer, _ = await self.service.cancel(item, _ignore)
        return answer


HOPS: ContextVar[int] = ContextVar("HOPS", default=0)
"""How often the present write has been passed on."""


def _ignore(words: str) -> None:
    pass


def kind_of(node: Node) -> type[NodeProcess]:
    return FrontEndProcess if node.disk is None else ReplicaProcess


@contextlib.contextmanager
def production() -> Any:
    """Replace what the product's modules use of the machine by the simulated machine."""
    taken = ReplicatedService.write_forwarded
    passed = ReplicatedService._forward

    async def write_forwarded(self: Any, item: dict[str, Any]) -> Answer:
        HOPS.set(1)
        return await taken(self, item)

    async def forward(self: Any, leader: NodeConfig, operation: Operation) -> Answer:
        if HOPS.get():
            world = self.engine.process.world
            world.violate(f"R7: {self.context.node.name} passes on what was passed on to it")
        return await passed(self, leader, operation)

    with (
        patch.object(ReplicatedService, "write_forwarded", write_forwarded),
        patch.object(ReplicatedService, "_forward", forward),
        patch.object(file_arbiter, "os", SYSTEM),
        patch.object(durable, "os", SYSTEM),
        patch.object(file_arbiter, "fcntl", SYSTEM),
        patch.object(file_arbiter, "LOCKS", Path("/proc/locks")),
        patch.object(file_arbiter, "this_machine", lambda: ("booted once", "machine")),
    ):
        yield
