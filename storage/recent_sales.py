"""The newest committed sales and cancellations, kept in memory: who follows them closely is told
without a look at the rows (S2, S6)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from bazar.replication.messages import Entry
from bazar.replication.store import Answer
from storage.books import Row, change_answer
from storage.history import Position

MOST = 2000


class RecentSales:
    """The sales and cancellations of the last entries of one epoch, without a gap. What was before
    them, or in another epoch, is not known here."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._epoch_id = ""
        self._last_seq = 0  # the newest entry that was looked at
        self._rows: list[Row] = []
        self._numbers: list[int] = []  # of these rows

    def committed(self, entries: Iterable[Entry], epoch: int, epoch_id: str) -> None:
        """Hear of entries that are committed now, under the primary of this epoch."""
        for entry in entries:
            inherited = entry.epoch < epoch  # its epoch's id is not known here (T3)
            if inherited or (epoch_id, entry.seq) != (self._epoch_id, self._last_seq + 1):
                self._rows, self._numbers = [], []
            self._epoch_id, self._last_seq = epoch_id, entry.seq
            put = {} if inherited else entry.effects.get("put", {})
            rows = [*put.get("sales", ()), *put.get("cancellations", ())]
            self._rows += rows
            self._numbers += (row["seq"] for row in rows)
        if len(self._rows) > 2 * self._most:
            del self._rows[: -self._most], self._numbers[: -self._most]

    def behind(
        self, position: Position, last_seq: int, epoch_id: str, limit: int
    ) -> tuple[list[Answer], str] | None:
        """Return what is behind a position, and the id of the last one's epoch, where the committed
        log ends with this entry, in this epoch. None: that is not known here."""
        if (last_seq, epoch_id) != (self._last_seq, self._epoch_id) or position.id != epoch_id:
            return None
        place = bisect_right(self._numbers, position.number)
        if not place or self._numbers[place - 1] != position.number:
            return None
        return [change_answer(row) for row in self._rows[place : place + limit]], epoch_id
