"""Load a list of books into the shop, and say first how it is understood.

Most lists of other programs can be read: separator, encoding, columns and the decimal sign are
detected, and shown before anything is written. A book that the shop already has (same title, author
and topic) stays as it is, so that a second run changes nothing; one that is retired stays so, and
is named. Each fault of a row is reported with its line. The row is written to a file, to be
corrected and imported; all other rows are imported.

The shop is running, or there is none yet: then one begins with this list, and without the samples.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from bazar.amounts import MAX_DIGITS
from bazar.cli import Shop, this_program
from bazar.cli.catalog import CatalogWriter, beginning
from bazar.cli.importing import report
from bazar.cli.importing.amounts import DECIMALS
from bazar.cli.importing.columns import COLUMNS
from bazar.cli.importing.layout import Layout, Wanted, read_delimiter
from bazar.cli.importing.reading import BookList, Progress, understand
from bazar.cli.importing.rejects import Rejects, default_path
from bazar.cli.importing.report import Tally
from bazar.cli.importing.rows import Problem, Row
from bazar.cli.importing.text import check_encoding
from bazar.cli.status import closed, is_open
from bazar.cluster_file import default_config
from bazar.errors import BadRequest
from bazar.node.data_directory import prepare_data_dir
from bazar.node.token import durable_tokens
from handlers import validation
from storage.engines import is_new

PLACE = re.compile(r"^books\[\d+\][.:] ?")
IMPORT_PATH = "/import"
BATCH_ROWS = 500
ROWS_SHOWN = 3
PREVIEW_ROWS = 1000  # how many rows are searched for the first books to show


def _cents(text: str) -> int:
    if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > MAX_DIGITS:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no whole number of cents, such as 1299")
    return int(text)


def add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "file",
        type=lambda name: Path("/dev/stdin" if name == "-" else name),
        metavar="FILE.csv",
        help="the list, with a line that names its columns; - for standard input",
    )
    add("--dry-run", action="store_true", help="only check all rows, and show what is understood")
    add(
        "--map",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help=f"which column is ours, as in --map cost=Price; ours are {', '.join(COLUMNS)}. Theirs"
        " is its name, or #3 for the third",
    )
    add("--ignore", action="append", default=[], metavar="COLUMN", help="leave out this column")
    add("--delimiter", metavar="SIGN", help="what separates the cells: one sign, or tab")
    add("--encoding", metavar="NAME", help="such as cp1252, cp1250, cp1251, mac_roman, shift_jis")
    add(
        "--decimal",
        choices=DECIMALS,
        metavar="SIGN",
        help="that of prices, . or ,; or else cents, if they are whole numbers of cents",
    )
    add("--topic", help="where the list has none")
    add("--cost", type=_cents, metavar="CENTS", help="the price where the list has none")
    add("--stock", "--count", type=int, dest="count", metavar="N", help="where the list has none")
    add("--rejects", type=Path, metavar="FILE", help="for rows that are refused; else a new one"
        " beside the list")  # fmt: skip


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Import the list. Return 1 if a row was rejected."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # titles have letters of any script
    try:
        with _opened(flags.file) as file:
            books = _understand(file, flags)
            _show(books, flags)
            with _rejects(flags, books.layout) as rejects:
                async with _catalog(shop, flags) as catalog:
                    return await _import(catalog, flags, books, rejects)
    except OSError as error:
        raise BadRequest(f"{flags.file}: {error.strerror or error}") from error


# --- the list --------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open the list, which is read more than once. Copy a pipe to a file for that."""
    with path.open("rb") as file:
        if file.seekable():
            yield file
            return
        with tempfile.TemporaryFile() as kept:
            shutil.copyfileobj(file, kept)
            yield kept


