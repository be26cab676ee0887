"""Understand how a list is laid out, from its first rows: separator, header, columns."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from bazar.cli.importing import columns
from bazar.cli.importing.columns import COLUMNS, MONEY, NUMBER, Chosen
from bazar.cli.importing.records import Lines, ListRecord, Shape, clean, split_records
from bazar.errors import BadRequest
from storage import exports

SAMPLE_CHARS = 1 << 18
SAMPLE_RECORDS = 100
HEADER_WITHIN = 20  # records: a title or a date may stand above the header
DELIMITERS = (",", ";", "\t", "|")
NAMES = {"\t": "a tab"}
REASON = "rejected because"  # the additional column of a file of rejects

_ANY_DELIMITER = re.compile(f"[{''.join(DELIMITERS)}]")
_SEP_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\r?\n", re.IGNORECASE)
_FAMILY = r"(?:last|family|sur|nach|nom|apellidos?|cognome)[ -]?(?:name)?"
_GIVEN = r"(?:first|given|fore|vor|pr[ée]nom|nombre|nome)"
_LAST_FIRST = re.compile(rf"{_FAMILY}\s*([,;])\s*{_GIVEN}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the keeper has said about the list; everything else is to be found."""

    delimiter: str | None = None
    mapped: Sequence[str] = ()
    ignored: Sequence[str] = ()
    encoding: str | None = None
    decimal: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    delimiter: str
    header: Sequence[str]
    line: int  # the header's first line, and its last
    last_line: int
    chosen: Chosen
    ignored: frozenset[int]  # as told

    @property
    def width(self) -> int:
        return len(self.header)

    @property
    def is_ours(self) -> bool:
        """Return whether `bazar export` has written this list, as far as its columns tell: then a
        text is what its cell says, to the letter."""
        return tuple(self.header) == exports.BOOK

    @property
    def family_first(self) -> str | None:
        """Return what separates family name and given name, if the author's column says that it has
        both."""
        place = self.chosen.places.get("author")
        found = None if place is None else _LAST_FIRST.search(self.header[place])
        return None if found is None else found[1]

    def records(self, lines: Lines) -> Iterator[ListRecord]:
        """Yield all records below the header."""
        kinds = ((COLUMNS[ours].kind, place) for ours, place in self.chosen.places.items())
        numbers = [place for kind, place in kinds if kind in (MONEY, NUMBER)]
        shape = Shape(self.width, numbers, padded=not self.is_ours)
        below = _below(lines, self.last_line)
        return split_records(below, self.delimiter, shape, self.last_line + 1)

    def name(self, place: int) -> str:
        return repr(self.header[place]) if self.header[place] else f"#{place + 1} (without a name)"


def _below(lines: Lines, last_line: int) -> Lines:
    for _ in range(last_line):
        lines.readline()
    return lines


def read_delimiter(text: str) -> str:
    """Return the separator that `--delimiter` names. Raises BadRequest."""
    named = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
    char = named.get(text.lower(), text)
    if len(char) != 1 or char in '"\r\n' or char.isalnum():
        raise BadRequest(f"--delimiter: {text[:40]!r} is not one sign, or tab")
    return char


def sniff(sample: str, wanted: Wanted, defaults: Mapping[str, object]) -> Layout:
    """Return the layout that fits a list's beginning best. `defaults` name those of our columns
    that it may be without. Raises BadRequest, which names everything that does not fit."""
    told = _SEP_LINE.match(sample)
    if wanted.delimiter is not None:
        candidates: tuple[str, ...] = (wanted.delimiter,)
    else:
        candidates = (told[1],) if told is not None else DELIMITERS
    best: tuple[tuple[int, float, int], str, ListRecord, list[ListRecord]] | None = None
    for delimiter in candidates:
        records = list(_some(sample, delimiter, 1 if told is not None else 0))
        if not records:
            raise BadRequest("the list is empty")
        place, names = _header(records, wanted)
        header, rows = records[place], records[place + 1 :]
        width = len(header.cells)
        even = sum(len(row.cells) == width for row in rows) / max(len(rows), 1)
        score = names, even if width > 1 or names else 0.0, width
        if best is None or score > best[0]:
            best = score, delimiter, header, rows
    assert best is not None
    _, delimiter, header, rows = best
    if header.error is not None:
        raise BadRequest(f"line {header.line}, which names the columns: {header.error}")
    return _layout(delimiter, header, rows, wanted, defaults)


def _some(sample: str, delimiter: str, skipped: int) -> Iterator[ListRecord]:
    records = split_records(_below(io.StringIO(sample, newline=""), skipped), delimiter,
                            line=skipped + 1)  # fmt: skip
    filled = (record for record in records if not record.blank)
    return islice(filled, SAMPLE_RECORDS)


def _header(records: Sequence[ListRecord], wanted: Wanted) -> tuple[int, int]:
    """Return which record names the columns, and how many of ours it names: the first that names
    most. A single name below the first record is chance."""
    told = {"".join(columns.words(side)) for pair in wanted.mapped for side in pair.split("=")}
    told -= {""}

    def names(record: ListRecord) -> int:
        cells = [clean(cell) for cell in record.cells]
        known = columns.recognized(cells)
        return known + sum(
            "".join(columns.words(cell)) in told and not columns.known(cell) for cell in cells
        )

    scores = [names(record) for record in records[:HEADER_WITHIN]]
    most = max(scores)
    return (scores.index(most), most) if most > 1 else (0, scores[0])


def names_in(beginning: str) -> int:
    """How many of our columns the best of the first lines names, whatever parts its cells."""
    lines = beginning.splitlines()[:HEADER_WITHIN]
    cells = ([clean(cell.strip('"')) for cell in _ANY_DELIMITER.split(line)] for line in lines)
    return max(map(columns.recognized, cells), default=0)


def _layout(
    delimiter: str,
    header: ListRecord,
    rows: Sequence[ListRecord],
    wanted: Wanted,
    defaults: Mapping[str, object],
) -> Layout:
    names = [clean(cell) for cell in header.cells]
    wrong: list[str] = []
    ignored: set[int] = {place for place, name in enumerate(names) if name == REASON}
    for name in wanted.ignored:
        try:
            ignored |= columns.find_places(names, name, "--ignore")
        except BadRequest as error:
            wrong.append(str(error))
    told, wrong_maps = columns.read_map(names, wanted.mapped)
    wrong += wrong_maps
    samples = [
        [clean(row.cells[place]) for row in rows if row.error is None and place < len(row.cells)]
        for place in range(len(names))
    ]
    chosen = columns.choose(names, samples, told, ignored)
    missing = [
        f"{ours} (--map {ours}=COLUMN{f', or {column.default}' if column.default else ''})"
        for ours, column in COLUMNS.items()
        if not column.optional and ours not in chosen.places and defaults.get(ours) is None
    ]
    if missing:
        used = chosen.places.values()
        free = [repr(name[:40]) for place, name in enumerate(names) if name and place not in used]
        unused = (
            f"Columns without a use are {', '.join(free)}" if free else "All columns have a use"
        )
        hint = "" if used else ". Does a line above the rows name the columns? One must"
        if len(names) == 1:
            hint += ". What parts its cells is none of , ; | and tab: --delimiter says it"
        where = f"line {header.line} names no column for {', '.join(missing)}"
        wrong.append(f"{where}.\n  {unused}{hint}.")
    if wrong:
        raise BadRequest("\n  ".join(wrong))
    return Layout(delimiter, names, header.line, header.last_line, chosen, frozenset(ignored))
