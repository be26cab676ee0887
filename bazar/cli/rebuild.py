"""Make a group's membership anew from its nodes' databases, when the .members file is lost."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bazar.cli import Shop, over_files
from bazar.errors import Conflict, NotFound
from bazar.replication.file_arbiter import FileArbiter, lock_exclusively
from bazar.replication.messages import GENESIS, Mark, Member, Membership
from storage.engines import TABLES
from storage.history import EPOCH_SHIFT
from storage.sqlite.errors import Damaged
from storage.sqlite.integrity import faults_of
from storage.sqlite.replica_file import reading
from storage.sqlite.wal import lacks_wal, take_as_whole


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("role", metavar="ROLE", choices=list(TABLES))
    parser.add_argument("--force", action="store_true", help="do it; else only say what it costs")


@dataclass(frozen=True, slots=True)
class Held:
    """What one node's database holds."""

    member: Member
    epoch: int | None  # of the log's last entry
    last: Mark
    begun: int | None  # the newest epoch that has committed anything of its own
    committed: Mark
    pending: frozenset[Mark]
    faults: Sequence[str]


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Print what may be lost, and with `--force` record the membership. Return 1 if it was not
    done."""
    over_files(shop.config, "it keeps no .members, and none can be lost")
    data_dir, role = shop.config.data_dir, flags.role
    arbiter = FileArbiter(data_dir, role)
    if not arbiter.try_acquire():
        raise Conflict(f"the {role} group has a primary")
    try:
        with _nobody_runs(shop, role):
            membership = arbiter.read()
            if membership is not None and membership.members:
                raise Conflict(
                    f"the {role} group has its membership, of epoch {membership.epoch}: if none of"
                    " its members will return, see python -m bazar promote"
                )
            held = list(_look(shop, role))
            best = _best(role, held)
            epoch = _highest_epoch(shop, role) + 1
            _tell(role, held, best, epoch)
            if not flags.force:
                print("Nothing is changed. Repeat the command with --force to change it.")
                return 1
            for path in (data_dir / f"{one.member.node}.db" for one in held):
                if lacks_wal(path):
                    take_as_whole(path)
            # A new epoch, so that entries which only a lost file has are told apart from these. Not
            # clean, so that the new primary waits for leases that may still be held.
            members = frozenset(one.member for one in best)
            await arbiter.record(Membership(epoch, members, shop.config.replication.lease_s))
            print(f"The {role} group goes on when its nodes are started.")
            return 0
    finally:
        arbiter.release()


@contextlib.contextmanager
def _nobody_runs(shop: Shop, role: str) -> Iterator[None]:
    """Hold every node's lock meanwhile. Raises ConfigError if a node runs: its database would
    change."""
    with contextlib.ExitStack() as stack:
        for node in shop.config.group(role):
            stack.callback(os.close, lock_exclusively(shop.config.data_dir / f"{node.name}.pid"))
        yield


def _look(shop: Shop, role: str) -> Iterator[Held]:
    """Yield what each node's database holds, and print a line about each node."""
    for node in shop.config.group(role):
        path = shop.config.data_dir / f"{node.name}.db"
        try:
            with reading(node.name, path) as file:
                epoch, last = file.tail()
                faults = list(faults_of(file, TABLES[role]))
                begun, committed, pending = file.begun(), file.committed, file.pending()
        except NotFound:
            print(f"{node.name} has no file here: what it alone had is lost.")
            continue
        except Damaged as error:
            print(f"{node.name}'s file holds nothing that can be read ({error}).")
            continue
        if lacks_wal(path):
            print(f"{node.name}'s file is a copy without its WAL: what was in that is lost.")
        print(f"{node.name}'s log ends with entry {last.seq}, of epoch {epoch or 'unknown'}.")
        for fault in faults[:1]:
            print(f"It is damaged, and does not count: {fault}")
        member = Member(node.name, file.store)
        yield Held(member, epoch, last, begun, committed, pending, faults)


def _best(role: str, held: Sequence[Held]) -> list[Held]:
    """Return the databases that have every committed entry, and of those the ones whose log is the
    most up to date: of the latest epoch, then the longest, as in Raft (section 5.4.1). That rule
    alone is not enough. A primary commits entries of older epochs without an entry of its own
    behind them (T3), and another disk may hold what a later epoch prepared in their place but never
    committed. Raises Conflict if there is no such database, or if they do not hold one history."""
    whole = [one for one in held if not one.faults and one.last != GENESIS]
    if not whole:
        raise Conflict(f"no database of the {role} group has any entry to go on with")
    furthest = _highest(whole, [(one.begun, one.committed.seq) for one in whole])
    committed = _only(furthest, [one.committed for one in furthest])
    have_it = [one for one in whole if committed in one.pending or committed == one.committed]
    best = _highest(have_it, [(one.epoch, one.last.seq) for one in have_it])
    _only(best, [one.last for one in best])
    return best


def _highest(held: Sequence[Held], places: Sequence[tuple[int | None, int]]) -> list[Held]:
    """Return those with the highest place: epoch, if all have one, then entry."""
    comparable = all(epoch is not None for epoch, _ in places)
    ranks = [(epoch or 0 if comparable else 0, seq) for epoch, seq in places]
    return [one for one, rank in zip(held, ranks, strict=True) if rank == max(ranks)]


def _only(held: Sequence[Held], marks: Sequence[Mark]) -> Mark:
    """Return the mark that all of them have. Raises Conflict if they differ."""
    if len(set(marks)) > 1:
        nodes = " and ".join(one.member.node for one in held)
        raise Conflict(
            f"{nodes} have different logs of the same length: move the file of one of them away"
        )
    return marks[0]


def _highest_epoch(shop: Shop, role: str) -> int:
    """Return the highest epoch that any database knows: from its log, or from the numbers of the
    catalog's epochs, which the orders hold too."""
    highest = 0
    for other, tables in TABLES.items():
        for node in shop.config.group(other):
            path = shop.config.data_dir / f"{node.name}.db"
            with contextlib.suppress(NotFound, Damaged), reading(node.name, path) as file:
                highest = max(highest, file.highest_number(tables) >> EPOCH_SHIFT)
                if other == role:
                    highest = max(highest, file.tail()[0] or 0)
    return highest


def _tell(role: str, held: Sequence[Held], best: Sequence[Held], epoch: int) -> None:
    """Print what may be lost."""
    [last] = {one.last for one in best}
    names = ", ".join(one.member.node for one in best)
    print(f"To be recorded as in sync: {names}, in epoch {epoch}, with all up to entry {last.seq}.")
    print("Which were in sync is not known any more: what was acknowledged beyond that is lost.")
    for one in held:
        if one not in best and one.last.seq > last.seq:
            lost = f"{last.seq + 1} to {one.last.seq}"
            print(f"{one.member.node}'s entries {lost} are not on that log, and would be lost.")