@contextlib.contextmanager
def _progress(file: BinaryIO, doing: str) -> Iterator[Progress]:
    size = file.seek(0, 2)
    with tqdm(total=size, desc=doing, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        yield lambda at: bar.update(at - bar.n)


def _defaults(flags: argparse.Namespace) -> dict[str, Any]:
    given = {"topic": flags.topic, "cost": flags.cost, "count": flags.count}
    return {
        ours: validation.FIELD_RULES[ours](value, COLUMNS[ours].default or ours)
        for ours, value in given.items()
        if value is not None
    }


def _understand(file: BinaryIO, flags: argparse.Namespace) -> BookList:
    wanted = Wanted(
        delimiter=None if flags.delimiter is None else read_delimiter(flags.delimiter),
        mapped=flags.map,
        ignored=flags.ignore,
        encoding=None if flags.encoding is None else check_encoding(flags.encoding),
        decimal=flags.decimal,
    )
    defaults = _defaults(flags)
    with _progress(file, "looking") as progress:
        try:
            return understand(file, wanted, defaults, progress)
        except BadRequest as error:
            raise BadRequest(f"{flags.file}: {error}") from error


def _show(books: BookList, flags: argparse.Namespace) -> None:
    print(f"{flags.file} is understood as:", *report.describe(books), sep="\n")
    with contextlib.closing(books.rows()) as rows:
        first = list(islice((row for row in islice(rows, PREVIEW_ROWS) if row.book), ROWS_SHOWN))
    print("The first books of it:" if first else "It begins with no row that is a book.")
    for line in report.show_rows(first):
        print(line)


# --- the shop ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _rejects(flags: argparse.Namespace, layout: Layout) -> Iterator[Rejects | None]:
    """Open the file for rejected rows. A dry run has none, unless `--rejects` names one."""
    path: Path | None = flags.rejects
    if path is None and not flags.dry_run:
        path = default_path(flags.file)
    if path is None:
        yield None
        return
    if path.exists() and (path.samefile(flags.file) or not path.is_file()):
        raise BadRequest(f"--rejects {path}: must be another file")
    with contextlib.closing(Rejects(path, layout)) as rejects:
        yield rejects


async def _import(
    catalog: CatalogWriter | None,
    flags: argparse.Namespace,
    books: BookList,
    rejects: Rejects | None,
) -> int:
    tally = Tally()
    doing = "checking" if flags.dry_run else "importing"
    batch: list[Row] = []
    try:
        with (
            _progress(books.file, doing) as progress,
            contextlib.closing(books.rows(progress)) as rows,
        ):
            for batch in _batches(_good(rows, tally, rejects)):
                if catalog is not None:
                    await _send(catalog, batch, tally, rejects)
            batch = []
    finally:
        for line in (*tally.examples, *tally.faults(flags.file)):
            print(line, file=sys.stderr)
        print(tally.summary(flags.dry_run))
        if batch and not flags.dry_run:
            print(
                f"Stopped: it is not known whether line {batch[0].line} and those below it were"
                " imported. Import the list again when the shop answers: books that it already has"
                " stay as they are.",
                file=sys.stderr,
            )
    if rejects is not None and rejects.rows:
        print(
            f"The rejected rows are in {rejects.path}, each with its reason. Fix them there, then"
        )
        print(f"  {_again(flags, books, rejects.path)}")
    return 1 if tally.rejected else 0


@contextlib.asynccontextmanager
async def _catalog(shop: Shop, flags: argparse.Namespace) -> AsyncIterator[CatalogWriter | None]:
    """Find the shop's catalog; begin it, where there is no shop yet. A dry run needs none. Raises
    Unavailable if a shop is closed: then the list need not be read."""
    if flags.dry_run:
        yield None
        return
    catalog = CatalogWriter(shop)
    try:
        found = await is_open(shop, "catalog")
    except asyncio.CancelledError:  # Ctrl-C, or SIGTERM
        print("Nothing was sent.", file=sys.stderr)
        raise
    if found:
        yield catalog
        if await catalog.has_samples():
            print("The samples are still there. To take them away: python -m bazar remove-samples")
        return
    if not await is_new(shop.config):
        raise closed(shop, "catalog")
    prepare_data_dir(shop.config)
    durable_tokens(shop.config)
    print("There is no shop yet: it begins with this list, and without the samples.", flush=True)
    async with beginning(shop):
        yield catalog
    opens = [*this_program(), "serve", *_config(flags)]
    print(f"The shop has begun, and is closed. To open it: {shlex.join(opens)}")


def _good(rows: Iterable[Row], tally: Tally, rejects: Rejects | None) -> Iterator[Row]:
    """Yield the rows that are books; count the others in the tally."""
    for row in rows:
        if row.left_out is not None:
            tally.leave_out(row)
        elif row.problems:
            _reject(row, tally, rejects)
        else:
            tally.checked += 1
            yield row


def _reject(row: Row, tally: Tally, rejects: Rejects | None) -> None:
    tally.reject(row)
    if rejects is not None:
        rejects.add(str(row), row.cells)


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, BATCH_ROWS)):
        yield batch


async def _send(
    catalog: CatalogWriter, batch: list[Row], tally: Tally, rejects: Rejects | None
) -> None:
    answer = await catalog.write(IMPORT_PATH, {"books": [row.book for row in batch]})
    for row, result in zip(batch, answer["results"], strict=True):
        if "error" in result:
            reason = PLACE.sub("", result["error"])  # the line number is better
            row.problems.append(Problem(reason, reason))
            _reject(row, tally, rejects)
        else:
            tally.done(row, result["id"], result["created"], result.get("retired", False))


def _again(flags: argparse.Namespace, books: BookList, path: Path) -> str:
    """Return the command that reads the corrected rows as this list was read."""
    options = [f"--{name}={value}" for name, value in _given(flags)] + _config(flags)
    words = report.again(books, options)
    return shlex.join([*this_program(), "import", str(path), *words])


def _given(flags: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    for name in ("map", "ignore"):
        for value in getattr(flags, name):
            yield name, value
    for name, value in (("topic", flags.topic), ("cost", flags.cost), ("stock", flags.count)):
        if value is not None:
            yield name, value


def _config(flags: argparse.Namespace) -> list[str]:
    return [] if flags.config == default_config() else [f"--config={flags.config}"]
