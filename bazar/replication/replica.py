"""One replica of a group: follows its primary, or is it. Carries the protocol's effects out.

Reads pass `reads.barrier` first and then look at the store; writes go through `write`. Everything
that touches the disk runs in one worker, in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from bazar.background_tasks import Tasks
from bazar.config import NodeConfig, ReplicationConfig
from bazar.errors import (
    BadRequest,
    FatalError,
    Unavailable,
)
from bazar.replication import telling, trace
from bazar.replication.arbiter import Arbiter, Knock
from bazar.replication.batches import Batches
from bazar.replication.candidate import Candidate
from bazar.replication.disk import DiskWorker, within
from bazar.replication.effects import (
    Alert,
    Apply,
    Close,
    Confirm,
    Effect,
    Install,
    Persist,
    ReadLog,
    Record,
    Send,
    SendSnapshot,
    Stop,
)
from bazar.replication.feed_client import FeedClient
from bazar.replication.feed_server import FeedServer
from bazar.replication.knocking import Ask, Knocking
from bazar.replication.messages import (
    GENESIS,
    Ack,
    Entry,
    Hello,
    Member,
    NotPrimary,
    encode,
)
from bazar.replication.primary import Primary
from bazar.replication.reads import Reads
from bazar.replication.replica_subscriber import ReplicaSubscriber
from bazar.replication.states import Life
from bazar.replication.store import Answer, Operation, Store
from bazar.replication.timekeeper import Timekeeper
from bazar.replication.timing import Timing
from bazar.replication.write_queue import WriteQueue
from bazar.rpc.frames import FrameConnection

log = logging.getLogger(__name__)

POLLS_PER_LEASE = 20  # how often a follower looks whether the primary's lock is free
LONG_LEASES = 10  # that a group is without a primary only if something is wrong
PROBE_LEASES = 2  # in which a disk must take its first write, while others could lead
LOOK_LEASES = 3  # how often a primary looks for others


class Replica:
    """One node's part in its group. `forward` sends an operation to another node of the group
    (R7), `knock` asks one what `knocked` answers (A3), both within a bound. `founding` raises where
    no group may begin (T0); `on_fatal` must end the process, or whatever stands for it.

    `on_commit` hears of what has been committed here, in order, in the same step in which others
    can learn of it; `on_install` that a snapshot has replaced the whole state."""

    def __init__(
        self,
        me: NodeConfig,
        peers: Sequence[NodeConfig],
        store: Store,
        arbiter: Arbiter,
        settings: ReplicationConfig,
        *,
        token: str,
        run: str,
        clock: Callable[[], float],
        forward: Callable[[NodeConfig, Operation], Awaitable[Answer]],
        knock: Ask,
        founding: Callable[[], Awaitable[None]],
        on_commit: Callable[[Sequence[Entry]], None],
        on_install: Callable[[], Awaitable[None]],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self.me = me
        self.store = store
        self.settings = settings
        self.clock = clock
        self._member = Member(me.name, store.store_id)
        self._arbiter = arbiter
        self._knocking = Knocking(me.name, arbiter.id, peers, knock)
        self.subscriber = ReplicaSubscriber(
            *(me.name, store.store_id, run, store.epoch, store.epoch_id),
            Timing(settings.lease_s, settings.ack_timeout_s),
            *(store.committed, store.pending, self._knocking.home),
        )
        self.primary: Primary | None = None
        self.reads = Reads(
            *(me.name, lambda: self.core, clock),
            lease_s=settings.lease_s,
            seeded=bool(store.seed()),
        )
        self._forward = forward
        self._founding = founding
        self._on_commit = on_commit
        self._on_install = on_install
        self._disk = DiskWorker(self._write_out)
        self.candidate = Candidate(self._member, me.role, [peer.name for peer in peers], arbiter)
        self._client = FeedClient(
            self.subscriber, peers, token, clock, self._carry_out, self._disk.settling
        )
        self._feeds = FeedServer(me.name, store)
        self._tasks = Tasks(on_fatal)
        self._queue = WriteQueue(settings.queue_ops)
        self._run = run
        self._batches: Batches | None = None  # of a primary
        self._stopped = asyncio.Event()
        self.leading = asyncio.Event()
        self._timekeeper: Timekeeper | None = None

    # --- its life --------------------------------------------------------------------------------

    @property
    def core(self) -> Primary | ReplicaSubscriber:
        return self.primary or self.subscriber

    @property
    def leader(self) -> NodeConfig | None:
        """Return the primary, as far as this node knows."""
        return self.me if self.primary else self._client.leader

    def start(self) -> None:
        self._tasks.spawn(self._disk.run())
        self._tasks.spawn(self._live())

    async def stop(self) -> None:
        """Leave in order: hand over (T5), or give the lease back (L3)."""
        if self.primary is not None and not self._stopped.is_set():
            self._perform(self.primary.retire(self.clock()))
            self._queue.refuse_all("the primary hands over")
            await self._stopped.wait()
        else:
            self._client.release()
        self._stopped.set()
        await self._tasks.close()
        self._feeds.close_all()
        self._queue.refuse_all("the node stops")
        self._arbiter.release()

    async def _live(self) -> None:
        following = asyncio.create_task(self._client.run())
        seeks_since: float | None = self.clock()
        long_s = LONG_LEASES * self.settings.lease_s
        try:
            while not self.candidate.may_lead(self.subscriber.last):
                if following.done():
                    following.result()  # raises what has ended it
                self.store.check()
                if self._client.leader is not None:
                    seeks_since = self.clock()
                elif seeks_since is not None and self.clock() - seeks_since > long_s:
                    log.warning(
                        "%s has sought a primary for %.0f s: %s",
                        *(self.me.name, self.clock() - seeks_since, self.candidate.waits_for()),
                    )
                    seeks_since = None  # it is said once, until there has been one again
                await asyncio.sleep(self.settings.lease_s / POLLS_PER_LEASE)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        # What a follower's feed has left is on disk before a node leads from it; and T1.
        async with within(PROBE_LEASES * self.settings.lease_s):
            await self._disk.join()
            await self.store.probe()
        if self._arbiter.read() is None:
            await self._founding()
        if not self.subscriber.followed:
            await self._knocking.must_be_alone(founding=self.candidate.membership() is None)
        if not self.candidate.may_lead(self.subscriber.last):
            # Its lock was deleted meanwhile, and another has led (T1).
            raise FatalError(f"{self.me.name} has lost its lock before it could lead")
        self._lead()

    def _lead(self) -> None:
        follower = self.subscriber
        primary, effects = Primary.take_over(
            *(self._member, self.candidate.membership(), follower.committed, follower.pending),
            *(self.clock(), follower.timing),
            known=follower.epoch,
            epoch_id=self._run,  # a process leads once at the most, and draws this when it starts
            restarted=not follower.followed,
            arbiter=self._knocking.home,
        )
        self.primary = primary
        self._timekeeper = Timekeeper(
            primary, self.store, self.clock, self.settings.lease_s, self._perform
        )
        log.info("%s is primary in epoch %d", self.me.name, primary.epoch)
        self.leading.set()
        self._perform(effects)
        self._tasks.spawn(self._timekeeper.run())
        self._batches = Batches(
            *(primary, self.store, self._queue, self.settings.batch_rows, self.clock),
            perform=self._perform,
            check=self._arbiter.check,
            needed=lambda: self._feeds.needed(primary.feeds),
        )
        self._tasks.spawn(self._batches.run())
        look_s = LOOK_LEASES * self.settings.lease_s
        self._tasks.spawn(self._knocking.look_for_others(primary, self._perform, look_s))
        if primary.tail == GENESIS:
            # T0; also for a founder that died before its stock was committed.
            for operation in self.store.seed():
                self._queue.add(operation)

    # --- other arbiters (A3) ---------------------------------------------------------------------

    def refuse_other(self, arbiter: str | None) -> None:
        """Refuse callers that follow this group under another arbiter (A2). Raises Unavailable."""
        if arbiter not in (None, self._knocking.home.digest):
            raise Unavailable(f"{self.me.name}: belongs to another cluster than its caller")

    def knocked(self, plain: Answer) -> Answer:
        """Answer a node that asks under which arbiter this one is. Raises BadRequest."""
        try:
            theirs = Knock.load(plain)
        except (KeyError, TypeError) as error:
            raise BadRequest(f"no such knock: {str(plain)[:100]}") from error
        if self.primary is not None:
            self._perform(self.primary.meet(theirs))
        knock = Knock(self.me.name, self._knocking.home, None)
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
        ticket = self._queue.add(operation, tracing)
        return await self._queue.answer(ticket, timeout_s)

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
            hint = self.leader.name if self.leader else None
            answer = NotPrimary(self.subscriber.epoch, hint, self._knocking.home)
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
                case ReadLog():
                    self._tasks.spawn(self._read_log(effect))
                case SendSnapshot(feed):
                    self._feeds.begin_snapshot(feed, self.core.committed.seq)
                    self._tasks.spawn(self._feeds.send_snapshot(feed))
                case Alert(reason):
                    log.critical("%s", reason)
                case Stop(reason, clean):
                    if clean:
                        self._stopped.set()
                    else:
                        self._tasks.fail(FatalError(f"{self.me.name}: {reason}"))
                case _:
                    self._carry_out(effect)
        self._queue.wake.set()
        if self._timekeeper is not None:
            self._timekeeper.look()

    def _still_leads(self) -> bool:
        assert self.primary is not None
        asked_at = self.clock()
        try:
            self._arbiter.check(self.primary.epoch)
        except FatalError as error:
            self._tasks.fail(error)
            return False
        self.primary.confirmed(asked_at)
        return True

    def _carry_out(self, effect: Effect) -> None:
        """Pass on what both sides ask of the disk: it goes through one worker, in order."""
        if isinstance(effect, Stop):
            self._tasks.fail(FatalError(effect.reason))
            return
        self._disk.put(effect)

    async def _write_out(self, effect: Effect) -> None:
        match effect:
            case Persist(after, entries):
                await self.store.persist(after, entries)
            case Apply(mark):
                if self.primary is not None:
                    self._arbiter.check(self.primary.epoch)
                await self.store.apply(mark)
                self._on_commit(self.core.pending[: mark.seq - self.core.committed.seq])
            case Install(chunk):
                await self.store.install(chunk)
                if chunk.final:
                    await self._on_install()
            case Record(membership):
                await self.store.sync()  # or the last member may be one without a file or disk (T4)
                await self._arbiter.record(membership)
                assert self.primary is not None
                self._perform(self.primary.recorded(self.clock()))
                return
            case _:
                raise FatalError(f"no way to carry out {effect}")
        self._report(effect)

    def _report(self, effect: Persist | Apply | Install) -> None:
        if self.primary is None:
            self._client.perform(self.subscriber.stored(effect, self.clock()))
        elif not isinstance(effect, Install):
            effects = self.primary.stored(effect, self.clock())
            if isinstance(effect, Apply) and self._batches is not None:
                self._batches.answer()
            self._perform(effects)
        if not isinstance(effect, Persist):
            self.reads.committed()

    async def _read_log(self, effect: ReadLog) -> None:
        async with within():
            page = await self.store.read_log(effect.after_seq)
        if self.primary is not None:
            self._perform(self.primary.log_read(effect.feed, page, self.clock()))

    # --- looking at it ---------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return what an operator wants to know, as JSON."""
        shown: dict[str, Any] = {
            "node": self.me.name,
            "group": self.me.role,
            "store": self.store.store_id,
            "primary": self.leader.name if self.leader else None,
            **telling.standing(self.core, self.clock()),
        }
        if self.primary is not None:
            shown["queue"] = len(self._queue)
        elif self.leader is None:
            shown["waits_for"] = self.candidate.waits_for()
        return shown
