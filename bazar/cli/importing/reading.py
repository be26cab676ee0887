"""Reading a list from its file, each time from front to end: to find its encoding, to see what all
its prices show, and to make books of its rows. Little of it is in memory, however long it is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from bazar.amounts import Reading
from bazar.cli.importing import amounts, text
from bazar.cli.importing.amounts import Evidence
from bazar.cli.importing.columns import in_cents
from bazar.cli.importing.layout import SAMPLE_CHARS, Layout, Wanted, names_in, sniff
from bazar.cli.importing.records import ListRecord, clean
from bazar.cli.importing.rows import Row, Rows

PROGRESS_RECORDS = 1000

Progress = Callable[[int], object]  # called with the number of bytes read


@dataclass(frozen=True, slots=True)
class BookList:
    """A list, open and understood. `defaults` replace missing values."""

    file: BinaryIO
    encoding: text.Encoding
    layout: Layout
    evidence: Evidence
    reading: Reading
    defaults: Mapping[str, Any]

    def rows(self, progress: Progress = int) -> Generator[Row]:
        """Yield the result for each row; only one reading at a time."""
        rows = Rows(self.layout, self.reading, self.defaults)
        return rows.read(_records(self.file, self.encoding, self.layout, progress))


def understand(
    file: BinaryIO, wanted: Wanted, defaults: Mapping[str, Any], progress: Progress = int
) -> BookList:
    """Find what `wanted` does not say. Raises BadRequest with everything that the keeper must say
    first."""
    encoding = text.find_encoding(text.read_chunks(file), wanted.encoding, names_in)
    layout = sniff(text.read_sample(file, encoding.name, SAMPLE_CHARS), wanted, defaults)
    evidence = Evidence()
    place = layout.chosen.places.get("cost")
    if place is None:
        return BookList(file, encoding, layout, evidence, Reading(None), defaults)
    for record in _records(file, encoding, layout, progress):
        cells = record.cells
        if record.error is None and not any(cells[layout.width :]):
            for one in (place, *layout.chosen.instead.values()):
                evidence.add(record.line, clean(cells[one]) if one < len(cells) else "")
    name = layout.header[place]
    reading = amounts.decide(evidence, name, in_cents(name), wanted.decimal)
    return BookList(file, encoding, layout, evidence, reading, defaults)


def _records(
    file: BinaryIO, encoding: text.Encoding, layout: Layout, progress: Progress
) -> Iterator[ListRecord]:
    """Yield all records below the header."""
    lines = text.open_text(file, encoding.name)
    try:
        for number, record in enumerate(layout.records(lines)):
            if number % PROGRESS_RECORDS == 0:
                progress(file.tell())
            yield record
    finally:
        lines.detach()
