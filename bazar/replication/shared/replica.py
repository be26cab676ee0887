"""One node of a group whose state is in a database: it follows its primary, or is it, again and
again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from math import inf
from typing import Any

from bazar.background_tasks import Tasks
from bazar.errors import BazarError, ConfigError, FatalError, NotOpen, Unavailable
from bazar.replication.batches import Batches
from bazar.replication.disk import DiskWorker
from bazar.replication.effects import Apply, Drop, Effect, Record, Reset, Told
from bazar.replication.feed_client import CONNECT_TIMEOUT_S
from bazar.replication.knocking import Knocking
from bazar.replication.messages import FOLLOWER, ArbiterId, Hello, Member
from bazar.replication.part import Part, Wiring
from bazar.replication.shared.candidate import Candidate, Won
from bazar.replication.shared.database import Database, Word
from bazar.replication.shared.follower import Follower
from bazar.replication.shared.hold import LOOKS_PER_LEASE, Tempo
from bazar.replication.shared.primary import SharedPrimary
from bazar.replication.shared.shown import Shown
from bazar.replication.states import Life
from bazar.replication.store import Answer, Operation
from bazar.replication.timekeeper import Timekeeper
from bazar.replication.timing import Timing
from bazar.rpc.frames import FrameConnection

log = logging.getLogger(__name__)

RETRY_S = 0.1
HEARD_LEASES = 2  # in which subscribers look for a primary (P7)
LOOK_LEASES = 3  # how often a primary looks for others (A3)
WORDS_KEPT = 3  # beats for which a candidate's word counts (P7)


class SharedReplica(Part):
    """A node's part in a group over one database. It leads from when it has taken the beat over
    until its hold ends, or something is in doubt; then it follows again."""

    subscriber: Follower
    primary: SharedPrimary | None
    _unseeded: bool  # whether this primary has yet to write what the group begins with (T0)

    def __init__(self, wiring: Wiring, database: Database, tempo: Tempo, home: ArbiterId) -> None:
        me, settings, clock = wiring.me, wiring.settings, wiring.clock
        self._database = database
        self._register, self._store = database.register, database.store
        self._tempo = tempo
        self._grace_s = HEARD_LEASES * settings.lease_s + CONNECT_TIMEOUT_S
        self._candidate = Candidate(*(me.name, wiring.run, database, tempo, self._grace_s, clock))
        self._is_open = False  # before that it can't say in which cluster it is (A3)
        self._peers, self._knock = wiring.peers, wiring.knock
        self._tenure = Tasks(self._end)
        self._over = asyncio.Event()  # the end of this tenure
        self.disk = DiskWorker(self._write_out)
        self._heeds_from = inf
        self._values: list[str] = []  # of our last beats
        self._installing: asyncio.Task[None] | None = None
        timing = Timing(settings.lease_s, settings.ack_timeout_s, tempo.pause_s)
        super().__init__(
            *(wiring, Follower(me.name, wiring.run, timing, home), home),
            settling=lambda: None,
            seeded=bool(self._store.seed()),
        )
        self.shown = Shown(me.name, lambda: self.core, self.reads, clock, settings.lease_s)

    # --- its life --------------------------------------------------------------------------------

    async def start(self) -> None:
        self._tasks.spawn(self._live())

    async def stop(self) -> None:
        """Leave in order: hand over (T5), or give the lease back (L3)."""
        if self.primary is not None:
            self._perform(self.primary.retire(self.clock()))
            self.queue.refuse_all("the primary hands over")
            await self._over.wait()
        else:
            self._client.release()
        await self._tasks.close()
        await self._tenure.close()  # if it has ended in this very turn
        self._feeds.close_all()

    async def _live(self) -> None:
        await self._open()
        while True:
            self._lead(await self._follow())
            await self._over.wait()
            await self._tenure.close()
            self.primary = self._batches = self._timekeeper = None
            self._candidate.lost()

    async def _open(self) -> None:
        """Return once the database is there, and for us."""
        while True:
            try:
                drawn = await self._database.open()
                break
            except Unavailable as error:
                self._candidate.note(str(error))
                await asyncio.sleep(RETRY_S)
        # One shop on two databases by mistake is two clusters (A1-A3).
        home = ArbiterId(f"{self.home.digest}-{drawn}", self.home.place)
        self.home = self.subscriber.home = self.subscriber.arbiter = home
        self._knocking = Knocking(self.me.name, home, self._peers, self._knock)
        self._is_open = True

    def refuse_other(self, arbiter: str | None) -> None:
        self._must_be_open()
        super().refuse_other(arbiter)

    def knocked(self, plain: Answer) -> Answer:
        self._must_be_open()
        return super().knocked(plain)

    def open_feed(self, connection: FrameConnection) -> int:
        self._must_be_open()
        return super().open_feed(connection)

    def _must_be_open(self) -> None:
        """Raise NotOpen before it is known which database this is (A1)."""
        if not self._is_open:
            raise NotOpen(f"{self.me.name}: {self._candidate.trouble}")

    # --- a candidate (P3) ------------------------------------------------------------------------

    async def _follow(self) -> Won:
        """Follow whoever leads, until this node may."""
        following = asyncio.create_task(self._client.run())
        try:
            while (won := await self._try_to_lead()) is None:
                if following.done():
                    following.result()  # raises what has ended it
                await asyncio.sleep(self._tempo.primary_lease_s / LOOKS_PER_LEASE)
            return won
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _try_to_lead(self) -> Won | None:
        follows = self._client.leader is not None
        return await self._candidate.try_to_lead(self.subscriber.epoch, follows=follows)

    def _turn_away(self, feed: int, hello: Hello) -> None:
        self._candidate.heard(hello.node)
        super()._turn_away(feed, hello)

    # --- a primary (P1, P2) ----------------------------------------------------------------------

    def _lead(self, won: Won) -> None:
        log.info("%s is primary in epoch %d", self.me.name, won.epoch)
        me, timing = Member(self.me.name, ""), self.subscriber.timing
        self.primary = primary = SharedPrimary.begin_epoch(
            *(me, won.epoch, won.mark, won.hold, timing, self.home)
        )
        self.subscriber.epoch, self.subscriber.epoch_id = primary.epoch, primary.epoch_id
        self._over = asyncio.Event()
        self._tenure = Tasks(self._end)
        self._store.begin_epoch(primary.committed)
        self.disk = DiskWorker(self._write_out, self.disk.spent)
        self._timekeeper = Timekeeper(
            *(primary, self._must_hold, self.clock, self.settings.lease_s, self._perform)
        )
        self._batches = Batches(
            *(primary, self._store, self.queue, self.settings.batch_rows, self.clock),
            perform=self._perform,
            check=lambda epoch: self._must_hold(),
            needed=lambda: None,
            begun=True,  # the take-over has told of it (P3)
        )
        for work in (self._timekeeper.run(), self._batches.run(), self.disk.run()):
            self._tenure.spawn(work)
        self._tenure.spawn(self._beat(primary))
        look_s = LOOK_LEASES * self.settings.lease_s
        self._tenure.spawn(self._knocking.look_for_others(primary, self._perform, look_s))
        self._install(self._tenure)
        if not won.derived:
            self._tenure.spawn(self._derive(primary.epoch_id))
        self._unseeded = primary.tail.seq == 0
        if self._unseeded:
            self._tenure.spawn(self._seed())

    async def _derive(self, epoch_id: str) -> None:
        """Make the rest of what is derived from the rows, beside batches."""
        done = False
        while not done:
            try:
                done = await self._database.derive(epoch_id)
            except Unavailable as error:
                self._candidate.note(str(error))
                await asyncio.sleep(RETRY_S)

    async def _seed(self) -> None:
        """Write what the group begins with, before anything else (T0)."""
        for operation in self._store.seed():
            done = False
            while not done:
                try:
                    ticket = self.queue.add(operation)
                    await self.queue.answer(ticket, self._tempo.primary_lease_s)
                    done = True
                except Unavailable as error:
                    self._candidate.note(str(error))
                    await asyncio.sleep(RETRY_S)
        self._unseeded = False

    async def write(
        self, operation: Operation, timeout_s: float, *, may_forward: bool = True
    ) -> Answer:
        if self.primary is not None and self._unseeded:
            raise Unavailable(f"{self.me.name}: the first entries are not committed yet")
        return await super().write(operation, timeout_s, may_forward=may_forward)

    def _must_hold(self) -> None:
        """Raise FatalError once the hold is over (P2)."""
        assert self.primary is not None
        if self.clock() >= self.primary.hold.until:
            raise FatalError(f"{self.me.name} does not hold the primaryship any more")

    async def _beat(self, primary: SharedPrimary) -> None:
        """Prolong the hold, as long as the database confirms it (P1)."""
        number, self._values = 0, []
        self._heeds_from = self.clock() + self._grace_s
        while True:
            self._must_hold()
            sent_at = self.clock()
            number += 1
            value = f"{primary.epoch_id}:{number}"
            self._values = [*self._values[1 - WORDS_KEPT :], value]
            # If it hangs there is time for another one, over another connection.
            timeout_s = min(primary.hold.until - sent_at, 2 * self._tempo.beat_s)
            try:
                committed = primary.committed.seq
                words = await self._register.beat(primary.epoch_id, value, committed, timeout_s)
                primary.hold.confirmed(sent_at, self.clock())
                self._heed(primary, words)
            except Unavailable as error:
                log.info("%s: a beat is not confirmed: %s", self.me.name, error)
                await asyncio.sleep(RETRY_S)
                continue
            await asyncio.sleep(max(sent_at + self._tempo.beat_s - self.clock(), 0.0))

    def _heed(self, primary: SharedPrimary, words: Sequence[Word]) -> None:
        """Hand over to a candidate that more subscribers reach (P7)."""
        if self.clock() < self._heeds_from:
            return
        hears = sum(feed.joined for feed in primary.feeds.values())
        here = {self.me.name, *(feed.hello.node for feed in primary.feeds.values())}
        for word in words:
            if word.value in self._values and word.node not in here and word.hears > hears:
                log.warning("%s hands over: %s is heard by more", self.me.name, word.node)
                self._candidate.abstain()
                self._perform(primary.retire(self.clock()))
                self.queue.refuse_all("the primary hands over")
                return

    def _end(self, error: BaseException) -> None:
        """End the primaryship: from here on this node answers nothing of its own (R4)."""
        if isinstance(error, ConfigError) or not isinstance(error, BazarError):
            self._tasks.fail(error)
            return
        log.warning("%s leads no more: %s", self.me.name, error)
        self._give_up(str(error))

    def _give_up(self, reason: str) -> None:
        primary, batches = self.primary, self._batches
        assert primary is not None and batches is not None
        primary.life = Life.STOPPED
        self.leading.clear()
        self._register.disconnect()
        self._store.disconnect()
        batches.abandon(f"{self.me.name} stopped while it was written: {reason}")
        self.queue.refuse_all(f"{self.me.name} leads no more")
        self._feeds.close_all()
        self._over.set()

    def _stop_leading(self, reason: str, clean: bool) -> None:
        if clean:
            self._give_up(reason)
        else:  # another cluster (A3)
            self._tasks.fail(FatalError(f"{self.me.name}: {reason}"))

    def _still_leads(self) -> bool:
        try:
            self._must_hold()
        except FatalError as error:
            self._tenure.fail(error)
            return False
        return True

    # --- carrying effects out --------------------------------------------------------------------

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Apply() | Record():
                self.disk.put(effect)
            case Told(entries):
                self._on_commit(entries)
                self.reads.committed()
            case Reset():
                self._install(self._tasks)
            case Drop():
                pass  # it caches nothing: its entries are dirty until they are committed
            case _:
                self._tasks.fail(FatalError(f"no way to carry out {effect}"))

    async def _write_out(self, effect: Effect) -> None:
        primary = self.primary
        assert primary is not None and self._batches is not None
        match effect:
            case Apply(mark):
                await self._store.commit(mark)
                self._on_commit(primary.pending)
                effects = primary.stored(effect, self.clock())
                self._batches.answer()
                self._perform(effects)
                self.reads.committed()
            case Record():  # T5: all leases are over
                await self._register.release(primary.epoch_id)
                self._perform(primary.recorded(self.clock()))

    def _install(self, tasks: Tasks) -> None:
        """Have the service read what it keeps in memory, and answer nothing before."""
        if self._installing is not None:  # what it reads is of before
            self._installing.cancel()
        self.reads.closed = f"{self.me.name} has just joined"
        self._installing = tasks.spawn(self._installed())

    async def _installed(self) -> None:
        """Answer reads once the service has read it."""
        while True:
            with contextlib.suppress(Unavailable):
                await self._on_install()
                break
            await asyncio.sleep(RETRY_S)
        self.reads.closed = None
        if self.primary is not None and self.primary.life is Life.LEADING:
            self.leading.set()

    # --- looking at it ---------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return what an operator wants to know, as JSON."""
        shown = {**super().status(), "database": dict(self._database.status())}
        if self.primary is not None:
            # No set is recorded: who is told of every batch is in sync.
            feeds = self.primary.feeds.values()
            told = {f.hello.node for f in feeds if f.joined and f.hello.kind == FOLLOWER}
            shown["members"] = sorted({self.me.name, *told})
        return shown

    def _waits_for(self) -> str:
        return self._candidate.trouble
