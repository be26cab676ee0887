"""The driver of one replica: runs the effects of the production core over a model disk and network.

A follower runs a `ReplicaSubscriber` and tries for the lock; who gets it waits until the disk is
quiet, reads the membership, and leads with a `Primary` until its process ends.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from math import inf
from typing import Any, NamedTuple

from bazar.errors import Unavailable
from bazar.replication.effects import (
    Apply,
    Confirm,
    Effect,
    Install,
    Persist,
    ReadLog,
    Record,
    SendSnapshot,
    Stop,
)
from bazar.replication.messages import (
    Change,
    Entry,
    Hello,
    Mark,
    Member,
    Message,
    NotPrimary,
    Snapshot,
)
from bazar.replication.primary import Primary
from bazar.replication.subscriber import ReplicaSubscriber
from tests.simulation.disk import Image, State
from tests.simulation.invariants import (
    check_excuse,
    check_hand_over,
    check_memory,
    check_office,
)
from tests.simulation.shop import Answer, Op, execute, row, sales_after, search, stocked
from tests.simulation.subscribing import SubscribingProcess
from tests.simulation.world import (
    REFUSED,
    Connection,
    Group,
    Node,
    Reply,
    Violation,
    World,
)

QUEUE_TIMEOUT_S = 1.2
READ_TIMEOUT_S = 0.8
TERM_TIMEOUT_S = 3.0


class Waiting(NamedTuple):
    """A write in the queue."""

    op: Op
    reply: Reply
    until: float


class Execute(NamedTuple):
    """The writer's job that is not an effect: run a batch in an open transaction."""


Job = Persist | Apply | Install | Execute


