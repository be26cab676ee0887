"""Splitting a text into records, line by line, without losing rows to an open quote.

Python's `csv` reads each record, strictly. A quote that is not closed would make it read on through
all the good rows that follow. So it gets few lines at a time: if they make no record, only the line
where the quote opened is bad, and the next line begins a new record.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_LINE = 1 << 20
MAX_RECORD_LINES = 1000
MAX_RECORD_CHARS = 1 << 20
# Marks that come along with what people paste, and change nothing that is seen: soft hyphens,
# spaces without width, directions.
_UNSEEN = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u2060\ufeff]")
_NUMBER = re.compile(r"\W{0,3}\d[\d.,' ]*[^\d]{0,5}")


class Lines(Protocol):
    """The interface of text files: the next line with its end, or a part of it; "" at the end."""

    def readline(self, size: int = -1, /) -> str: ...


@dataclass(frozen=True, slots=True)
class ListRecord:
    """One row: its place, and its cells; `error` if it could not be split well."""

    line: int
    last_line: int
    cells: list[str]
    error: str | None = None

    @property
    def blank(self) -> bool:
        return self.error is None and not any(map(clean, self.cells))


def clean(cell: str) -> str:
    """Return the cell's text with one space between words, without invisible marks, and without
    `="…"`, which keeps spreadsheets from taking an ISBN for a number."""
    if cell.isalnum():
        return cell
    if not cell.isascii():
        cell = _UNSEEN.sub("", cell)
    if cell.startswith('="') and cell.endswith('"'):
        cell = cell[2:-1]
    return " ".join(cell.split()).strip("\x00\x1a ")


class _Feed:
    """Numbered lines, some of which may be given back."""

    def __init__(self, lines: Lines, number: int) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self.next = number  # of the next line

    def line(self) -> str:
        line = self._again.popleft() if self._again else self._lines.readline(MAX_LINE)
        self.next += bool(line)
        return line

    def give_back(self, lines: list[str]) -> None:
        self._again.extendleft(reversed(lines))
        self.next -= len(lines)


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a list's rows: how many cells they have, which cells hold numbers, and whether
    spaces may stand before a cell that are not its own."""

    width: int
    numbers: Sequence[int] = ()
    padded: bool = True


def split_records(
    lines: Lines, delimiter: str, shape: Shape | None = None, line: int = 1
) -> Iterator[ListRecord]:
    """Yield all records, blank ones too. If a record of several lines holds what looks like rows,
    it is taken for an open quote: all lines but its first begin anew. `line` is the first line's
    number."""
    feed = _Feed(lines, line)
    while text := feed.line():
        first = feed.next - 1
        if len(text) >= MAX_LINE:
            while text and not text.endswith(("\n", "\r")):
                text = feed.line()
                feed.next -= bool(text)
            yield ListRecord(first, first, [], f"the line has {MAX_LINE} characters or more")
        elif '"' not in text:
            yield ListRecord(first, first, text.rstrip("\r\n").split(delimiter))
        else:
            yield _quoted(feed, first, text, delimiter, shape)


def _quoted(feed: _Feed, first: int, line: str, delimiter: str, shape: Shape | None) -> ListRecord:
    taken = [line]

    def more() -> Iterator[str]:
        yield line
        size = len(line)
        while len(taken) < MAX_RECORD_LINES and size < MAX_RECORD_CHARS:
            if not (another := feed.line()):
                return
            taken.append(another)
            size += len(another)
            yield another

    try:
        padded = shape is None or shape.padded
        cells = next(csv.reader(more(), delimiter=delimiter, strict=True, skipinitialspace=padded))
        if len(taken) == 1 or shape is None or not _hold_rows(taken, cells, delimiter, shape):
            return ListRecord(first, feed.next - 1, cells)
        error = _unclosed(line, delimiter)
    except csv.Error as problem:
        # If one line is bad by itself, the problem is not an open quote.
        alone = len(taken) == 1 and "unexpected end" not in str(problem)
        if alone and (neat := _neat(line, delimiter)) != line:
            return _quoted(feed, first, neat, delimiter, shape)
        error = _unsplit(str(problem)) if alone else _unclosed(line, delimiter)
    feed.give_back(taken[1:])
    if delimiter == "\t" and shape is not None and line.count(delimiter) + 1 == shape.width:
        # Many programs that write tabs quote nothing: there it is a sign like any other.
        return ListRecord(first, first, line.rstrip("\r\n").split(delimiter))
    return ListRecord(first, first, _roughly(line, delimiter), error)


def _hold_rows(lines: Sequence[str], cells: Sequence[str], delimiter: str, shape: Shape) -> bool:
    """Return whether these lines, which are one record by their quotes, look like rows of their
    own: if the record has a wrong number of cells, by that alone, else by the values, too."""
    if len(cells) != shape.width:
        return any(line.count(delimiter) + 1 >= shape.width for line in lines)
    return bool(shape.numbers) and all(
        any(_looks_like_row(line, delimiter, shape) for line in some) for some in
        (lines[:1], lines[1:])
    )  # fmt: skip


def _looks_like_row(line: str, delimiter: str, shape: Shape) -> bool:
    cells = _roughly(line, delimiter)
    return len(cells) == shape.width and all(_NUMBER.fullmatch(cells[p]) for p in shape.numbers)


def _neat(line: str, delimiter: str) -> str:
    """Return the line without spaces between a closing quote and the separator, and with doubled
    quotes where a database has written `\\"`."""
    line = line.replace('\\"', '""')
    return re.sub(rf'(?<=[^"])"[ ]+(?={re.escape(delimiter)}|[\r\n]|$)', '"', line)


def _unclosed(line: str, delimiter: str) -> str:
    """Return the error for a line with an open quote, which is the last one that begins a cell."""
    place, opened = 0, line.index('"')
    for cell in line.split(delimiter):
        if cell.lstrip().startswith('"'):
            opened = place + len(cell) - len(cell.lstrip())
        place += len(cell) + len(delimiter)
    text = line[opened:].rstrip()
    return f"a quote is opened and not closed: {text[:40]}{'…' if len(text) > 40 else ''}"


def _unsplit(problem: str) -> str:
    if "expected after" in problem:
        return "a quote closes before its cell ends: one that is part of the text must be doubled"
    return f"can't be split into cells: {problem}"


def _roughly(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line whose quotes are wrong, as far as they can be recognized."""
    return [cell.strip().strip('"') for cell in line.rstrip("\r\n").split(delimiter)]
