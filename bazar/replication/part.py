"""What a node does in its group, whatever keeps the group's state: it takes writes, answers those
that subscribe, and carries out what its side of the protocol asks."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bazar import deadlines
from bazar.background_tasks import Tasks
from bazar.config import NodeConfig, ReplicationConfig
from bazar.errors import BadRequest, FatalError, Unavailable
from bazar.replication import telling, trace
from bazar.replication.arbiter import Knock
from bazar.replication.batches import Batches
from bazar.replication.disk import DiskWorker
from bazar.replication.effects import Alert, Close, Confirm, Effect, Send, Stop
from bazar.replication.feed_client import FeedClient
from bazar.replication.feed_server import FeedServer
from bazar.replication.messages import Ack, ArbiterId, Entry, Hello, NotPrimary, encode
from bazar.replication.primary import Primary
from bazar.replication.reads import Reads
from bazar.replication.states import Life
from bazar.replication.store import Answer, Operation
from bazar.replication.subscriber import Subscriber
from bazar.replication.timekeeper import Timekeeper
from bazar.replication.write_queue import WriteQueue
from bazar.rpc.frames import Dial, FrameConnection

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a node's part in its group is connected to. `forward` sends an operation to another node
    of the group (R7), `knock` asks one what `knocked` answers (A3), both within a bound.

    `on_commit` hears of what has been committed here, in order, in the same step in which others
    can learn of it; `on_install` that the whole state is another one. `on_fatal` must end the
    process, or whatever stands for it."""

    me: NodeConfig
    peers: Sequence[NodeConfig]
    settings: ReplicationConfig
    token: str
    dial: Dial
    run: str
    clock: Callable[[], float]
    forward: Callable[[NodeConfig, Operation], Awaitable[Answer]]
    knock: Callable[[NodeConfig, Answer], Awaitable[Answer]]
    on_commit: Callable[[Sequence[Entry]], None]
    on_install: Callable[[], Awaitable[None]]
    on_fatal: Callable[[BaseException], None]


