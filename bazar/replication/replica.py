"""One replica of a group: follows its primary, or is it. Carries the protocol's effects out.

Reads pass `read_barrier` first and then look at the store; writes go through `write`. Everything
that touches the disk runs in one worker, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from math import inf
from typing import Any

from bazar.background_tasks import Tasks
from bazar.config import NodeConfig, ReplicationConfig
from bazar.errors import (
    BadRequest,
    Fatal,
    NeedsRepair,
    OtherVersion,
    ProtocolError,
    Unavailable,
)
from bazar.replication import telling, trace
from bazar.replication.arbiter import Arbiter, Knock
from bazar.replication.batches import Batches
from bazar.replication.disk import DISK_S, within
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
from bazar.replication.feed_client import TICKS_PER_LEASE, FeedClient
from bazar.replication.knocking import Ask, Knocking
from bazar.replication.messages import (
    GENESIS,
    Ack,
    Entry,
    Hello,
    Member,
    Membership,
    NotPrimary,
    decode,
    encode,
)
from bazar.replication.primary import Primary
from bazar.replication.replica_subscriber import ReplicaSubscriber
from bazar.replication.store import Answer, Operation, Store
from bazar.replication.timing import RENEWALS_PER_LEASE, Timing
from bazar.replication.write_queue import WriteQueue
from bazar.rpc.frames import Connection

log = logging.getLogger(__name__)

POLLS_PER_LEASE = 20  # how often a follower looks whether the primary's lock is free
MAX_FEEDS = 1024
MAX_DISK_QUEUE = 64
LONG_LEASES = 10
PROBE_LEASES = 2  # in which a disk must take its first write, while others could lead
SNAPSHOT_S = 120.0
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
            me.name,
            store.store_id,
            run,
            store.epoch,
            store.epoch_id,
            Timing(settings.lease_s, settings.ack_timeout_s),
            store.committed,
            store.pending,
            self._knocking.home,
        )
        self.primary: Primary | None = None
        self._seeded = bool(store.seed())
        self._forward = forward
        self._founding = founding
        self._on_commit = on_commit
        self._on_install = on_install
        self._client = FeedClient(
            self.subscriber, peers, token, clock, self._carry_out, self._disk_settling
        )
        self._feeds: dict[int, Connection] = {}
        self._next_feed = 0
        self._refused = ""  # the last hello of another version
        self._disk: asyncio.Queue[Effect] = asyncio.Queue()
        self._tasks = Tasks(on_fatal)
        self._queue = WriteQueue(settings.queue_ops)
        self._run = run
        self._batches: Batches | None = None  # of a primary
        self._snapshots: dict[int, int] = {}  # feed -> the entry whose state it is sent, at least
        self._committed = asyncio.Event()  # replaced at every commit
        self._stopped = asyncio.Event()
        self.leading = asyncio.Event()
        self._due = inf  # when the primary's clock is looked at again
        self._sooner = asyncio.Event()

    # --- its life --------------------------------------------------------------------------------

    @property
    def _long_s(self) -> float:
        """How long a group is without a primary only if something is wrong."""
        return LONG_LEASES * self.settings.lease_s

    @property
    def core(self) -> Primary | ReplicaSubscriber:
        return self.primary or self.subscriber

    @property
    def leader(self) -> NodeConfig | None:
        """Who is primary, as far as this node knows."""
        return self.me if self.primary else self._client.leader

    def start(self) -> None:
        self._tasks.spawn(self._disk_worker())
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
        for connection in list(self._feeds.values()):
            connection.close()
        self._queue.refuse_all("the node stops")
        self._arbiter.release()

    def hopeless(self) -> str | None:
        """Why no replica of this group can ever lead as it stands; None if one may."""
        recorded = self._arbiter.look()
        return telling.hopeless(self._member, self.me.role, self._client.peers, recorded)

    def _waits_for(self) -> str:
        """What has to come before this node can follow or lead, in words."""
        holder = self._arbiter.holder()
        held = "nobody holds" if holder is None else f"process {holder} holds"
        return self.hopeless() or f"{held} the lock of {self.me.role}, and no peer says it leads"

    async def _live(self) -> None:
        following = asyncio.create_task(self._client.run())
        seeks_since: float | None = self.clock()
        try:
            while not self._may_lead():
                if following.done():
                    following.result()  # raises what has ended it
                self.store.check()
                if self._client.leader is not None:
                    seeks_since = self.clock()
                elif seeks_since is not None and self.clock() - seeks_since > self._long_s:
                    log.warning(
                        "%s has sought a primary for %.0f s: %s",
                        *(self.me.name, self.clock() - seeks_since, self._waits_for()),
                    )
                    seeks_since = None  # it is said once, until there has been one again
                await asyncio.sleep(self.settings.lease_s / POLLS_PER_LEASE)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        # What a follower's feed has left is on disk before anybody leads from it; and T1.
        async with within(PROBE_LEASES * self.settings.lease_s):
            await self._disk.join()
            await self.store.probe()
        if self._arbiter.read() is None:
            await self._founding()
        if not self.subscriber.followed:
            await self._knocking.must_be_alone(founding=self._membership() is None)
        if not self._may_lead():  # its lock was deleted meanwhile, and another has led (T1)
            raise Fatal(f"{self.me.name} has lost its lock before it could lead")
        self._lead()

    def _may_lead(self) -> bool:
        """Get the lock, and keep it where it is ours by right (T0, T1)."""
        if not self._arbiter.try_acquire():
            return False
        # Only now: what the file said before, its holder may have changed before it died.
        membership = self._membership()
        if membership is None and self.subscriber.last != GENESIS:
            raise NeedsRepair(
                f"{self.me.name} has a log, but its group's membership is missing: put"
                f" {self.me.role}.members back, or stop the shop and make it anew: python -m bazar"
                f" rebuild {self.me.role}"
            )
        if membership is None or self._member in membership.members:
            return True
        self._arbiter.release()
        return False

    def _membership(self) -> Membership | None:
        """What is recorded; None of a group that is yet to begin, and may have been told to."""
        membership = self._arbiter.read()
        return membership if membership is not None and membership.members else None

    def _lead(self) -> None:
        membership = self._membership()
        self.primary, effects = Primary.take_over(
            self._member,
            membership,
            self.subscriber.committed,
            self.subscriber.pending,
            self.clock(),
            self.subscriber.timing,
            known=self.subscriber.epoch,
            epoch_id=self._run,  # a process leads once at the most, and draws this when it starts
            restarted=not self.subscriber.followed,
            arbiter=self._knocking.home,
        )
        log.info("%s is primary in epoch %d", self.me.name, self.primary.epoch)
        self.leading.set()
        self._perform(effects)
        self._tasks.spawn(self._keep_time())
        self._batches = Batches(
            *(self.primary, self.store, self._queue, self.settings.batch_rows, self.clock),
            perform=self._perform,
            check=self._arbiter.check,
            needed=self._needed,
        )
        self._tasks.spawn(self._batches.run())
        self._tasks.spawn(self._look_for_others())
        if self.primary.tail == GENESIS:
            # T0; also for a founder that died before its stock was committed.
            for operation in self.store.seed():
                self._queue.add(operation)

    async def _keep_time(self) -> None:
        """Let time pass for the primary: when something is due, and often enough for L5."""
        assert self.primary is not None
        lease_s = self.settings.lease_s
        while True:
            now = self.clock()
            self.store.check()
            self._perform(self.primary.tick(now))
            self._due = min(self.primary.due(now), now + lease_s / RENEWALS_PER_LEASE)
            self._sooner.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(self._due - now, lease_s / TICKS_PER_LEASE)):
                    await self._sooner.wait()

    # --- other arbiters (A3) ---------------------------------------------------------------------

    def refuse_other(self, arbiter: str | None) -> None:
        """Raises Unavailable for whoever follows this group under another arbiter (A2)."""
        if arbiter not in (None, self._knocking.home.digest):
            raise Unavailable(f"{self.me.name}: belongs to another cluster than its caller")

    def knocked(self, plain: Answer) -> Answer:
        """Somebody asks under which arbiter this node is. Raises BadRequest."""
        try:
            theirs = Knock.load(plain)
        except (KeyError, TypeError) as error:
            raise BadRequest(f"no such knock: {str(plain)[:100]}") from error
        if self.primary is not None:
            self._perform(self.primary.meet(theirs))
        knock = Knock(self.me.name, self._knocking.home, None)
        return (knock if self.primary is None else self.primary.knock()).plain()

    async def _look_for_others(self) -> None:
        assert self.primary is not None
        while True:
            here = {feed.hello.node for feed in self.primary.feeds.values()}
            others = [peer for peer in self._knocking.peers if peer.name not in here]
            for theirs in await self._knocking.at(others, self.primary.knock()):
                self._perform(self.primary.meet(theirs))
            await asyncio.sleep(LOOK_LEASES * self.settings.lease_s)

    # --- reading ---------------------------------------------------------------------------------

    async def read_barrier(self, tags: frozenset[str] | None) -> None:
        """Return once the store may be read about `tags` (None: about anything). Raises
        Unavailable where it may not (L2, L4)."""
        seq = self.read_index(tags)
        if not await self.wait_applied(seq, self.settings.lease_s):
            raise Unavailable(f"{self.me.name}: entry {seq} is still pending")

    def read_index(self, tags: frozenset[str] | None) -> int:
        """The entry that a read of `tags` must wait for now, 0 for none. Raises Unavailable."""
        seq = self.core.read(tags, self.clock())
        if self._seeded and self.core.committed == GENESIS:
            # T0: what a group begins with is there for every reader, or nothing is yet.
            raise Unavailable(f"{self.me.name}: the first entries are not committed yet")
        return seq

    async def caught_up(self, seq: int) -> None:
        """Return once the state shows entry `seq`, or the log is known to have no such entry (H3).
        Raises Unavailable where the store may not be read, or not in time."""
        self.read_index(frozenset())
        known = self.primary.tail if self.primary else self.subscriber.last
        if seq <= known.seq and not await self.wait_applied(seq, self.settings.lease_s):
            raise Unavailable(f"{self.me.name}: entry {seq} is still pending")
        self.read_index(frozenset())  # meanwhile it may have been welcomed to another history (H4)

    async def wait_applied(self, seq: int, timeout_s: float) -> bool:
        """Wait until the state shows entry `seq`; False if it does not in time."""
        deadline = self.clock() + timeout_s
        while self.core.committed.seq < seq:
            left_s = deadline - self.clock()
            if left_s <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._committed.wait()
        return True

    # --- writing ---------------------------------------------------------------------------------

    async def write(
        self, operation: Operation, timeout_s: float, *, may_forward: bool = True
    ) -> Answer:
        """The operation's answer, once it is committed at every in-sync replica. Raises its
        refusal; Unavailable if surely nothing happened; Unknown if it may have (R5). One that has
        `tell` is traced."""
        if self.primary is None:
            leader = self._client.leader
            if leader is None or not may_forward:
                raise Unavailable(f"{self.me.name} is not primary and knows of none")
            return await self._forward(leader, operation)
        if self.primary.retiring or self._stopped.is_set():
            raise Unavailable(f"{self.me.name} hands over")
        tracing: trace.Trace | None = None
        if "tell" in operation:
            operation, tracing = trace.begin(operation, self.me.name, self.clock())
        ticket = self._queue.add(operation, tracing)
        return await self._queue.answer(ticket, timeout_s)

    # --- the primary's feeds ---------------------------------------------------------------------

    def open_feed(self, connection: Connection) -> int:
        """A subscriber has connected. Raises Unavailable beyond the bound."""
        if len(self._feeds) >= MAX_FEEDS:
            raise Unavailable(f"{self.me.name} has {MAX_FEEDS} feeds open already")
        self._next_feed += 1
        self._feeds[self._next_feed] = connection
        return self._next_feed

    def feed_message(self, feed: int, text: str | bytes) -> None:
        """A subscriber has said something."""
        try:
            message = decode(text)
        except ProtocolError as error:
            self._close_feed(feed, str(error))
            if isinstance(error, OtherVersion) and self._refused != str(error):
                self._refused = str(error)  # it comes again all the time
                log.error("%s: %s", self.me.name, error)
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
        if self._feeds.pop(feed, None) is not None and self.primary is not None:
            self._perform(self.primary.disconnected(feed, self.clock()))

    def _close_feed(self, feed: int, reason: str) -> None:
        connection = self._feeds.pop(feed, None)
        if connection is not None:
            log.debug("%s ends feed %d: %s", self.me.name, feed, reason)
            connection.close()

    # --- carrying effects out --------------------------------------------------------------------

    def _perform(self, effects: Iterable[Effect]) -> None:
        """The primary's effects, in order."""
        encoded: dict[int, bytes] = {}
        for effect in effects:
            match effect:
                case Send(feed, message):
                    # The same entries go to many: they are encoded once.
                    text = encoded.get(id(message)) or encode(message)
                    encoded[id(message)] = text
                    if feed in self._feeds:
                        self._feeds[feed].send(text)
                case Close(feed, reason):
                    self._close_feed(feed, reason)
                case Confirm():
                    if not self._still_leads():
                        return
                case ReadLog():
                    self._tasks.spawn(self._read_log(effect))
                case SendSnapshot(feed):
                    self._snapshots[feed] = self.core.committed.seq
                    self._tasks.spawn(self._send_snapshot(feed))
                case Alert(reason):
                    log.critical("%s", reason)
                case Stop(reason, clean):
                    if clean:
                        self._stopped.set()
                    else:
                        self._tasks.fail(Fatal(f"{self.me.name}: {reason}"))
                case _:
                    self._carry_out(effect)
        self._queue.wake.set()
        if self.primary is not None and self.primary.due(self.clock()) < self._due:
            self._sooner.set()

    def _still_leads(self) -> bool:
        assert self.primary is not None
        asked_at = self.clock()
        try:
            self._arbiter.check(self.primary.epoch)
        except Fatal as error:
            self._tasks.fail(error)
            return False
        self.primary.confirmed(asked_at)
        return True

    def _carry_out(self, effect: Effect) -> None:
        """What both sides ask of the disk goes through one worker, in order."""
        if isinstance(effect, Stop):
            self._tasks.fail(Fatal(effect.reason))
            return
        self._disk.put_nowait(effect)

    def _disk_settling(self) -> Awaitable[None] | None:
        """The follower reads no further while its disk is behind: TCP tells the primary."""
        return self._disk.join() if self._disk.qsize() > MAX_DISK_QUEUE else None

    async def _disk_worker(self) -> None:
        while True:
            effect = await self._disk.get()
            async with within(SNAPSHOT_S if isinstance(effect, Install) else DISK_S):
                await self._write_out(effect)
            self._disk.task_done()

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
                raise Fatal(f"no way to carry out {effect}")
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
            committed, self._committed = self._committed, asyncio.Event()
            committed.set()

    async def _read_log(self, effect: ReadLog) -> None:
        async with within():
            page = await self.store.read_log(effect.after_seq)
        if self.primary is not None:
            self._perform(self.primary.log_read(effect.feed, page, self.clock()))

    def _needed(self) -> int | None:
        """The entry behind which a replica that fills itself will ask for the log: without it a
        snapshot that takes long under load would be of no use when it is there (J3, J4)."""
        assert self.primary is not None
        feeds = self.primary.feeds
        self._snapshots = {
            feed: seq
            for feed, seq in self._snapshots.items()
            if feed in feeds and not feeds[feed].joined
        }
        return min(self._snapshots.values(), default=None)

    async def _send_snapshot(self, feed: int) -> None:
        log.info("%s sends a snapshot on feed %d", self.me.name, feed)
        async with contextlib.aclosing(self.store.snapshot()) as chunks:
            while (connection := self._feeds.get(feed)) is not None:
                async with within(SNAPSHOT_S):
                    chunk = await anext(chunks)
                connection.send(encode(chunk))
                try:
                    async with asyncio.timeout(SNAPSHOT_S):
                        if chunk.final or not await connection.drained():
                            return
                except TimeoutError:  # it would keep our log from being checkpointed for ever
                    connection.abort()
                    return

    # --- looking at it ---------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """What an operator wants to know, as JSON."""
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
            shown["waits_for"] = self._waits_for()
        return shown
