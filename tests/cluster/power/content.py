"""What a disk may hold of one file after a power cut: its content.

What was synced is there. Of each sector, any prefix of what was written to it since: writes to one
sector reach the disk in their order, those to two in any. Of the sizes that the file had since,
any: a file is cut off completely or not at all.
"""

from __future__ import annotations

import dataclasses
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.cluster.power.recording import Event, Kind

SECTORS = (512, 4096)  # what disks write at once, old ones and new ones


@dataclass(slots=True, eq=False)
class File:
    """A file's content: what is synced, and what was done to it since."""

    path: str  # the first path that it had
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Event] = field(default_factory=list)
    size: int = 0
    in_journal: bool = False  # its present size and names are durable

    def content(self) -> bytes:
        """Return the content as a reader sees it."""
        return after(self.durable, self.pending)


def after(content: bytearray, changes: Sequence[Event]) -> bytes:
    """Return the content after all these changes."""
    result = bytearray(content)
    apply(result, changes)
    return bytes(result)


def apply(content: bytearray, changes: Sequence[Event]) -> None:
    """Apply these changes."""
    for change in changes:
        if change.kind == Kind.TRUNCATE:
            del content[change.offset :]
        content.extend(bytes(max(change.offset - len(content), 0)))
        content[change.offset : change.offset + len(change.data)] = change.data


def held(file: File, rng: random.Random) -> bytes:
    """Return one of the contents that the disk may hold."""
    if not file.pending:
        return bytes(file.durable)
    choice = rng.randrange(6)
    if choice == 0:
        return bytes(file.durable)
    if choice == 1:
        return file.content()
    if choice == 2:  # in their order, up to one of them
        return after(file.durable, file.pending[: rng.randint(0, len(file.pending))])
    sector = rng.choice(SECTORS)
    if choice == 3:  # the sectors of the last write, and none of the others
        last = len(file.pending) - 1
        return by_sector(file, sector, rng, lambda writes: len(writes) * (writes[-1] == last))
    often = rng.choice((0.1, 0.5, 0.9))
    return by_sector(
        file,
        sector,
        rng,
        lambda all_: rng.randint(0, len(all_)) if len(all_) > 1 else int(rng.random() < often),
    )


def by_sector(
    file: File, sector: int, rng: random.Random, many: Callable[[list[int]], int]
) -> bytes:
    """Return, of each sector, the first `many` of the writes to it, which are given by their
    numbers, and one of the sizes since."""
    known = rng.choice((len(file.pending), rng.randint(0, len(file.pending))))
    size = len(file.durable)
    pieces: dict[int, dict[int, Event]] = defaultdict(dict)  # by sector, by the write's number
    kept: list[tuple[int, Event]] = []
    for number, change in enumerate(file.pending):
        if number < known:
            size = size_after(size, change)
        if change.kind == Kind.TRUNCATE:
            kept += [(number, change)] * (number < known)
            continue
        end = change.offset + len(change.data)
        for low in range(change.offset // sector * sector, end, sector):
            start, stop = max(low, change.offset), min(low + sector, end)
            data = change.data[start - change.offset : stop - change.offset]
            pieces[low][number] = dataclasses.replace(change, offset=start, data=data)
    for writes in pieces.values():
        kept += list(writes.items())[: many(list(writes))]
    kept.sort(key=lambda one: one[0])
    content = after(file.durable, [change for _, change in kept])
    return content[:size].ljust(size, b"\0")


def size_after(size: int, change: Event) -> int:
    end = change.offset + len(change.data)
    return end if change.kind == Kind.TRUNCATE else max(size, end)
