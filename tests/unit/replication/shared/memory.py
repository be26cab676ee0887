"""A group's database in memory: its beat and mark, and what it is told to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bazar.errors import FatalError, Unavailable
from bazar.replication.messages import Change, Entry, Mark
from bazar.replication.shared.database import Beat, Look, Word
from bazar.replication.store import Extend, Operation, Outcome

RELEASED = Beat(0, "", "", True, None, 0)


class MemoryRegister:
    """A `Register` whose rows are its attributes."""

    def __init__(self) -> None:
        self.row = RELEASED
        self.number = 0
        self.connection = 1
        self.looks = 0
        self.down = False
        self.faster: Beat | None = None  # whose take-over comes before ours
        self.words: Callable[[], list[Word]] = list  # that a primary finds
        self.left: list[Word] = []  # that a candidate has left
        self.values: list[str] = []  # of all beats
        self.timeouts: list[float] = []
        self.beat_takes_s = 0.0
        self.disconnects = 0
        self.before_commit: Callable[[], None] = lambda: None
        self.after_commit: Callable[[], None] = lambda: None

    def _must_answer(self) -> None:
        if self.down:
            raise Unavailable("the database is down")

    async def look(self) -> Look:
        self.looks += 1
        self._must_answer()
        return Look(self.row, self.connection)

    async def take_over(
        self, seen: Beat, new: Beat, before_commit: Callable[[], None]
    ) -> Mark | None:
        self._must_answer()
        self.row, self.faster = self.faster or self.row, None
        if self.row != seen:
            return None
        self.before_commit()
        before_commit()
        self.row = new
        self.after_commit()
        return Mark(self.number, new.epoch_id)

    async def beat(
        self, epoch_id: str, value: str, committed: int, timeout_s: float
    ) -> Sequence[Word]:
        self.timeouts.append(timeout_s)
        await asyncio.sleep(self.beat_takes_s)
        self._must_answer()
        if self.row.epoch_id != epoch_id or self.number < committed:
            raise FatalError("the epoch is over")
        self.values.append(value)
        return self.words()

    async def release(self, epoch_id: str) -> None:
        self._must_answer()
        if self.row.epoch_id == epoch_id:
            beat = self.row
            self.row = Beat(beat.epoch, beat.epoch_id, beat.value, True, beat.holder, beat.over_ms)

    async def leave_word(self, word: Word) -> None:
        self.left.append(word)

    def disconnect(self) -> None:
        self.disconnects += 1


class MemoryStore:
    """A `SharedStore` that takes every operation, and answers it with itself."""

    def __init__(self, register: MemoryRegister) -> None:
        self.keep_from: int | None = None
        self.seeds: list[Operation] = []
        self.began: list[Mark] = []
        self.begins: Callable[[], None] = lambda: None
        self.committed: list[Mark] = []
        self.down = False
        self.tries = 0
        self.hangs = False
        self.disconnects = 0
        self._register = register

    def seed(self) -> Sequence[Operation]:
        return self.seeds

    def begin_epoch(self, mark: Mark) -> None:
        self.began.append(mark)
        self.begins()

    async def execute(
        self, operations: Sequence[Operation], epoch: int, extend: Extend
    ) -> tuple[list[Outcome], tuple[Entry, ...]]:
        self.tries += 1
        if self.down:
            raise Unavailable("the database is down")
        outcomes = [Outcome(dict(one), Change((str(one["op"]),), {})) for one in operations]
        return outcomes, extend(outcomes)

    async def rollback(self) -> None: ...

    async def commit(self, mark: Mark) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        self.committed.append(mark)
        self._register.number = mark.seq

    def disconnect(self) -> None:
        self.disconnects += 1


class MemoryDatabase:
    """A `Database`; `slices` are how often something is left to be derived."""

    def __init__(self) -> None:
        self.register = MemoryRegister()
        self.store = MemoryStore(self.register)
        self.down = False  # where it cannot be opened, nor anything be derived
        self.tries = 0
        self.slices = 0
        self.upgraded: list[str] = []
        self.derived: list[str] = []
        self.id = "one"

    async def open(self) -> str:
        self.tries += 1
        if self.down:
            raise Unavailable("no server takes writes")
        return self.id

    async def upgrade(self, epoch_id: str) -> None:
        self.upgraded.append(epoch_id)

    async def derive(self, epoch_id: str) -> bool:
        self.tries += 1
        if self.down:
            raise Unavailable("no server takes writes")
        self.derived.append(epoch_id)
        self.slices -= 1
        return self.slices < 0

    def status(self) -> Mapping[str, Any]:
        return {"servers": ["db1"]}

    async def close(self) -> None: ...