class Part(ABC):
    """One node's part in its group. Reads pass `reads.barrier` first, and then look at the state;
    writes go through `write`. Subclasses know how a node comes to lead, and what is done about the
    effects that are not the feeds'."""

    disk: DiskWorker
    """What has it written out."""

    def __init__(
        self,
        wiring: Wiring,
        subscriber: Subscriber,
        home: ArbiterId,
        *,
        settling: Callable[[], Awaitable[None] | None],
        seeded: bool,
    ) -> None:
        me, settings, clock = wiring.me, wiring.settings, wiring.clock
        self.me = me
        self.settings = settings
        self.clock = clock
        self.home = home
        self.subscriber = subscriber
        self.primary: Primary | None = None
        self.leading = asyncio.Event()
        self.reads = Reads(
            *(me.name, lambda: self.core, clock), lease_s=settings.lease_s, seeded=seeded
        )
        self._forward = wiring.forward
        self._on_commit = wiring.on_commit
        self._on_install = wiring.on_install
        self._client = FeedClient(
            *(subscriber, wiring.peers, wiring.token, clock, self._carry_out, settling),
            dial=wiring.dial,
        )
        self._feeds = FeedServer(me.name)
        self._tasks = Tasks(wiring.on_fatal)
        self.queue = WriteQueue(settings.queue_ops)
        self._batches: Batches | None = None  # of a primary
        self._timekeeper: Timekeeper | None = None
        self._stopped = asyncio.Event()

    @abstractmethod
    async def start(self) -> None:
        """Take part."""

    @abstractmethod
    async def stop(self) -> None:
        """Leave in order: hand over (T5), or give the lease back (L3)."""

    @property
    def core(self) -> Primary | Subscriber:
        return self.primary or self.subscriber

    @property
    def leader(self) -> NodeConfig | None:
        """Return the primary, as far as this node knows."""
        return self.me if self.primary else self._client.leader

    # --- other arbiters (A2, A3) -----------------------------------------------------------------

    def refuse_other(self, arbiter: str | None) -> None:
        """Refuse callers that follow this group under another arbiter (A2). Raises Unavailable."""
        if arbiter not in (None, self.home.digest):
            raise Unavailable(f"{self.me.name}: belongs to another cluster than its caller")

    def knocked(self, plain: Answer) -> Answer:
        """Answer a node that asks under which arbiter this one is. Raises BadRequest."""
        try:
            theirs = Knock.load(plain)
        except (KeyError, TypeError) as error:
            raise BadRequest(f"no such knock: {str(plain)[:100]}") from error
        if self.primary is not None:
            self._perform(self.primary.meet(theirs))
        knock = Knock(self.me.name, self.home, None)
        return (knock if self.primary is None else self.primary.knock()).plain()

    # --- writing ---------------------------------------------------------------------------------

    async def write(
        self, operation: Operation, timeout_s: float, *, may_forward: bool = True
    ) -> Answer:
        """Return the operation's answer, once it is committed at every in-sync replica. Raises its
        refusal; Unavailable if surely nothing happened; Indeterminate if it may have (R5). An
        operation that has `tell` is traced."""
        if self.primary is None:
            leader = self._client.leader
            if leader is None or not may_forward:
                raise Unavailable(f"{self.me.name} is not primary and knows of none")
            return await self._forward(leader, operation)
        if self.primary.life is not Life.LEADING or self._stopped.is_set():
            raise Unavailable(f"{self.me.name} hands over")
        tracing: trace.Trace | None = None
        if "tell" in operation:
            operation, tracing = trace.begin(operation, self.me.name, self.clock())
        until = deadlines.of(timeout_s, self.clock())
        ticket = self.queue.add(operation, tracing, until)
        return await self.queue.answer(ticket, timeout_s)

    # --- the primary's feeds ---------------------------------------------------------------------

    def open_feed(self, connection: FrameConnection) -> int:
        """Return the feed of a subscriber that connects. Raises Unavailable beyond the bound."""
        return self._feeds.open(connection)

    def feed_message(self, feed: int, text: str | bytes) -> None:
        """Take what a subscriber has said."""
        message = self._feeds.message(feed, text)
        if message is None:
            return
        if self.primary is not None:
            if self._batches is not None and self._batches.traces and isinstance(message, Ack):
                known = self.primary.feeds.get(feed)
                if known is not None and message.mark == self.primary.tail:
                    self._batches.note(f"ack {known.hello.node}")
            self._perform(self.primary.receive(feed, message, self.clock()))
        elif isinstance(message, Hello):
            self._turn_away(feed, message)

    def _turn_away(self, feed: int, hello: Hello) -> None:
        """Tell a subscriber that this node does not lead, and which may."""
        hint = self.leader.name if self.leader else None
        answer = NotPrimary(self.subscriber.epoch, hint, self.home)
        self._perform([Send(feed, answer), Close(feed, "not primary")])

    def feed_closed(self, feed: int) -> None:
        if self._feeds.closed(feed) and self.primary is not None:
            self._perform(self.primary.disconnected(feed, self.clock()))

    # --- carrying effects out --------------------------------------------------------------------

    def _perform(self, effects: Iterable[Effect]) -> None:
        """Carry out the primary's effects, in order."""
        encoded: dict[int, bytes] = {}
        for effect in effects:
            match effect:
                case Send(feed, message):
                    # The same entries go to many: they are encoded once.
                    text = encoded.get(id(message)) or encode(message)
                    encoded[id(message)] = text
                    self._feeds.send(feed, text)
                case Close(feed, reason):
                    self._feeds.close(feed, reason)
                case Confirm():
                    if not self._still_leads():
                        return
                case Alert(reason):
                    log.critical("%s", reason)
                case Stop(reason, clean):
                    self._stop_leading(reason, clean)
                case _:
                    self._carry_out(effect)
        if self.queue:
            self.queue.wake.set()
        if self._timekeeper is not None:
            self._timekeeper.look()

    @abstractmethod
    def _still_leads(self) -> bool:
        """Tell the primary until when it surely leads. Return whether it does (L5, P2)."""

    def _stop_leading(self, reason: str, clean: bool) -> None:
        """End the primaryship: after a clean hand-over, or because it must not go on."""
        if clean:
            self._stopped.set()
        else:
            self._tasks.fail(FatalError(f"{self.me.name}: {reason}"))

    @abstractmethod
    def _carry_out(self, effect: Effect) -> None:
        """Do what either side of the protocol asks, and this class does not know."""

    # --- looking at it ---------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return what an operator wants to know, as JSON."""
        shown: dict[str, Any] = {
            "node": self.me.name,
            "group": self.me.role,
            "store": self.subscriber.store,
            "primary": self.leader.name if self.leader else None,
            **telling.standing(self.core, self.clock()),
        }
        if self.primary is not None:
            shown["queue"] = len(self.queue)
        elif self.leader is None:
            shown["waits_for"] = self._waits_for()
        return shown

    @abstractmethod
    def _waits_for(self) -> str:
        """Return what has to come before this node can follow or lead, in words."""
