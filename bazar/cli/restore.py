"""Begin a shop from a backup, where there is none: in as many nodes, over files or PostgreSQL."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bazar.cli import Shop
from bazar.cli.places import check_whole, held, place
from bazar.node.data_directory import prepare_data_dir
from bazar.node.token import TOKEN_VARIABLE, token_file
from storage.backup.reading import Backup
from storage.engines import TABLES
from storage.moving import copy


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="what `backup` has written")


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    check_whole(shop.config)
    async with held(Backup(flags.file)) as backup:  # it is whole, or nothing is written
        prepare_data_dir(shop.config)
        async with held(place(shop.config)) as target:
            print(
                f"Restoring {backup.name}, of {backup.origin} as of {backup.made_at}, to"
                f" {target.name}.",
                flush=True,
            )
            await copy(
                origin=backup,
                target=target,
                tables=TABLES,
                name=backup.id,
                say=lambda line: print(line, flush=True),
            )
    print(f"The shop is in {target.name}, the same in every row: start it.")
    print("It goes on as a history of its own: what was sold since the backup is unknown to it.")
    print(f"A backup holds no token: this shop's {_token(shop)}.")
    return 0


def _token(shop: Shop) -> str:
    """Return where the token is, or will be."""
    if TOKEN_VARIABLE in os.environ:
        return f"is what {TOKEN_VARIABLE} has"
    path = token_file(shop.config)
    return f"is in {path}" if path.exists() else f"will be in {path} with its first start"
