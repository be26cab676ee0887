"""A file of refused rows, which can be corrected and imported itself."""

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
    """Return a path beside the list, or in the working directory if that may not be written to. It
    never exists yet: an existing file may be the one that the keeper is correcting. Raises
    BadRequest."""
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
    """A file with the list's columns behind one with the reason; in UTF-8 with a byte order mark,
    by which spreadsheets and this command recognize it. It is complete after `close`, and is not
    made if it has no rows."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self.rows = 0
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file: IO[str] | None = None
        try:  # fail now, while nothing is written anywhere
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
        """Write a row. The reasons of an earlier run are left out."""
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
