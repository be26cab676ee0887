"""Faults of processes: they are killed, paused, or told to leave."""

from __future__ import annotations

import signal

from tests.cluster.faults.shop import IN_ORDER, Shop
from tests.cluster.memory import Violation


async def kill(shop: Shop) -> str | None:
    name = shop.victim()
    if name is None:
        return None
    with shop.occupied(name):
        shop.tell(f"kill -9 {name}")
        shop.held.add(name)
        await shop.end([name], signal.SIGKILL)
        await shop.lasts(0, 2 * shop.cluster.lease_s)
        shop.held.discard(name)
        await shop.back(name)
    return name


async def terminate(shop: Shop) -> str | None:
    return await _leave(shop, signal.SIGTERM)


async def hang_up(shop: Shop) -> str | None:
    """Close the terminal of one node."""
    return await _leave(shop, signal.SIGHUP)


async def _leave(shop: Shop, number: signal.Signals) -> str | None:
    name = shop.victim()
    if name is None or not await shop.is_ready(name):
        return None
    with shop.occupied(name):
        shop.tell(f"{number.name} {name}")
        shop.held.add(name)
        await shop.end([name], number)
        code = shop.cluster.exit_code(name)
        if not shop.supervised and code not in IN_ORDER:
            raise Violation(f"{name} was sent {number.name}, and ended with {code}")
        shop.held.discard(name)
        await shop.back(name)
    return name


async def pause_briefly(shop: Shop) -> str | None:
    return await _pause(shop, 0.1, 0.9)


async def pause_long(shop: Shop) -> str | None:
    return await _pause(shop, 1.1, 4.0)


async def _pause(shop: Shop, low: float, high: float) -> str | None:
    """Pause a node for so many leases."""
    name = shop.victim()
    pid = None if name is None else shop.cluster.running().get(name)
    if name is None or pid is None:
        return None
    with shop.occupied(name):
        shop.tell(f"SIGSTOP {name}")
        try:
            shop.signal(pid, signal.SIGSTOP)
            await shop.lasts(low * shop.cluster.lease_s, high * shop.cluster.lease_s)
        finally:
            shop.signal(pid, signal.SIGCONT)
        await shop.back(name)
    return name


async def kill_group(shop: Shop) -> str | None:
    role = shop.rng.choice(("catalog", "order", "frontend"))
    names = shop.cluster.group(role)
    with shop.occupied(*names):
        shop.tell(f"kill -9 {' '.join(names)}")
        shop.held.update(names)
        await shop.end(names, signal.SIGKILL)
        await shop.lasts(0, shop.cluster.lease_s)
        shop.rng.shuffle(names)
        for name in names:
            shop.held.discard(name)
            await shop.lasts(0, shop.cluster.lease_s)
        await shop.back(*names)
    return role


async def kill_all(shop: Shop) -> str | None:
    with shop.occupied(*shop.cluster.roles):
        shop.tell("kill -9 of everything")
        await shop.end_all(signal.SIGKILL)
        await shop.start()
    return "all"


async def close_terminal(shop: Shop) -> str | None:
    """Close the terminal of the whole shop: a supervisor stops its nodes in order."""
    with shop.occupied(*shop.cluster.roles):
        await shop.settle()
        shop.tell("SIGHUP to everything")
        await shop.end_all(signal.SIGHUP)
        await shop.start()
    return "all"
