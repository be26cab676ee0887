"""Let a replica that is not in sync become primary, if no in-sync replica will ever return."""

from __future__ import annotations

import argparse
import dataclasses

from bazar.cli import Shop, over_files
from bazar.errors import Conflict, NotFound
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.messages import GENESIS, Mark, Member, Membership
from storage.sqlite.founding import histories
from storage.sqlite.replica_file import ReplicaFile, closing, reading
from storage.sqlite.wal import lacks_wal, take_as_whole


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", metavar="NODE")
    parser.add_argument("--force", action="store_true", help="do it; else only say what it costs")


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Print what may be lost, and with `--force` record the membership. Return 1 if it was not
    done."""
    over_files(
        shop.config,
        "any node that reaches it may lead, and does so by itself. To go on with a server that"
        " lacks commits is PostgreSQL's to decide (pg_promote, or Patroni's failover)",
    )
    if flags.node not in shop.config.nodes:
        raise NotFound(f"{flags.node}: is not in {shop.config.path}")
    role = shop.config.nodes[flags.node].role
    arbiter = FileArbiter(shop.config.data_dir, role)
    if not arbiter.try_acquire():
        raise Conflict(f"the {role} group has a primary: {flags.node} will catch up by itself")
    try:
        membership = arbiter.read()
        if membership is None or not membership.members:
            for path in histories(shop.config, role):
                raise Conflict(
                    f"{path.name} has a log, and {role}.members is missing: make it anew: python -m"
                    f" bazar rebuild {role}"
                )
            raise Conflict(f"the {role} group has never had a primary: just start {flags.node}")
        with reading(flags.node, shop.config.data_dir / f"{flags.node}.db") as file:
            ours = file.committed
            me = Member(flags.node, file.store)
            # orders are made again from the catalog's sales
            if role == "catalog" and file.tail()[1] == GENESIS:
                raise Conflict(
                    f"{flags.node} holds nothing, and would begin with the samples. If that is what"
                    f" you want, move {role}.members away, and: python -m bazar found {role}"
                )
        is_copy = lacks_wal(file.path)  # which is what its node refuses to start on
        if me in membership.members and not is_copy:
            print(f"{flags.node} is in sync: it becomes primary by itself when it is started")
            return 1
        if is_copy:
            print(f"{flags.node}'s file is a copy without its WAL: what was in that is lost.")
        _tell(shop, membership, me, ours)
        if not flags.force:
            print("Nothing is changed. Repeat the command with --force to change it.")
            return 1
        if is_copy:
            take_as_whole(file.path)
        # A new epoch, so that entries which only a lost member has are told apart from ours. Not
        # clean, so that the new primary waits for leases that may still be held.
        forced = dataclasses.replace(
            membership, epoch=membership.epoch + 1, members=frozenset({me}), clean=False
        )
        await arbiter.record(forced)
        print(f"{flags.node} is the only member now, and becomes primary when it is started.")
        return 0
    finally:
        arbiter.release()


def _file(shop: Shop, node: str) -> ReplicaFile:
    return ReplicaFile(node, shop.config.data_dir / f"{node}.db")


def _tell(shop: Shop, membership: Membership, me: Member, ours: Mark) -> None:
    """Print what may be lost."""
    names = ", ".join(sorted(member.node for member in membership.members))
    was_not = "" if me in membership.members else f" {me.node} was not."
    print(f"In sync when epoch {membership.epoch} was recorded: {names}.{was_not}")
    print(f"{me.node} holds everything up to entry {ours.seq}.")
    for member in sorted(membership.members - {me}):
        try:
            file = _file(shop, member.node)
        except NotFound:
            print(f"{member.node} has no file here: what it had acknowledged beyond that is lost.")
            continue
        with closing([file]):
            theirs = file.look()
            if file.store != member.store:
                print(f"{member.node}'s file is not the one that was in sync: what it had is lost.")
            elif lacks_wal(file.path) and theirs.seq <= ours.seq:
                print(f"{member.node}'s file is a copy without its WAL, too, and goes no further.")
            elif theirs.seq > ours.seq:
                print(
                    f"{member.node}'s file goes up to entry {theirs.seq}: entries {ours.seq + 1} "
                    f"to {theirs.seq} WOULD BE LOST. Start {member.node} instead if you can."
                )
            else:
                print(f"{member.node}'s file goes no further: start it instead if you can.")