class Replica(SubscribingProcess):
    """One run of a catalog or order node."""

    subscriber: ReplicaSubscriber

    def __init__(self, world: World, node: Node) -> None:
        super().__init__(world, node)
        assert node.disk is not None
        self.disk = node.disk
        self.group: Group = node.group
        self.arbiter = self.group.arbiter
        self.truth = self.group.truth
        image = self.disk.image
        self.me = Member(node.name, self.disk.store)
        epoch = image.log[-1].epoch if image.log else 0
        self.subscriber = ReplicaSubscriber(
            node.name, self.disk.store, self.run, epoch, self.timing, image.committed, image.pending
        )
        self.primary: Primary | None = None
        self.locked = False  # it holds the lock, and leads as soon as its disk is quiet
        self.terminating = False
        self.jobs: deque[Job] = deque()
        self.queue: list[Waiting] = []
        self.answers: list[tuple[Reply, Answer, int]] = []
        self.transaction: tuple[Entry, ...] = ()
        self.durable_job = False  # the first job is on disk, only its report is to come
        self.staged: State = {}
        self.parked: list[tuple[int, float, Reply, Any]] = []  # reads that wait for an entry
        self.following_sales = False
        self._excused_at = 0.0
        self._lock_at = 0.0
        self._last_lease = inf
        world.after(0.01 + 0.1 * world.random(), self, self.tick)
        self.find_primary()

    # --- time ------------------------------------------------------------------------------------

    def tick(self) -> None:
        world = self.world
        world.after(world.profile.tick_s * (1.0 + world.random()), self, self.tick)
        now = self.now()
        if self.primary is not None:
            self.perform(self.primary.tick(now))
            self._last_lease = check_hand_over(self.primary, self._last_lease)
            if self.alive and self.truth.sales is not None:
                self._follow_sales()
        elif not self.locked:
            self.tick_subscriber()
            if self.alive and now >= self._lock_at and not self.terminating:
                self._try_lock()
        if self.parked:
            self._unpark()
        if self.queue and self.queue[0].until < now:
            for waiting in [waiting for waiting in self.queue if waiting.until < now]:
                self.queue.remove(waiting)
                waiting.reply(REFUSED, "queued for too long")
        self.pump()

    # --- leading ---------------------------------------------------------------------------------

    def follows(self) -> bool:
        return not self.locked and not self.terminating

    def _try_lock(self) -> None:
        self._lock_at = self.now() + 0.3 * self.world.random()
        if self.disk.hangs or not self.arbiter.try_lock(self):
            return
        membership = self.arbiter.membership
        if (membership is not None and self.me not in membership.members) or (
            membership is None and self.disk.image.log
        ):
            self.arbiter.unlock(self)  # T1
            self._lock_at = self.now() + 0.2 + 0.3 * self.world.random()
            return
        self.locked = True
        self.end_feed()
        self._lead()

    def _lead(self) -> None:
        """The lock is ours: lead, as soon as all that was under way is on disk."""
        if self.jobs or self.primary is not None or self.terminating:
            return
        image, follower = self.disk.image, self.subscriber
        self.say(f"leads from {image.committed} +{len(image.pending)}")
        check_memory(follower, image)
        self.world.takeovers += 1
        now, membership = self.now(), self.arbiter.membership
        if membership is not None:
            # A disk that lost fsynced commits leads, and T2's wait for the others is in vain.
            alone = membership.members == {self.me}
            wait_s = 0.0 if alone else self.timing.surely_over_s(membership.lease_s)
            self._excused_at = now + wait_s
        self.primary, effects = Primary.take_over(
            self.me,
            membership,
            follower.committed,
            follower.pending,
            now,
            self.timing,
            restarted=not follower.followed,
        )
        self.perform(effects)

    def received(self, connection: Connection, message: Message) -> None:
        if connection is self.feed:
            super().received(connection, message)
        elif self.primary is not None:
            self.perform(self.primary.receive(connection.id, message, self.now()))
        elif isinstance(message, Hello):
            hint = self.feed.other(self).name if self.feed is not None else None
            connection.send(self, NotPrimary(self.subscriber.epoch, hint))
            connection.end(self)
        self.pump()

    def lost(self, connection: Connection) -> None:
        if self.primary is not None:
            self.perform(self.primary.disconnected(connection.id, self.now()))
        else:
            super().lost(connection)
        self.pump()

    def terminate(self) -> None:
        if self.terminating:
            return
        self.say("SIGTERM")
        self.terminating = True
        self.world.after(TERM_TIMEOUT_S, self, self.die, "killed: it did not stop in time")
        for waiting in self.queue:
            waiting.reply(REFUSED, "stopping")
        self.queue.clear()
        if self.primary is not None:
            self.perform(self.primary.retire(self.now()))
        else:
            self.perform(self.subscriber.release())
            self.world.after(self.world.profile.linger_s, self, self.die, "stopped")

    def pump(self) -> None:
        """Begin a batch if one waits and the primary is at a boundary."""
        primary = self.primary
        if primary is None or not self.alive:
            return
        seeds = self.disk.image.committed.seq == 0 and self.truth.sales is None
        if (self.queue or seeds) and primary.begin(self.now()):
            self._write(Execute())

    def _execute(self) -> None:
        """R1: the batch in one uncommitted transaction, each operation after those before it."""
        primary = self.primary
        assert primary is not None
        batch = self.queue[: self.world.profile.batch_size]
        del self.queue[: len(batch)]
        state = dict(self.disk.image.state)
        changes: list[Change] = []
        answers: list[tuple[Reply, Answer, int]] = []
        if primary.committed.seq == 0 and self.truth.sales is None:
            stock = stocked(self.world.profile.books, self.truth.stock)
            changes.append(stock)
            state.update(stock.effects)
        for op, reply, _ in batch:
            answer, change = execute(state, op, primary.tail.seq + len(changes) + 1)
            if change is not None:
                changes.append(change)
                state.update(change.effects)
            answers.append((reply, answer, primary.tail.seq + len(changes)))
        if self.disk.full and changes:
            for reply, _, _ in answers:
                reply(REFUSED, "disk full")  # R4: nobody has heard of it
            self.perform(primary.abort(self.now()))
        elif not changes:
            self._answer(answers)
            self.perform(primary.abort(self.now()))
        else:
            self.answers = answers
            self.transaction = primary.extend(changes)
            if self.world.trace is not None:
                self.say(f"executes {[(entry.seq, entry.keys) for entry in self.transaction]}")
            self.perform(primary.propose(self.transaction, self.now()))
        self.pump()

    def _answer(self, answers: list[tuple[Reply, Answer, int]]) -> None:
        for reply, (status, value), seq in answers:
            self.truth.acknowledged(seq)
            self.world.acknowledged += 1
            reply(status, value)

    def perform(self, effects: list[Effect]) -> None:
        if self.disk.lost_seq and self.primary is not None and self.now() >= self._excused_at:
            check_excuse(self.primary, self.disk.image)
        if effects:
            super().perform(effects)

    # --- the writer ------------------------------------------------------------------------------

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case Persist() | Apply() | Install():
                self._write(effect)
            case Record(membership):
                self.arbiter.record(self, membership, self._recorded)
            case Confirm():
                assert self.primary is not None
                self.primary.confirmed(self.now())
            case ReadLog(feed, after_seq):
                self.world.after(
                    self.world.profile.disk_delay(False), self, self._read_log, feed, after_seq
                )
            case SendSnapshot(feed):
                self._send_snapshot(feed)
            case Stop(reason):
                self.die(reason)
            case _:
                raise Violation(f"{effect!r} is not for a replica")

    def _write(self, job: Job) -> None:
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._start_job()

    def _start_job(self) -> None:
        if self.disk.hangs:
            return
        job = self.jobs[0]
        delay_s = self.world.profile.disk_delay(self.disk.slow)
        if isinstance(job, Execute):
            self.world.after(delay_s, self, self._executed)
        else:
            # An fsync under way goes on while its process is stopped.
            self.world.after(delay_s, None, self._finish_job, job)

    def _executed(self) -> None:
        self.jobs.popleft()
        self._execute()
        if self.alive and self.jobs and len(self.jobs) > 1:
            raise Violation(f"{self.name}: {list(self.jobs)} in an open transaction")

    def _finish_job(self, job: Persist | Apply | Install) -> None:
        if not self.alive:
            return
        if self.disk.full and not (isinstance(job, Install) and not job.chunk.final):
            self.die(f"no space left on device: {type(job).__name__}")
            return
        self._make_durable(job)
        self.durable_job = True
        self.world.after(self.world.profile.report_delay(), self, self._stored, job)

    def _make_durable(self, job: Persist | Apply | Install) -> None:
        image = self.disk.image
        match job:
            case Persist():
                self.disk.write(image.persisted(job))
            case Apply(mark):
                transaction, self.transaction = self.transaction, ()
                before = image.pending
                if transaction:
                    image = image._replace(log=image.log + transaction)
                self.disk.write(image.applied(mark, self.disk.keep))
                if self.primary is not None:
                    self._check_commit(before + transaction)
                else:
                    self.truth.on_log(self.disk.image, self.name)
            case Install(chunk):
                self._install(chunk)
        self.truth.check_member(self.disk, self.name)

    def _check_commit(self, entries: tuple[Entry, ...]) -> None:
        assert self.primary is not None
        check_office(self, self.primary, self.arbiter)
        self.truth.committed(self.primary, self.run, self.disk.image, entries)

    def _install(self, chunk: Snapshot) -> None:
        if chunk.first:
            self.staged = {}
        self.staged.update(chunk.rows)
        if chunk.final:
            self.disk.write(Image(chunk.mark, (), chunk.mark, self.staged))
            self.truth.on_log(self.disk.image, self.name)

    def _stored(self, job: Persist | Apply | Install) -> None:
        self.jobs.popleft()
        self.durable_job = False
        if self.jobs:
            self._start_job()
        if self.primary is not None:
            assert not isinstance(job, Install)
            answers: list[tuple[Reply, Answer, int]] = []
            if isinstance(job, Apply):
                answers, self.answers = self.answers, []
            self.perform(self.primary.stored(job, self.now()))
            self._answer(answers)
        else:
            self.perform(self.subscriber.stored(job, self.now()))
            if not self.jobs:
                check_memory(self.subscriber, self.disk.image)
            if self.locked and self.alive:
                self._lead()
        self._unpark()
        self.pump()

    def die(self, why: str) -> None:
        if self.alive and self.jobs and not self.durable_job:
            job = self.jobs[0]
            # What was under way may have become durable; what is behind it has not begun.
            if (
                not isinstance(job, Execute)
                and not self.disk.full
                and self.world.profile.chance(0.5)
            ):
                self._make_durable(job)
        super().die(why)

    def _recorded(self) -> None:
        self.truth.check_members()
        assert self.primary is not None
        self.perform(self.primary.recorded(self.now()))
        self.pump()

    # --- the log for others ----------------------------------------------------------------------

    def _read_log(self, feed: int, after_seq: int) -> None:
        page = self.disk.image.page(after_seq, self.world.profile.page_size())
        self.world.after(self.world.profile.delay(), self, self._log_read, feed, page)

    def _log_read(self, feed: int, page: Any) -> None:
        assert self.primary is not None
        self.perform(self.primary.log_read(feed, page, self.now()))
        self.pump()

    def _send_snapshot(self, feed: int) -> None:
        image = self.disk.image  # one consistent point, whatever is written meanwhile
        chunks = image.chunks(self.world.profile.chunk_size())
        self._send_chunk(feed, image.committed, chunks, 0)

    def _send_chunk(self, feed: int, mark: Mark, chunks: list[Any], number: int) -> None:
        connection = self.connections.get(feed)
        if connection is None:
            return
        final = number == len(chunks) - 1
        connection.send(self, Snapshot(mark, chunks[number], number == 0, final))
        if not final:
            self.world.after(
                self.world.profile.disk_delay(self.disk.slow),
                self,
                self._send_chunk,
                *(feed, mark, chunks, number + 1),
            )

    # --- requests --------------------------------------------------------------------------------

    def write(self, op: Op, hops: int, reply: Reply) -> None:
        """R7: take it, or pass it on, one hop at the most."""
        if self.terminating:
            reply(REFUSED, "stopping")
        elif self.primary is not None:
            self.queue.append(Waiting(op, reply, self.now() + QUEUE_TIMEOUT_S))
            self.pump()
        elif self.feed is not None and self.subscriber.welcomed and hops == 0:
            primary = self.feed.other(self).node
            self.world.call(self, primary, "write", (op, 1), reply)
        else:
            reply(REFUSED, "no primary")

    def read(self, question: tuple[Any, ...], reply: Reply) -> None:
        """L2, L4: `question` is ("row", key, tag) or ("search", topic)."""
        source = self.primary or self.subscriber
        tags = None if question[0] == "search" else frozenset({question[2]})
        try:
            seq = source.read(tags, self.now())
        except Unavailable as refusal:
            reply(REFUSED, str(refusal))
            return
        if seq > self.disk.image.committed.seq:
            self.parked.append((seq, self.now() + READ_TIMEOUT_S, reply, question))
        else:
            # The rows are read a moment later, by another connection to the file.
            delay_s = self.world.profile.read_delay()
            self.world.after(delay_s, self, self._answer_read, question, reply)

    def _unpark(self) -> None:
        if not self.parked or not self.alive:
            return
        now, committed = self.now(), self.disk.image.committed.seq
        parked, self.parked = self.parked, []
        for waiting in parked:
            seq, until, reply, question = waiting
            if committed >= seq:
                self._answer_read(question, reply)
            elif now >= until:
                reply(REFUSED, f"entry {seq} is still pending")
            else:
                self.parked.append(waiting)

    def _answer_read(self, question: tuple[Any, ...], reply: Reply) -> None:
        state = self.disk.image.state
        if question[0] == "row":
            reply(200, state.get(question[1]))
        else:
            reply(200, search(state, question[1], self.world.profile.books))

    # --- orders (S2) -----------------------------------------------------------------------------

    def sales(self, cursor: int, reply: Reply) -> None:
        """The committed sales behind a cursor, for the order group."""
        reply(200, sales_after(self.disk.image.state, cursor, 4))

    def _follow_sales(self) -> None:
        if self.following_sales or self.terminating or self.queue:
            return
        self.following_sales = True
        cursor = self.disk.image.state.get("cursor", 0)
        catalogs = self.world.groups[0].replicas
        source = catalogs[self.world.below(len(catalogs))]
        self.world.call(self, source, "sales", (cursor,), partial(self._sales_found, cursor))
        self.world.after(0.4, self, self._sales_missed)

    def _sales_missed(self) -> None:
        self.following_sales = False

    def _sales_found(self, cursor: int, status: int, sales: Any) -> None:
        self.following_sales = False
        if status == 200 and sales and self.primary is not None and not self.terminating:
            op = Op("project", "", sales=tuple(tuple(sale) for sale in sales), after=cursor)
            self.queue.append(Waiting(op, lambda status, value: None, self.now() + 1.0))
            self.pump()


def question_for(book: int) -> tuple[str, str, str]:
    return ("row", row(book), f"info_{book}")
