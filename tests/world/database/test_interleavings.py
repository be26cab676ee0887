"""A seed decides everything, and what may happen does happen in some worlds, not in all."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress

import pytest

from storage.postgresql.session import Broken, Refused, Statement
from tests.facts.lab import begun, do, n_of, opened
from tests.world.database import Database
from tests.world.database.lab import SimulatedLab, show
from tests.world.database.test_faults import ADD_10, SET_2, TABLE, staged
from tests.world.test_seeds import Watching, first_difference
from tests.world.world import Process

SEEDS = range(60)
PRINT = (
    "from tests.world.database.test_interleavings import *;"
    "print('\\n'.join(everything(int(sys.argv[1]))))"
)


def everything(seed: int) -> list[str]:
    """Return all events of a world in which nodes write and servers fail."""
    with Watching(seed) as lab:
        database = Database(lab, ("one", "two", "three"), ("two",))
        database.create(f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, n bigint)")
        database.load({(TABLE, one): {"id": one, "n": 0} for one in range(3)})
        database.told = lambda *said: lab.note(said)
        database.pace.torn, database.pace.keepalive_s = 0.1, 2.0
        tape = lab.tape("test")
        sql = f"UPDATE {TABLE} SET n = n + 1 WHERE id = $1 RETURNING n"

        async def write(process: Process) -> None:
            servers = database.reached_by(process)
            for _ in range(40):
                with suppress(Broken, Refused):
                    session = await servers.connect(database.primary, 1.0)
                    for _ in range(3):
                        add = [Statement(sql, (tape.below(3),)) for _ in range(2)]
                        ends = Statement("BEGIN"), Statement("COMMIT")
                        await session.run(ends[0], *add, ends[1], timeout_s=1.0)
                    await session.close()

        for name in ("a", "b", "c"):
            lab.start(write, name)
        for at, what in enumerate(
            (
                lambda: database.cut("a", "one"),
                lambda: database.freeze("two"),
                lambda: database.mend("a", "one"),
                lambda: database.cancel_waits("one"),
                lambda: database.end_sessions("one"),
                lambda: database.thaw("two"),
                lambda: database.crash("one"),
                lambda: database.promote("two", "three"),
                lambda: database.restart("one"),
                lambda: database.follow("three", "two"),
                lambda: database.follow("one", "two"),
            )
        ):
            lab.after(0.5 * at + 0.5 * tape.random(), None, what)
        lab.run(60.0)
        for server in database.servers.values():
            lab.note(f"{server} {[row['n'] for row in server.rows(TABLE)]}")
        return lab.notes


def elsewhere(seed: int, hash_seed: str) -> list[str]:
    """Return the same from another process, which hashes strings differently."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


def test_the_same_seed_is_the_same_run_in_any_process() -> None:
    here = everything(3)
    assert sum("tag='COMMIT'" in note for note in here) > 50
    assert first_difference(here, everything(3)) is None
    assert first_difference(here, elsewhere(3, "1")) is None
    assert first_difference(here, everything(4)) is not None


def test_in_the_end_all_servers_agree() -> None:
    for seed in range(10):
        one, two, three = everything(seed)[-3:]
        assert one.split()[1:] == two.split()[1:] == three.split()[1:], seed


# --- what happens in some worlds -----------------------------------------------------------------


async def new_then_old(lab: SimulatedLab) -> bool:
    """A reader sees a commit at the synchronous standby, and then not at the primary."""
    async with opened(lab, "one", "one", "two") as (one, watcher, two):
        commit = begun(one, SET_2)
        while await n_of(two, TABLE) == 1:
            pass
        is_old = bool(await n_of(watcher, TABLE) == 1)
        await commit
        return is_old


async def different_orders(lab: SimulatedLab) -> bool:
    """Of two commits a primary shows the one first, its standby the other (a long fork)."""
    orders: dict[str, list[object]] = {"one": [], "two": []}

    def seen(server: object, commit: object) -> None:
        orders.get(str(server), []).append(commit)

    async with opened(lab, "one", "one") as (one, other):
        await asyncio.sleep(1.0)
        lab.database.seen = seen
        await asyncio.gather(
            begun(one, SET_2), begun(other, f"UPDATE {TABLE} SET n = 2 WHERE id = 2")
        )
        await asyncio.sleep(1.0)
    assert sorted(map(id, orders["one"])) == sorted(map(id, orders["two"]))
    return orders["one"] != orders["two"]


async def barging(lab: SimulatedLab) -> bool:
    """A newcomer gets a lock between its release and the step of whoever waits for it."""
    async with opened(lab, "one", "one", "one") as (one, other, newcomer):
        await do(one, "BEGIN", SET_2)
        waits = begun(other, ADD_10)
        await asyncio.sleep(0.1)
        rollback = begun(one, "ROLLBACK")
        twice = await do(newcomer, f"UPDATE {TABLE} SET n = 2 * n WHERE id = 1 RETURNING n")
        await asyncio.gather(waits, rollback)
        return twice.results[0].rows == ((2,),)


async def reads_between(lab: SimulatedLab) -> bool:
    """Two statements of one READ COMMITTED transaction see two moments."""
    async with opened(lab, "one", "one") as (one, other):
        update = begun(one, f"UPDATE {TABLE} SET n = 2")
        read = f"SELECT n FROM {TABLE} WHERE id = 1"
        seen = False
        while not update.done():
            reply = await do(other, "BEGIN", read, read, "COMMIT")
            seen |= reply.results[1].rows != reply.results[2].rows
        return seen


async def told_before_applied(lab: SimulatedLab) -> bool:
    """A commit is told, and its synchronous standby does not show it."""
    async with opened(lab, "one", "two") as (one, two):
        await do(one, SET_2)
        return bool(await n_of(two, TABLE) == 1)


@pytest.mark.parametrize(
    "play", [new_then_old, different_orders, barging, reads_between, told_before_applied]
)
def test_happens_in_some_worlds(play: object) -> None:
    happened: list[bool] = []

    async def look(lab: SimulatedLab) -> None:
        happened.append(await play(lab))  # type: ignore[operator]

    for seed in SEEDS:
        show(seed, lambda lab: staged(lab, look))
    assert 0 < sum(happened) < len(SEEDS)
