"""Load books from a CSV file into the running shop.

Columns: title and topic, and optionally author, cost and count; a header line names them. Runs of
white space become one space. A book that the shop has already (same title, author and topic) stays
as it is, so that a second run changes nothing. A bad row is reported with its line, and the rest
goes in.
"""

from __future__ import annotations

import argparse
import csv
import re
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from bazar import clock
from bazar.commands import Shop
from bazar.config import NodeConfig
from bazar.errors import BadRequest
from bazar.pool import ReplicaPool
from handlers import inputs

IMPORT_PATH = "/import"
BATCH_ROWS = 500
ATTEMPT_S = 10.0
DEADLINE_S = 30.0
MAX_ERRORS_SHOWN = 20

COLUMNS = ("title", "author", "topic", "cost", "count")
NUMBERS = ("cost", "count")
PLACE = re.compile(r"^books\[\d+\][.:] ?")  # the line says it better


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.csv")
    parser.add_argument("--cost", type=int, help="in cents, where the file has none")
    parser.add_argument("--count", type=int, help="in stock, where the file has none")


@dataclass(slots=True)
class Tally:
    created: int = 0
    known: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.created} created, {self.known} there already, {len(self.errors)} bad"


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Exit code 1 if a row was bad."""
    tally = Tally()
    pool = ReplicaPool(shop.config.group("catalog"), shop.config.pool, clock.now)
    try:
        # Bytes that are not UTF-8 come in as surrogates, so that only their row is refused.
        file = flags.file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
        with file, tqdm(total=flags.file.stat().st_size, unit="B", disable=None) as bar:
            bar.unit_scale = True
            for batch in _batches(file, {"cost": flags.cost, "count": flags.count}, tally):
                await _send(shop, pool, batch, tally)
                if file.seekable():
                    bar.update(file.buffer.tell() - bar.n)
    except OSError as error:
        raise BadRequest(f"{flags.file}: {error.strerror or error}") from error
    finally:
        _report(flags.file, tally)
    return 1 if tally.errors else 0


def _report(file: Path, tally: Tally) -> None:
    for line, reason in sorted(tally.errors)[:MAX_ERRORS_SHOWN]:
        print(f"{file}:{line}: {reason}", file=sys.stderr)
    if len(tally.errors) > MAX_ERRORS_SHOWN:
        print(f"… and {len(tally.errors) - MAX_ERRORS_SHOWN} more", file=sys.stderr)
    print(tally)


Row = tuple[int, dict[str, Any]]


def _batches(file: TextIO, defaults: dict[str, int | None], tally: Tally) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for line, book in _books(file, defaults, tally):
        batch.append((line, book))
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _books(file: TextIO, defaults: dict[str, int | None], tally: Tally) -> Iterator[Row]:
    """Each good row with the line it begins on; the others go to the tally."""
    reader = csv.reader(file, strict=True)
    header = next(reader, None)
    if header is None:
        raise BadRequest("the file is empty")
    columns = [name.strip().lower() for name in header]
    _check(columns, defaults)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
            if cells:
                yield line, _book(columns, cells, defaults)
        except StopIteration:
            return
        except (csv.Error, BadRequest) as error:
            tally.errors.append((line, str(error)))


def _check(columns: list[str], defaults: dict[str, int | None]) -> None:
    for name in columns:
        if name not in COLUMNS:
            raise BadRequest(f"line 1: column {name!r} is unknown; known are {', '.join(COLUMNS)}")
        if columns.count(name) > 1:
            raise BadRequest(f"line 1: column {name!r} is given twice")
    for name in ("title", "topic"):
        if name not in columns:
            raise BadRequest(f"line 1: there is no column {name!r}")
    for name in NUMBERS:
        if name not in columns and defaults[name] is None:
            raise BadRequest(f"line 1: there is no column {name!r}: give --{name}")


def _book(columns: list[str], cells: list[str], defaults: dict[str, int | None]) -> dict[str, Any]:
    if len(cells) != len(columns):
        raise BadRequest(f"has {len(cells)} cells, the header {len(columns)}")
    book: dict[str, Any] = {"author": None, **defaults}
    for name, cell in zip(columns, cells, strict=True):
        clean = " ".join(cell.split())
        if any("\udc80" <= char <= "\udcff" for char in clean):
            raise BadRequest(f"{name}: is not UTF-8")
        if name not in NUMBERS:
            book[name] = clean or None
        elif clean:
            if not (clean.isascii() and clean.isdigit() and len(clean) <= 18):
                raise BadRequest(f"{name}: {clean[:40]!r} is not a whole number")
            book[name] = int(clean)
    for name in ("title", "topic", *NUMBERS):
        if book[name] is None:
            raise BadRequest(f"{name}: is missing")
    return inputs.new_book(book)


async def _send(shop: Shop, pool: ReplicaPool, batch: list[Row], tally: Tally) -> None:
    body = {"books": [book for _, book in batch]}
    key = secrets.token_hex(16)

    async def attempt(node: NodeConfig) -> Any:
        return await shop.client.call(node, IMPORT_PATH, body, ATTEMPT_S, key=key)

    answer = await pool.call(attempt, DEADLINE_S)
    for (line, _), result in zip(batch, answer["results"], strict=True):
        if "error" in result:
            tally.errors.append((line, PLACE.sub("", result["error"])))
        elif result["created"]:
            tally.created += 1
        else:
            tally.known += 1
