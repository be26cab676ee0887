"""One replica of a group on its own disk: follows its primary, or is it. Everything that touches
the disk runs in one worker, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bazar.errors import (
    FatalError,
)
from bazar.replication.arbiter import Arbiter
from bazar.replication.batches import Batches
from bazar.replication.candidate import Candidate
from bazar.replication.disk import DiskWorker, within
from bazar.replication.effects import (
    Apply,
    Effect,
    Install,
    Persist,
    ReadLog,
    Record,
    SendSnapshot,
    Stop,
)
from bazar.replication.knocking import Knocking
from bazar.replication.messages import (
    GENESIS,
    Member,
)
from bazar.replication.part import Part, Wiring
from bazar.replication.primary import Primary
from bazar.replication.replica_subscriber import ReplicaSubscriber
from bazar.replication.store import Store
from bazar.replication.timekeeper import Timekeeper
from bazar.replication.timing import Timing

log = logging.getLogger(__name__)

POLLS_PER_LEASE = 20  # how often a node without a primary looks whether the lock is free
CHECKS_PER_LEASE = 4  # how often one that has a primary does (R8: within a third of a lease)
LONG_LEASES = 10  # that a group is without a primary only if something is wrong
PROBE_LEASES = 2  # in which a disk must take its first write, while others could lead
LOOK_LEASES = 3  # how often a primary looks for others


class Replica(Part):
    """One replica of a group, with its log and its state. `founding` raises where no group may
    begin (T0)."""

    subscriber: ReplicaSubscriber

    def __init__(
        self,
        wiring: Wiring,
        store: Store,
        arbiter: Arbiter,
        *,
        founding: Callable[[], Awaitable[None]],
    ) -> None:
        me, settings = wiring.me, wiring.settings
        self.store = store
        self._run = wiring.run
        self._founding = founding
        self._member = Member(me.name, store.store_id)
        self._arbiter = arbiter
        self._knocking = Knocking(me.name, arbiter.id, wiring.peers, wiring.knock)
        self.disk = DiskWorker(self._write_out)
        peers = [peer.name for peer in wiring.peers]
        self.candidate = Candidate(self._member, me.role, peers, arbiter)
        subscriber = ReplicaSubscriber(
            *(me.name, store.store_id, wiring.run, store.epoch, store.epoch_id),
            Timing(settings.lease_s, settings.ack_timeout_s),
            *(store.committed, store.pending, self._knocking.home),
        )
        super().__init__(
            *(wiring, subscriber, self._knocking.home),
            settling=self.disk.settling,
            seeded=bool(store.seed()),
        )

    # --- its life --------------------------------------------------------------------------------

    async def start(self) -> None:
        await self._on_install()
        self._tasks.spawn(self.disk.run())
        self._tasks.spawn(self._live())

    async def stop(self) -> None:
        """Leave in order: hand over (T5), or give the lease back (L3)."""
        if self.primary is not None and not self._stopped.is_set():
            self._perform(self.primary.retire(self.clock()))
            self.queue.refuse_all("the primary hands over")
            await self._stopped.wait()
        else:
            self._client.release()
        self._stopped.set()
        await self._tasks.close()
        self._feeds.close_all()
        self.queue.refuse_all("the node stops")
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
                if self._client.leader is not None:
                    await self._client.follows(self.settings.lease_s / CHECKS_PER_LEASE)
                else:
                    await asyncio.sleep(self.settings.lease_s / POLLS_PER_LEASE)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        # What a follower's feed has left is on disk before a node leads from it; and T1.
        async with within(PROBE_LEASES * self.settings.lease_s):
            await self.disk.join()
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
            primary, self.store.check, self.clock, self.settings.lease_s, self._perform
        )
        log.info("%s is primary in epoch %d", self.me.name, primary.epoch)
        self.leading.set()
        self._perform(effects)
        self._tasks.spawn(self._timekeeper.run())
        self._batches = Batches(
            *(primary, self.store, self.queue, self.settings.batch_rows, self.clock),
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
                self.queue.add(operation)

    # --- carrying effects out --------------------------------------------------------------------

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
        """Have the disk's worker do what touches the disk, in order."""
        match effect:
            case Stop(reason):
                self._tasks.fail(FatalError(reason))
            case ReadLog():
                self._tasks.spawn(self._read_log(effect))
            case SendSnapshot(feed):
                self._feeds.begin_snapshot(feed, self.core.committed.seq)
                self._tasks.spawn(self._feeds.send_snapshot(feed, self.store.snapshot()))
            case _:
                self.disk.put(effect)

    async def _write_out(self, effect: Effect) -> None:
        match effect:
            case Persist(after, entries):
                await self.store.persist(after, entries)
            case Apply(mark):
                if self.primary is not None:
                    self._arbiter.check(self.primary.epoch)
                await self.store.apply(mark, synced=self.primary is not None)
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

    def _waits_for(self) -> str:
        return self.candidate.waits_for()
