"""Print all books or orders, as of one moment, for other programs; the shop runs or not."""

from __future__ import annotations

import argparse
import sys

from bazar.cli import Shop
from bazar.cli.places import held, snapshot
from storage import exports

WHAT = {
    "books": ("catalog", exports.books, exports.BOOK),
    "orders": ("order", exports.orders, exports.LINE),
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=list(WHAT))
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl"),
        required=True,
        help="a table, in UTF-8; or a JSON object in each line",
    )


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    role, records, columns = WHAT[flags.what]
    as_bytes = exports.as_json if flags.format == "jsonl" else exports.as_csv(columns)
    out = sys.stdout.buffer
    async with held(snapshot(shop.config, [role])) as origin:
        if flags.format == "csv":
            out.write(exports.head(columns))
        async for some in records(origin):
            out.write(as_bytes(some))
    out.flush()
    return 0
