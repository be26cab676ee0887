"""What happens to a machine, and to the database on it. Every choice comes from one seed."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.cluster.machines import database
from tests.cluster.machines.database import PORT, USER
from tests.cluster.machines.network import Cut, from_, to
from tests.cluster.machines.shop import COUNT, Shop

LEADERS = ("database", "catalog", "order")
NODES = "meta skuid 0"  # what a filter sees of the nodes' packets, and of the database's
DATABASE = f'meta skuid "{USER}"'
TO_SERVERS = f"{NODES} tcp dport {PORT}"
OF_SERVERS = f"{NODES} tcp sport {PORT}"


@dataclass(frozen=True, slots=True)
class Fault:
    """`act` causes it at a machine, waits for as long as it lasts, and ends it; it returns what was
    chosen. It happens to whoever leads one of `leaders`, in turn."""

    name: str
    act: Callable[[Shop, int], Awaitable[str]]
    leaders: tuple[str, ...] = LEADERS


async def kill(shop: Shop, victim: int) -> str:
    """Kill all of its processes; boot it later."""
    unplug = shop.rng.random() < 0.5
    await shop.machines[victim].kill(unplug=unplug)
    await shop.lasts(16.0, 26.0)
    await shop.machines[victim].boot()
    return "without a word" if unplug else "connections are closed"


async def pause(shop: Shop, victim: int) -> str:
    """Stop all of its processes; let them go on later, as if nothing had been."""
    machine = shop.machines[victim]
    await machine.pause()
    await shop.lasts(1.0, 24.0)
    machine.resume()
    return ""


async def _cut(shop: Shop, cuts: dict[int, Cut], low: float = 5.0, high: float = 20.0) -> None:
    for number, cut in cuts.items():
        shop.machines[number].cut(cut)
    await shop.lasts(low, high)
    for number in cuts:
        shop.machines[number].heal()


async def cut_off_from_one(shop: Shop, victim: int) -> str:
    other = shop.rng.choice(shop.others(victim))
    await _cut(shop, {victim: Cut((from_(other),), (to(other),))})
    return f"from {other}"


async def cut_off_from_all(shop: Shop, victim: int) -> str:
    """Cut it off from the other machines; customers still reach it."""
    others = shop.others(victim)
    await _cut(shop, {victim: Cut((from_(*others),), (to(*others),))})
    return ""


async def cut_off_from_database(shop: Shop, victim: int) -> str:
    """Cut its nodes off from every database server, their own machine's, too."""
    await _cut(shop, {victim: Cut((OF_SERVERS,), (TO_SERVERS,))})
    return ""


async def cut_off_one_way(shop: Shop, victim: int) -> str:
    other, others = shop.rng.choice(shop.others(victim)), shop.others(victim)
    ways = {
        f"it sends nothing to {other}": Cut(output=(to(other),)),
        f"it hears nothing of {other}": Cut(input=(from_(other),)),
        "it sends nothing to the others": Cut(output=(to(*others),)),
        "it hears nothing of the others": Cut(input=(from_(*others),)),
        "no answer of a database server arrives": Cut(input=(OF_SERVERS,)),
    }
    way = shop.rng.choice(list(ways))
    await _cut(shop, {victim: ways[way]})
    return way


async def kill_database(shop: Shop, victim: int) -> str:
    """Kill its server. Patroni sees to what follows."""
    shop.machines[victim].signal("postgres", signal.SIGKILL)
    await shop.lasts(5.0, 10.0)
    return ""


async def fail_over(shop: Shop, victim: int) -> str:
    """Have Patroni hand over to the standby that is in step."""
    for member in await database.members(COUNT):
        if member["role"] == "sync_standby":
            candidate = int(member["name"].removeprefix("m"))
            said = await database.switch_over(victim, candidate)
            await shop.lasts(3.0, 6.0)
            return f"to {candidate}: {said}"
    return "no standby was in step"


async def depose(shop: Shop, victim: int) -> str:
    """Cut a database primary off from etcd and its standbys, but from no node. Patroni has it read
    only, or stands still, too, so that it takes itself for the primary."""
    machine, others = shop.machines[victim], shop.others(victim)
    still = shop.rng.random() < 0.5
    if still:
        machine.signal("patroni", signal.SIGSTOP)
    cuts = {victim: Cut(output=(f"{DATABASE} {to(*others)} tcp sport != {PORT}",))}
    cuts |= {other: Cut(output=(f"{DATABASE} {to(victim)}",)) for other in others}
    await _cut(shop, cuts, 16.0, 26.0)
    if still:
        machine.signal("patroni", signal.SIGCONT)
    return "its Patroni stands still" if still else "its Patroni knows"


FAULTS = (
    Fault("machine killed", kill),
    Fault("machine paused", pause),
    Fault("machine cut off from one", cut_off_from_one),
    Fault("machine cut off from all", cut_off_from_all),
    Fault("nodes cut off from the database", cut_off_from_database),
    Fault("cut off one way only", cut_off_one_way),
    Fault("database primary killed", kill_database, ("database",)),
    Fault("database primary failed over", fail_over, ("database",)),
    Fault("database primary deposed, answers", depose, ("database",)),
)
