"""Move the whole shop to where another cluster.json keeps it: to PostgreSQL, or back to files.

Both shops are stopped. The one that is left refuses to open afterwards, until it is told to stay.
"""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path

from bazar.cli import Shop
from bazar.cli.places import check_whole, held, place
from bazar.cluster_file import load
from bazar.config import Config
from bazar.errors import BadRequest, Conflict
from bazar.node.data_directory import prepare_data_dir
from handlers import ROLES
from storage.engines import TABLES
from storage.moving import ARRIVING, GONE, move


def add_flags(parser: argparse.ArgumentParser) -> None:
    does = parser.add_mutually_exclusive_group(required=True)
    does.add_argument(
        "--to", type=Path, metavar="OTHER.json", help="the cluster.json by which it goes on"
    )
    does.add_argument(
        "--stay",
        action="store_true",
        help="open again the shop that a move has left behind here, as it was then",
    )


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    if flags.stay:
        return await _stay(shop.config)
    other = load(flags.to, ROLES)
    for config in (shop.config, other):
        check_whole(config)
    if _same(shop.config, other):
        raise BadRequest(f"--to {flags.to}: keeps the shop where it is already")
    prepare_data_dir(other)
    async with held(place(shop.config)) as source, held(place(other)) as target:
        print(f"Moving {source.name} to {target.name}.", flush=True)
        await move(
            source=source,
            target=target,
            tables=TABLES,
            new_id=secrets.token_hex(8),
            say=lambda line: print(line, flush=True),
        )
        print(f"The shop is in {target.name} now, the same in every row: start it with {flags.to}.")
        print(f"What was left in {source.name} refuses to open.")
    return 0


async def _stay(config: Config) -> int:
    async with held(place(config)) as here:
        notes = [note for note in here.notes.values() if note is not None]
        if any(note.state == ARRIVING for note in notes):
            raise Conflict(f"{here.name}: what a move has left here is no whole shop: repeat it")
        gone = next((note for note in notes if note.state == GONE), None)
        if gone is None:
            print(f"{here.name}: no move has left this shop.")
            return 0
        await here.leave(None)
        print(f"{here.name} opens again, as it was when it was moved to {gone.other}.")
        print("What was sold there since is unknown here: let only one of the two go on.")
        return 0


def _same(one: Config, other: Config) -> bool:
    """Return whether both keep their shops in the same place, as far as their words tell."""
    if one.engine.kind != other.engine.kind:
        return False
    if one.engine.kind == "sqlite":
        return one.data_dir.resolve() == other.data_dir.resolve()
    engines = (one.engine, other.engine)
    return len({(engine.servers, tuple(sorted(engine.dsn.items()))) for engine in engines}) == 1
