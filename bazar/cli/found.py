"""Let a group begin empty where it does not begin by itself."""

from __future__ import annotations

import argparse

from bazar.cli import Shop, over_files
from bazar.errors import Conflict
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.messages import Membership
from storage.engines import TABLES
from storage.sqlite.founding import histories


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("role", metavar="ROLE", choices=list(TABLES))


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Record a membership without members: the first node that gets the lock begins (T0)."""
    config, role = shop.config, flags.role
    over_files(config, f"where it has no schema bazar_{role} the group begins by itself")
    arbiter = FileArbiter(config.data_dir, role)
    if not arbiter.try_acquire():
        raise Conflict(f"the {role} group has a primary")
    try:
        membership = arbiter.read()
        if membership is not None and membership.members:
            raise Conflict(f"the {role} group has begun: it is in epoch {membership.epoch}")
        for path in histories(config, role):
            raise Conflict(f"{path}: has a log; to go on with it: python -m bazar rebuild {role}")
        await arbiter.record(Membership(0, frozenset(), config.replication.lease_s, clean=True))
        print(f"The {role} group begins when its nodes are started.")
        return 0
    finally:
        arbiter.release()
