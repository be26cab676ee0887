"""Change the token by which nodes know each other, while the shop is open.

For a moment two are taken: `add` makes a second one, `use` has it sent from now on, `drop` forgets
the other. Each restarts this machine's nodes, one at a time. `change` does all three.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from bazar.addresses import is_own
from bazar.cli import Shop, restart
from bazar.errors import BadRequest, Conflict, Unavailable
from bazar.node.token import (
    MOST,
    TOKEN_VARIABLE,
    cluster_tokens,
    new_token,
    read_tokens,
    token_file,
    write_tokens,
)

STEPS = ("add", "use", "drop")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("step", choices=("change", *STEPS))
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="with add: the new token, as the first machine has made it (its data/token)",
    )


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    if TOKEN_VARIABLE in os.environ:
        raise Conflict(f"{TOKEN_VARIABLE} is set, and counts in place of the file: change it there")
    if flags.source is not None and flags.step != "add":
        raise BadRequest("--from goes with add")
    engine = shop.config.engine
    if engine.kind == "postgresql" and not engine.cluster_id:
        from storage.postgresql.engine import id_of_cluster

        raise Conflict(
            "the database knows this shop by its first token: put that into cluster.json on all"
            ' machines, and restart their nodes, then change the token: "engine":'
            f' {{"cluster_id": "{id_of_cluster(cluster_tokens(shop.config)[0])}", …}}'
        )
    if flags.step == "change":
        if len(cluster_tokens(shop.config)) > 1:
            raise Conflict(
                "a change has not come to its end: `token use` sends the last one, `token drop`"
                " forgets the others"
            )
        elsewhere = [one.name for one in shop.config.nodes.values() if not is_own(one.host)]
        if elsewhere:
            raise Conflict(
                f"{', '.join(elsewhere)}: run on other machines: do add on each machine, then use"
                " on each, then drop on each"
            )
    path = token_file(shop.config)
    steps = STEPS if flags.step == "change" else (flags.step,)
    for place, step in enumerate(steps, start=1):
        tokens = _after(step, cluster_tokens(shop.config), flags.source)
        write_tokens(path, tokens)
        print(f"{path}: {_told(tokens)}", flush=True)
        try:
            with Shop(shop.config) as known:
                await restart.run(known, argparse.Namespace(nodes=[]))
        except Unavailable as error:
            left = ", then ".join(["`restart`", *(f"`token {one}`" for one in steps[place:])])
            raise Unavailable(f"{error}. {_told(tokens)}: see to that node, then {left}") from None
    return 0


def _after(step: str, tokens: Sequence[str], source: Path | None) -> Sequence[str]:
    """Return the tokens after this step. Raises Conflict where it is not its turn,
    ConfigError where `source` has no tokens."""
    sent, *others = tokens
    if step == "add":
        if len(tokens) == MOST:
            raise Conflict(
                f"there are {MOST} tokens already: use the last one, and drop the others"
            )
        added = new_token() if source is None else read_tokens(source)[-1]
        return (sent, *others, added) if added not in tokens else tokens
    if step == "drop":
        return (sent,)
    if not others:
        raise Conflict("there is one token only: add another one first")
    return (others[-1], sent, *others[:-1])


def _told(tokens: Sequence[str]) -> str:
    return "one token" if len(tokens) == 1 else f"{len(tokens)} tokens are taken, the first is sent"
