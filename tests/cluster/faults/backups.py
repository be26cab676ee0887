"""Backups that are made while customers buy, and a shop that is lost, and begun again from one.

What was acknowledged before a backup was begun is in it, whatever happens meanwhile. When all is
deleted, and restored, what came after that moment is lost, and nothing else.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.faults.operator import go_on
from tests.cluster.faults.restores import REPLICATED, read_first
from tests.cluster.faults.shop import Shop
from tests.cluster.memory import Violation
from tests.cluster.moments import Moment

MOST_SAVED = 3


@dataclass(frozen=True, eq=False, slots=True)
class Saved:
    """A backup's file, and what it holds."""

    file: Path
    moment: Moment


async def save(shop: Shop) -> str | None:
    """Make a backup. It may not be possible now; then it says so."""
    file = shop.cluster.directory / f"saved-{shop.rng.randrange(10**9)}.bazar"
    known, cancelled = dict(shop.memory.sold), dict(shop.memory.cancelled)
    shop.tell(f"{file.name} is made")
    code, said = await shop.command("backup", str(file))
    if code == 2 and "Traceback" not in said and not file.exists():
        shop.tell(f"it is not made: {said}")
        return None
    if code != 0:
        raise Violation(f"backup ended with {code}: {said}")
    code, said = await shop.command("verify", str(file))
    if code != 0:
        raise Violation(f"verify of a backup ended with {code}: {said}")
    moment = Moment.of_backup(file)
    for key, sold in known.items():
        if moment.sold.get(key) != sold:
            raise Violation(f"{key} was acknowledged as {sold}; saved is {moment.sold.get(key)}")
    for order_id, copies in cancelled.items():
        if moment.cancelled.get(order_id) != copies:
            raise Violation(f"{copies} of {order_id} were cancelled, and are not in the backup")
    shop.saved.append(Saved(file, moment))
    if len(shop.saved) > MOST_SAVED:
        shop.saved.pop(shop.rng.randrange(MOST_SAVED)).file.unlink()
    return "all"


async def lose_and_restore(shop: Shop) -> str | None:
    """Delete everything but the token, and restore."""
    if not shop.saved:
        return await save(shop)
    saved = shop.rng.choice(shop.saved)
    number = shop.rng.choice((signal.SIGTERM, signal.SIGKILL))
    names = list(shop.cluster.roles)
    with shop.occupied(*names):
        await shop.settle()
        shop.tell(f"all is deleted after {number.name}, and {saved.file.name} restored")
        async with shop.down(names, number):
            shop.memory.end_history()
            for path in shop.cluster.data_dir.iterdir():
                if path.name != "token":
                    path.resolve().unlink(missing_ok=True)
            code, said = await shop.command("restore", str(saved.file))
            if code != 0:
                raise Violation(f"restore ended with {code}: {said}")
            # Nothing is pending in a backup: what was under way then does not happen by itself.
            shop.memory.begin_history(saved.moment, ())
            shop.memory.put_back_orders()
            shop.lines.update({group: [] for group in REPLICATED})
            reading = asyncio.create_task(read_first(shop))
        await reading
        await shop.settle()
        if await go_on(shop):
            raise Violation("a backup was restored, and the orders do not follow")
    return "all"
