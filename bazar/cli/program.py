"""The program `python -m bazar`: it finds the command and the shop, and runs it."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bazar.cli import (
    Command,
    Shop,
    Standalone,
    adopt,
    backup,
    bench,
    demo,
    export,
    found,
    import_books,
    join,
    move,
    orders,
    promote,
    rebuild,
    remove_samples,
    restart,
    restore,
    serve,
    status,
    token,
    verify,
)
from bazar.cli.ending import INTERRUPTED
from bazar.cluster_file import default_config, load
from bazar.errors import BazarError
from handlers import ROLES

COMMANDS: dict[str, Command] = {
    "import": import_books,
    "orders": orders,
    "status": status,
    "verify": verify,
    "restart": restart,
    "join": join,
    "promote": promote,
    "rebuild": rebuild,
    "found": found,
    "adopt": adopt,
    "move": move,
    "token": token,
    "backup": backup,
    "restore": restore,
    "export": export,
    "remove-samples": remove_samples,
}
WITHOUT_A_SHOP: dict[str, Standalone] = {"serve": serve, "demo": demo, "bench": bench}
CLEANS_UP = {"import", "backup"}  # these have something to do when interrupted; others end at once


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Return 0 if it did everything, 1 if a part, 2 if nothing."""
    parser = argparse.ArgumentParser(prog="python -m bazar", description="Look after a shop.")
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--config", type=Path, default=default_config(), help="the shop's cluster.json"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        summary = (command.__doc__ or "").split("\n")[0]
        command.add_flags(
            commands.add_parser(name, help=summary, description=summary, parents=[everywhere])
        )
    for name, alone in WITHOUT_A_SHOP.items():
        summary = (alone.__doc__ or "").split("\n")[0]
        alone.add_flags(commands.add_parser(name, help=summary, description=summary))
    flags = parser.parse_args(arguments)
    try:
        if flags.command in WITHOUT_A_SHOP:
            return WITHOUT_A_SHOP[flags.command].run(flags)
        return asyncio.run(_run(flags))
    except asyncio.CancelledError:
        return INTERRUPTED
    except BazarError as error:
        print(f"bazar {flags.command}: {error}", file=sys.stderr)
        return 2


async def _run(flags: argparse.Namespace) -> int:
    if flags.command in CLEANS_UP:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with Shop(load(flags.config, ROLES)) as shop:
        return await COMMANDS[flags.command].run(shop, flags)
