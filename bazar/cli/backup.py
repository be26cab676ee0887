"""Write the whole shop, as it is at one moment, into a file, while it runs or not."""

from __future__ import annotations

import argparse
import secrets
from datetime import UTC, datetime
from pathlib import Path

from bazar.cli import Shop
from bazar.cli.places import check_whole, held, snapshot
from storage.backup.writing import NewBackup
from storage.engines import TABLES
from storage.moving import copy


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a new file, for its owner only")


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    check_whole(shop.config)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    async with (
        held(NewBackup(flags.file, now)) as target,
        held(snapshot(shop.config, list(TABLES))) as origin,
    ):
        print(f"Backing up {origin.name}, as of {now}, to {flags.file}.", flush=True)
        await copy(
            origin=origin,
            target=target,
            tables=TABLES,
            name=secrets.token_hex(8),
            say=lambda line: print(line, flush=True),
        )
    print(f"{flags.file} is whole, the same in every row: {flags.file.stat().st_size} bytes.")
    return 0
