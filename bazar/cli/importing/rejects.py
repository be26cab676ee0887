"""Keep the rows that were refused in a file that can be mended and imported in its turn."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from bazar.cli.importing.layout import REASON, Layout
from bazar.errors import BadRequest

MAX_NUMBER = 10_000


def default_path(source: Path) -> Path:
    """Beside the list, or where the command runs if nobody may write there; never a file that
    exists, for somebody may be mending it. Raises BadRequest."""
    is_file = source.is_file()
    suffix = source.suffix if source.suffix and is_file else ".csv"
    for directory in (source.parent, Path()) if is_file else (Path(),):
        if not (directory.is_dir() and os.access(directory, os.W_OK)):
            continue
        for number in range(1, MAX_NUMBER):
            mark = "" if number == 1 else f"-{number}"
            path = directory / f"{source.stem}.rejects{mark}{suffix}"
            if not path.exists():
                return path
    raise BadRequest("there is no place for a file of rejected rows: give --rejects FILE")


class Rejects:
    """The list's columns behind one that says why; in UTF-8 with a mark, so that spreadsheets and
    this command know it. The file is in the making until `close`, and is not made for nothing."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self.rows = 0
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file: IO[str] | None = None
        try:  # now, while nothing is written anywhere
            self._file = self._part.open(
                "x", encoding="utf-8-sig", errors="surrogateescape", newline=""
            )
        except OSError as error:
            raise BadRequest(f"{path}: {error.strerror or error}: give --rejects FILE") from error
        self._writer: Any = csv.writer(self._file, delimiter=layout.delimiter)
        self._old = layout.header.index(REASON) if REASON in layout.header else None
        self._write(REASON, layout.header)

    def add(self, reason: str, cells: Sequence[str]) -> None:
        self.rows += 1
        self._write(reason, cells)

    def _write(self, reason: str, cells: Sequence[str]) -> None:
        """What an earlier run had to say goes."""
        kept = [cell for place, cell in enumerate(cells) if place != self._old]
        self._writer.writerow([reason, *kept])

    def close(self) -> None:
        if self._file is None:
            return
        self._file.close()
        self._file = None
        if self.rows:
            self._part.replace(self.path)
        else:
            self._part.unlink()
