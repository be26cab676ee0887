"""The books that are asked for most, in memory, beside the rows: a read of one needs no look at
them, and no other thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from lru import LRU

from bazar.replication.messages import GENESIS, Entry, Mark
from bazar.replication.timing import touched_seq

Book = dict[str, Any]


class Core(Protocol):
    """Either side of the protocol: what is committed here, and what is about to be."""

    @property
    def committed(self) -> Mark: ...

    @property
    def pending(self) -> Sequence[Entry]: ...


class HotBooks:
    """Books by their tag, as they are in the state of one committed mark. Its node hears of each
    entry before anybody may show what that has changed, so these are never older than the rows
    (the same reasoning as that of a cache: C2, C3)."""

    def __init__(self, most: int) -> None:
        self._books: LRU[str, Book] = LRU(most)
        self._mark = GENESIS  # the state that they are of

    def committed(self, entries: Sequence[Entry]) -> None:
        """Hear of entries that are committed now."""
        if not entries:
            return
        if not _follows(entries[0], self._mark):
            self._books.clear()
        for entry in entries:
            for tag in entry.tags:
                self._books.pop(tag, None)
        self._mark = entries[-1].mark

    def get(self, tag: str, core: Core) -> Book | None:
        """Return a book as the rows have it now, None if that is not known here."""
        if core.committed != self._mark:
            self._books.clear()  # another state, which came at once: a snapshot, or another history
            self._mark = core.committed
        # While an entry is pending its commit may be in the rows already, and have been shown.
        return None if _is_pending(tag, core) else self._books.get(tag)

    def put(self, tag: str, book: Book, since: Mark, core: Core) -> None:
        """Keep a book that was read since this mark, unless something may have changed it."""
        if since == core.committed == self._mark and not _is_pending(tag, core):
            self._books[tag] = book


def _follows(entry: Entry, mark: Mark) -> bool:
    """Whether an entry is the next one of the same log. Over one database a mark has its epoch's id
    in place of a digest (P4)."""
    of_this_epoch = entry.seq == mark.seq + 1 and entry.digest == mark.digest
    return of_this_epoch or entry.extends(mark)


def _is_pending(tag: str, core: Core) -> bool:
    return touched_seq(core.pending, frozenset({tag})) > 0
