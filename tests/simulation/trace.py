"""A run as a sequence diagram: a lane for each participant, a row for each event.

A message is an arrow from its sender to its receiver, drawn when it is sent; an event within one
participant is a dot on its lane. The words stand on the right.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

TIME = 8  # columns for the time
LANE = 11  # columns from lane to lane: a name of ten letters, and a space
LEAST = 24  # columns for the words, however little room is left


@dataclass(frozen=True, slots=True)
class Event:
    """Something that `who` has done. With `to` it is a message, under way until `arrives_s`."""

    time_s: float
    who: str
    text: str
    to: str | None = None
    arrives_s: float = 0.0


class Trace:
    """The events of a run; `lines` draws the last of them.

    A subclass may set how many columns a row has, how late an arrival must be to get a row of its
    own, and after how long a silence the lanes show a gap.
    """

    digits = 1  # of a millisecond
    unit = "ms"
    width: int | None = None
    late_s = inf
    gap_s = inf
    over_s = inf  # what arrives after this is lost for this run

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = list(names)
        self.events: list[Event] = []

    def add(
        self, time_s: float, who: str, text: str, to: str | None = None, arrives_s: float = 0.0
    ) -> None:
        self.events.append(Event(time_s, who, text, to, arrives_s))

    # --- drawing ---------------------------------------------------------------------------------

    def lines(self, last: int | None = None) -> list[str]:
        named = {event.who for event in self.events} | {e.to for e in self.events if e.to}
        lanes = Lanes(self.names or sorted(named), self.width)
        shown = [row for event in self.events for row in self._rows(event, lanes)]
        shown.sort(key=lambda row: row[0])
        drawn: list[list[str]] = []
        before_s = inf
        for time_s, cells, text in shown:
            if text == "starts" or text.startswith("dies"):
                lanes.alive(cells[0][0], text == "starts")
            time = f"{1000 * time_s:.{self.digits}f}"
            if time_s > before_s + self.gap_s:
                drawn.append(list(lanes.row("...", [], "")))
            before_s = time_s
            drawn.append(list(lanes.row(time, cells, brief(text))))
        kept = drawn if last is None else drawn[-last:]
        return [lanes.head(self.unit), *(line for row in kept for line in row)]

    def _rows(self, event: Event, lanes: Lanes) -> Iterator[tuple[float, Cells, str]]:
        who = lanes.place(event.who)
        if event.to is None:
            ends = event.text.startswith("dies")
            yield event.time_s, [(who, "╳" if ends else "●")], event.text
            return
        to = lanes.place(event.to)
        middle = (who + to) // 2
        if event.arrives_s > self.over_s:
            cells = [*arrow(who, middle, head="╳"), (who, "├" if to > who else "┤")]
            yield event.time_s, cells, f"{event.text} (lost)"
        elif event.arrives_s - event.time_s > self.late_s:
            cells = [*arrow(who, middle, head="…"), (who, "├" if to > who else "┤")]
            yield event.time_s, cells, f"{event.text} (late)"
            yield event.arrives_s, arrow(middle, to, tail="…"), f"{event.text} (arrives)"
        else:
            tail = "├" if to > who else "┤"
            yield event.time_s, arrow(who, to, tail=tail), event.text


Cells = list[tuple[int, str]]  # column -> what is drawn there


def arrow(start: int, end: int, *, tail: str = "", head: str = "") -> Cells:
    """Return the cells from column to column. Without a `head` of its own it points at the lane in
    `end`."""
    step = 1 if end > start else -1
    cells = [(column, "─") for column in range(start + step, end, step)]
    if tail:
        cells.append((start, tail))
    cells.append((end, head) if head else (end - step, "▶" if step > 0 else "◀"))
    return cells


class Lanes:
    """The columns of one drawing."""

    def __init__(self, names: Sequence[str], width: int | None) -> None:
        self.names = names
        first = TIME + 1 + (len(names[0]) if names else 0) // 2
        self._columns = [first + LANE * index for index in range(len(names))]
        self._dead: set[int] = set()
        self._words = (self._columns[-1] if names else first) + 3
        self._wrap = None if width is None else max(width - self._words, LEAST)

    def place(self, name: str) -> int:
        return self._columns[self.names.index(name)]

    def alive(self, column: int, alive: bool) -> None:
        """End a lane when its process dies, or continue it when the process starts again."""
        (self._dead.discard if alive else self._dead.add)(column)

    def head(self, unit: str) -> str:
        line = f"{unit:>{TIME - 1}}"
        for name, column in zip(self.names, self._columns, strict=True):
            line = f"{line:{column - len(name) // 2}}{name}"
        return line

    def row(self, time: str, cells: Cells, text: str) -> Iterator[str]:
        words = [text] if self._wrap is None else textwrap.wrap(text, self._wrap) or [""]
        yield self._line(f"{time:>{TIME - 1}}", cells, words[0])
        for more in words[1:]:
            yield self._line("", [], more)

    def _line(self, time: str, cells: Cells, words: str) -> str:
        line = [" "] * self._words
        line[: len(time)] = time
        for column in self._columns:
            if column not in self._dead:
                line[column] = "│"
        for column, sign in cells:
            line[column] = "┼" if (line[column], sign) == ("│", "─") else sign
        return ("".join(line) + words).rstrip()


_ENTRY = re.compile(r"Entry\(seq=(\d+), epoch=(\d+), tags=\(([^)]*)\).*?digest='(\w{0,6})\w*'\)")


def brief(text: str) -> str:
    """Return a message without the parts that no reader needs."""
    text = _ENTRY.sub(r"\1@\2:\4[\3]", text)
    text = re.sub(r"version=1, |effects=None, |'", "", text)
    return text if len(text) < 230 else text[:230] + " ..."
