"""The engine of a simulated node: the product's interfaces over a simulated disk.

A transaction goes as SQLite's does: begun, executed, written, committed in one moment, and then
reported. A process that dies has committed it or not. The results of operations are decided by the
product's `Catalog` and `Orders`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bazar.errors import FatalError
from bazar.replication.effects import LogPage
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.messages import Entry, Mark, Snapshot, tail_mark
from bazar.replication.part import Wiring
from bazar.replication.replica import Replica
from bazar.replication.store import Answer, Extend, Operation, Outcome
from storage.history import Position, number_of
from storage.orders import Orders, show_listed
from storage.searches import Found, Search
from tests.simulation import shop, undoing
from tests.simulation.disk import Image
from tests.simulation.shop import SimulatedCatalog, State
from tests.world.system import Path

if TYPE_CHECKING:
    from tests.simulation.node import ReplicaProcess


class SimulatedStore:
    """A `Store` whose file is `process.node.disk`."""

    def __init__(self, process: ReplicaProcess) -> None:
        self.process = process
        self.world = process.world
        self.disk = process.disk
        self.store_id = self.disk.store
        self.keep_from: int | None = None
        image = self.disk.image
        self.committed, self.pending = image.committed, list(image.pending)
        self.epoch, self.epoch_id, _ = image.newest
        self._batch: tuple[Entry, ...] = ()
        self._staged: State | None = None
        self._commit: Callable[[], None] | None = None  # of the transaction under way
        profile, truth = process.profile, process.truth
        self.model: SimulatedCatalog | Orders = (
            Orders()
            if truth.sales is not None
            else SimulatedCatalog(
                *(profile.books, profile.stock, self._new_order_id, profile.samples),
                empty=process.node.config.number % 2 == 0,  # each is told something else (S7)
            )
        )
        process.at_death.append(self._die)

    def _new_order_id(self) -> str:
        self.world.order_ids += 1
        return f"{self.world.order_ids:032x}"

    def seed(self) -> Sequence[Operation]:
        return self.model.seed()

    # --- what a disk costs -----------------------------------------------------------------------

    async def _look(self) -> None:
        """Take the time of a read."""
        await self._wait(self.world.profile.disk_delay(self.disk.slow))

    async def _wait(self, delay_s: float) -> None:
        done = self.process.loop.create_future()
        if not self.disk.hangs:
            self.world.after(delay_s, self.process, self.process.loop.post, _resolve, done, None)
        await done

    async def _write(self, commit: Callable[[], None], *, small: bool = False) -> None:
        """Commit a transaction: an fsync goes on while its process is stopped."""
        if self._commit is not None:
            self.world.violate(f"R2: {self.process.name} writes while a transaction is under way")
        self._commit = commit
        done = self.process.loop.create_future()
        delay_s = self.world.profile.disk_delay(self.disk.slow)
        self.world.after(delay_s, None, self._committed, done, small)
        await done

    def _committed(self, done: asyncio.Future[None], small: bool) -> None:
        if not self.process.alive or self.disk.hangs:
            return
        commit, self._commit = self._commit, None
        assert commit is not None
        error: Exception | None = None
        if self.disk.deleted:
            error = FatalError(f"{self.disk.name}: is not there any more")
        elif self.disk.full and not small:
            error = OSError("no space left on device")
        else:
            commit()
        # The step that learns of it comes later: readers may see it before.
        report_s = self.world.profile.report_delay()
        self.world.after(report_s, self.process, self.process.loop.post, _resolve, done, error)

    def _die(self) -> None:
        """Let what was under way become durable or not, unless its file is deleted with the
        process."""
        if self.disk.deleted:
            self.disk.wipe()
            return
        if self._commit is not None and not self.disk.full and not self.disk.hangs:
            commit, self._commit = self._commit, None
            if self.world.disk_tape.chance(0.5):
                commit()

    # --- the primary's batch ---------------------------------------------------------------------

    def check(self) -> None:
        if self.disk.deleted:
            raise FatalError(f"{self.disk.name}: is not there any more")

    async def probe(self) -> None:
        await self._write(lambda: None)
        self.process.has_probed = True

    async def sync(self) -> None:
        await self._write(lambda: None, small=True)

    async def execute(
        self, operations: Sequence[Operation], epoch: int, extend: Extend
    ) -> tuple[list[Outcome], tuple[Entry, ...]]:
        await self._look()
        outcomes = self._decide(operations, epoch)
        entries = extend(outcomes)
        if entries and self.disk.full:
            raise OSError("no space left on device")
        self._batch = entries
        return outcomes, entries

    def _decide(self, operations: Sequence[Operation], epoch: int) -> list[Outcome]:
        image = self.disk.image
        if image.pending:
            self.world.violate(f"T3: {self.process.name} executes before it has committed a tail")
        first = number_of(epoch, image.committed.seq + 1)
        if isinstance(self.model, Orders):
            return shop.decide_orders(self.model, image.state, operations, first)
        now_ms = self.world.wall_ms()
        outcomes = shop.decide_catalog(self.model, image.state, operations, first, now_ms)
        for operation, outcome in zip(operations, outcomes, strict=True):
            self.world.guard(self.process.truth.check_sold, operation, outcome, image.state)
            self.world.guard(undoing.check_decision, operation, outcome, image.state, now_ms)
        return outcomes

    async def rollback(self) -> None:
        self._batch = ()

    # --- what effects ask ------------------------------------------------------------------------

    async def persist(self, after: Mark, entries: tuple[Entry, ...]) -> None:
        def commit() -> None:
            self.disk.write(self.disk.image.persisted(after, entries))
            self.process.truth.check_member(self.disk, self.process.name)

        await self._write(commit)
        self.pending = [entry for entry in self.pending if entry.seq <= after.seq]
        self.pending += [entry for entry in entries if entry.seq > self.committed.seq]

    async def apply(self, mark: Mark, *, synced: bool = True) -> None:
        process, batch = self.process, self._batch
        primary = process.primary
        tables = self.model.tables

        def commit() -> None:
            image = self.disk.image
            before = image.pending
            if batch:
                image = image._replace(log=image.log + batch)
            self.disk.write(image.applied(mark, self.disk.keep, tables))
            if primary is not None:
                process.truth.committed(primary, process.run, self.disk.image, before + batch)
            else:
                process.truth.on_log(self.disk.image, process.name)
            process.truth.check_member(self.disk, process.name)

        if mark.seq <= self.committed.seq:
            return
        if batch and batch[-1].mark != mark:
            raise FatalError(f"asked to commit {mark}, but {batch[-1].mark} is executed")
        await self._write(commit)
        self._batch = ()
        self.committed = mark
        self.pending = [entry for entry in self.pending if entry.seq > mark.seq]

    async def install(self, chunk: Snapshot) -> None:
        tables, process = self.model.tables, self.process
        if chunk.first:
            self._staged = {}
        if self._staged is None:
            raise FatalError("a chunk of a snapshot came without the first one")
        staged = self._staged
        shop.touched(staged, {"put": chunk.rows}, tables)

        def commit() -> None:
            if chunk.final:
                self.disk.write(Image(chunk.mark, (), chunk.mark, staged))
                process.truth.on_log(self.disk.image, process.name)
                process.truth.check_member(self.disk, process.name)

        await self._write(commit, small=not chunk.final)
        if chunk.final:
            self.committed, self.pending, self._staged = chunk.mark, [], None

    async def read_log(self, after_seq: int) -> LogPage:
        await self._look()
        return self.disk.image.page(after_seq, self.world.profile.page_size())

    async def snapshot(self) -> AsyncGenerator[Snapshot, None]:
        image = self.disk.image  # the rows of one moment, whatever is written meanwhile
        chunks = image.chunks(self.world.profile.chunk_size())
        for number, rows in enumerate(chunks):
            if number:
                await self._look()
            yield Snapshot(image.committed, rows, number == 0, number == len(chunks) - 1)

    @property
    def last(self) -> Mark:
        return tail_mark(self.committed, self.pending)


class SimulatedReader:
    """The reader of the committed rows: it does what `CatalogReader` and `OrderReader` do."""

    def __init__(self, store: SimulatedStore) -> None:
        self._store = store
        self._world = store.world

    async def _state(self) -> State:
        """Return the rows as of the last commit, a moment after they were asked for."""
        profile = self._world.profile
        await self._store._wait(profile.read_delay())
        state = self._store.disk.image.state
        if profile.hear_s:
            await self._store._wait(profile.hear_s * self._world.disk_tape.random())
        return state

    async def info(self, books: Iterable[int]) -> dict[int, dict[str, Any]]:
        wanted = frozenset(books)
        found = shop.look(await self._state(), {"op": "books", "books": wanted})
        assert found is not None
        return {book["id"]: book for book in found["books"]}

    async def search(self, wanted: Search) -> Found:
        return shop.search(await self._state(), wanted)

    async def topics(self) -> list[dict[str, Any]]:
        found = shop.look(await self._state(), {"op": "topics"})
        assert found is not None
        topics: list[dict[str, Any]] = found["topics"]
        return topics

    async def changes(self, after: Position, limit: int) -> tuple[list[Answer], str | None]:
        process, world = self._store.process, self._world
        if not process.syscall_chance and not process.may_read():
            world.violate(f"S2: {process.name} tells of sales, and may not be read")
        await self._state()
        image = self._store.disk.image  # state and log of one moment
        limit = min(limit, world.profile.sales)
        return shop.changes(image.state, after, image.committed.seq, limit)

    async def newest(self, before: int, limit: int) -> list[dict[str, Any]]:
        return shop.newest(await self._state(), before, min(limit, self._world.profile.sales))

    async def cursor(self) -> Position:
        return shop.cursor(await self._state())

    async def order(self, order_id: str) -> dict[str, Any] | None:
        found = shop.look(await self._state(), {"op": "order", "order_id": order_id})
        return None if found is None else found["order"]

    async def known(self, order_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        return shop.known(await self._state(), order_ids)

    async def numbers(self, order_ids: Iterable[str]) -> dict[str, int]:
        state = await self._state()
        found = {order_id: state.get(("orders", order_id)) for order_id in order_ids}
        return {order_id: row["seq"] for order_id, row in found.items() if row is not None}

    async def count(self, after: int) -> int:
        return len(await self.changed(after, 1 << 62))

    async def changed(self, after: int, limit: int) -> list[dict[str, Any]]:
        found = [
            row for row in shop.rows(await self._state(), "orders") if shop.last_change(row) > after
        ]
        return [show_listed(row) for row in sorted(found, key=shop.last_change)[:limit]]


class SimulatedEngine:
    """An `Engine` over a simulated disk, with the product's own arbiter over simulated files."""

    store: SimulatedStore
    reader: SimulatedReader

    def __init__(self, process: ReplicaProcess, driver: type[Replica]) -> None:
        self.process = process
        self._driver = driver
        group = process.node.group
        self.arbiter = FileArbiter(Path(group.directory), group.name)  # type: ignore[arg-type]

    async def open(self) -> bool:
        """Open the file. If the disk hangs, this never returns."""
        self.store = SimulatedStore(self.process)
        await self.store._look()
        # Nothing of what was read has changed since, as no other process writes to this file.
        self.reader = SimulatedReader(self.store)
        return not self.process.world.disk_tape.chance(0.3)

    async def check(self) -> None:
        """Return when the file is checked. Damage is made by `faults`."""
        await self.store._look()

    def part(self, wiring: Wiring) -> Replica:
        replica = self._driver(wiring, self.store, self.arbiter, founding=self._founding)
        replica.candidate.hopeless()  # looks at the membership's file
        return replica

    async def _founding(self) -> None:
        pass

    async def close(self) -> None:
        """Close the file, which may take a while: its WAL is moved into it."""
        linger_s = self.process.profile.linger_s
        await self.store._wait(linger_s * self.process.world.disk_tape.random())


def _resolve(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(None)
