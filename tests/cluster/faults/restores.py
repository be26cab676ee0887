"""Files that are put back to an earlier moment, and the operator who then does what the shop says.

A backup is taken as docs/operations.md says: everything is stopped, `data` copied, everything
started. Later the files of one group, of both, or of one node replace the present ones. What was
acknowledged before the backup is there then; what came after is missing where the files were put
back, and the shop names it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bazar.replication.file_arbiter import parse_membership
from tests.cluster.faults.operator import go_on, refuses_to_start
from tests.cluster.faults.shop import Shop
from tests.cluster.memory import Violation, Write
from tests.cluster.moments import Moment

REPLICATED = ("catalog", "order")
MOST_BACKUPS = 3
READ_S = 1.0
# What happens to a group's `.members`, and whether the `.db` alone is copied at first. With the
# last two a node starts in vain, for which its port must be free.
PUT_BACK, STAYS, GONE, DATABASES_ALONE = "put back", "stays", "gone", "databases alone at first"
COPY_WITHOUT_WAL = "is a copy of a database in use, without its WAL"


@dataclass(frozen=True, eq=False, slots=True)
class Backup:
    """A copy of `data`, and what was true of it."""

    place: Path
    of_crash: bool  # its nodes were killed: their databases alone are no copies
    moment: Moment
    open: Sequence[Write]
    older: Mapping[str, Collection[Backup]]  # by group: the backups from which its history has come


async def keep(shop: Shop) -> str | None:
    """Take a backup."""
    names = list(shop.cluster.roles)
    with shop.occupied(*names):
        await shop.settle()
        number = shop.rng.choice((signal.SIGTERM, signal.SIGKILL))
        shop.tell(f"a backup is taken, after {number.name}")
        async with shop.down(names, number):
            place = Path(tempfile.mkdtemp(prefix="backup-", dir=shop.cluster.directory))
            _copy(_files(shop, REPLICATED), place)
            moment = _moment(shop, place)
            shop.memory.check_kept(moment)
            were_open = [replace(write) for write in shop.memory.open.values()]
            lines = {role: list(shop.lines.get(role, ())) for role in REPLICATED}
            backup = Backup(place, number == signal.SIGKILL, moment, were_open, lines)
            for role in REPLICATED:
                shop.lines[role] = [*lines[role], backup]
            if len(shop.backups) == MOST_BACKUPS:
                shutil.rmtree(shop.backups.pop(shop.rng.randrange(MOST_BACKUPS)).place)
            shop.backups.append(backup)
    return "all"


def _moment(shop: Shop, place: Path) -> Moment:
    """Read a copy of the copy: reading the files leaves others beside them."""
    with tempfile.TemporaryDirectory() as scratch:
        _copy(place.iterdir(), Path(scratch))
        return Moment.of(Path(scratch) / f"{name}.db" for name in shop.cluster.group("catalog"))


async def put_back_catalog(shop: Shop) -> str | None:
    return await _put_back(shop, ["catalog"])


async def put_back_orders(shop: Shop) -> str | None:
    return await _put_back(shop, ["order"])


async def put_back_both(shop: Shop) -> str | None:
    return await _put_back(shop, ["catalog", "order"])


async def _put_back(shop: Shop, groups: Sequence[str]) -> str | None:
    if not shop.backups:
        await keep(shop)
        return None
    backup = shop.rng.choice(shop.backups)
    everywhere = list(shop.cluster.roles)
    those = [name for name in everywhere if shop.cluster.roles[name] in groups]
    names = shop.rng.choice((those, everywhere))
    way = _way(shop.rng, backup, all_down=names == everywhere)
    number = shop.rng.choice((signal.SIGTERM, signal.SIGKILL))
    with shop.occupied(*everywhere):
        await shop.settle()
        if way == STAYS and not all(_same_members(shop, backup, group) for group in groups):
            way = PUT_BACK
        down = "all" if names == everywhere else "they"
        shop.tell(f"{' and '.join(groups)} are put back; {down} were down; membership {way}")
        reading: asyncio.Task[None] | None = None
        try:
            async with shop.down(names, number):
                await _replace(shop, backup, groups, way)
                if "catalog" in groups:
                    reading = asyncio.create_task(read_first(shop))
            if reading is not None:
                await reading
        finally:
            if reading is not None:
                reading.cancel()
        await shop.settle()
        if await go_on(shop) and len(groups) == len(REPLICATED):
            raise Violation("all was put back to one moment, and the orders do not follow")
    return " and ".join(groups)


def _way(rng: random.Random, backup: Backup, *, all_down: bool) -> str:
    ways = [PUT_BACK, STAYS]
    if all_down:
        ways += [GONE] + [DATABASES_ALONE] * backup.of_crash
    return rng.choice(ways)


def _same_members(shop: Shop, backup: Backup, group: str) -> bool:
    """Return whether the present record is of the files that are put back."""
    places = (shop.cluster.data_dir, backup.place)
    now, then = (parse_membership((at / f"{group}.members").read_bytes()) for at in places)
    return now.members == then.members


async def _replace(shop: Shop, backup: Backup, groups: Sequence[str], way: str) -> None:
    memory = shop.memory
    if "catalog" in groups:
        memory.end_history()
    kept = [path for path in backup.place.iterdir() if path.name.startswith(tuple(groups))]
    stays = [f"{group}.members" for group in groups] if way == STAYS else []
    for path in _files(shop, groups):
        if path.name not in stays:
            path.unlink()
    if way == DATABASES_ALONE:
        _put(shop, [path for path in kept if path.suffix in (".db", ".members")])
        await refuses_to_start(shop, groups, lambda group: COPY_WITHOUT_WAL)
        for path in _files(shop, groups):
            path.unlink()
    _put(shop, [path for path in kept if path.name not in stays])
    if way == GONE:
        for group in groups:
            (shop.cluster.data_dir / f"{group}.members").unlink()
        await refuses_to_start(shop, groups, lambda group: f"python -m bazar rebuild {group}")
        for group in groups:
            await _rebuild(shop, group)
    if "catalog" in groups:
        memory.begin_history(backup.moment, backup.open)
    if "order" in groups:
        memory.put_back_orders()
    for group in groups:
        shop.lines[group] = [*backup.older[group], backup]


async def _rebuild(shop: Shop, group: str) -> None:
    """Make a membership anew from the databases."""
    code, said = await shop.command("rebuild", group)
    if code != 1 or "To be recorded as in sync: " not in said:
        raise Violation(f"rebuild {group} ended with {code}: {said}")
    code, said = await shop.command("rebuild", group, "--force")
    if code != 0:
        raise Violation(f"rebuild {group} --force ended with {code}: {said}")


async def read_first(shop: Shop) -> None:
    """Be the first to read the new history."""

    async def answered() -> bool:
        for name in shop.cluster.group("catalog"):
            with contextlib.suppress(OSError):
                async with shop.cluster.client(name) as client:
                    if (await client.get("/info/1", timeout_s=READ_S)).status == 200:
                        return True
        return False

    await shop.wait(answered, "a catalog replica answers a read")
    shop.memory.readable()


async def put_back_node(shop: Shop) -> str | None:
    """Put back the files of one node, while the others of its group go on."""
    group = shop.rng.choice(REPLICATED)
    name = shop.rng.choice(shop.cluster.group(group))
    # A file of a lost history would make the others believe that they have lost something.
    found = [backup for backup in shop.backups if backup in shop.lines[group]]
    if not found:
        await keep(shop)
        return None
    backup = shop.rng.choice(found)
    number = shop.rng.choice((signal.SIGTERM, signal.SIGKILL))
    with shop.occupied(*shop.cluster.roles):
        await shop.settle()
        shop.tell(f"{name} is put back, after {number.name}")
        async with shop.down([name], number):
            for path in shop.files(name):
                path.unlink()
            _put(shop, backup.place.glob(f"{name}.db*"))
        await shop.settle()
    return name


# --- files ---------------------------------------------------------------------------------------


def _files(shop: Shop, groups: Iterable[str]) -> list[Path]:
    """Return all files of these groups, where they really are."""
    found: list[Path] = []
    for group in groups:
        found += [p for p in shop.cluster.data_dir.glob(f"{group}*") if ".db" not in p.name]
        for name in shop.cluster.group(group):
            found += shop.files(name)
    return found


def _put(shop: Shop, kept: Iterable[Path]) -> None:
    """Copy these files to where they belong."""
    for path in kept:
        name, database, _ = path.name.partition(".db")
        place = shop.database(name).parent if database else shop.cluster.data_dir
        shutil.copy(path, place)


def _copy(files: Iterable[Path], place: Path) -> None:
    for path in files:
        shutil.copy(path, place)
