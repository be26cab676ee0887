"""What becomes of commits, locks and sessions when servers, nodes and the ways between fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from storage.postgresql.session import Broken, Refused, Reply, Session, Statement
from tests.facts.lab import begun, confirming, do, n_of, opened, refused, rows, waiting
from tests.world.database.lab import SimulatedLab, show
from tests.world.world import Process

SEEDS = range(6)
TABLE = "t"
READ = "SELECT n FROM t WHERE id = 1"
SET_2 = "UPDATE t SET n = 2 WHERE id = 1"
ADD_10 = "UPDATE t SET n = n + 10 WHERE id = 1 RETURNING n"

Play = Callable[[SimulatedLab], Awaitable[None]]


def every_seed(play: Play) -> Callable[[], None]:
    """Make a test of something that happens in every world."""

    def test() -> None:
        for seed in SEEDS:
            show(seed, lambda lab: staged(lab, play))

    test.__name__, test.__doc__ = play.__name__, play.__doc__
    return test


async def staged(lab: SimulatedLab, play: Play) -> None:
    lab.database.create(f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, n bigint)")
    lab.database.load({(TABLE, 1): {"id": 1, "n": 1}, (TABLE, 2): {"id": 2, "n": 1}})
    await play(lab)


async def broken(running: asyncio.Task[object]) -> None:
    error = (await asyncio.gather(running, return_exceptions=True))[0]
    assert isinstance(error, Broken), error


async def shows(lab: SimulatedLab, session: Session, n: int) -> None:
    async def shown() -> bool:
        return bool(await n_of(session, TABLE) == n)

    await lab.until(shown)


async def ask(session: Session, *sql: str, timeout_s: float) -> Reply:
    return await session.run(*map(Statement, sql), timeout_s=timeout_s)


def beside(lab: SimulatedLab, work: Callable[[Session], Awaitable[object]]) -> Process:
    """Run something with a session in another process."""

    async def run(process: Process) -> None:
        await work(await lab.database.reached_by(process).connect("one", 5.0))

    return lab.world.start(run, "other")


# --- servers -------------------------------------------------------------------------------------


@every_seed
async def test_what_waited_when_its_server_died_is_committed_when_that_is_back(
    lab: SimulatedLab,
) -> None:
    async with opened(lab, "one", "one") as (one, watcher):
        lab.database.freeze("two")
        commit = begun(one, "BEGIN", SET_2, "COMMIT")
        await confirming(lab, watcher)
        lab.database.crash("one")
        await asyncio.sleep(1.0)
        lab.database.restart("one")
        await broken(commit)
    async with opened(lab, "one") as (one,):
        assert await n_of(one, TABLE) == 2
        update = begun(one, ADD_10)
        await asyncio.sleep(1.0)
        assert not update.done()
        lab.database.thaw("two")
        assert (await update).results[0].rows == ((12,),)


@every_seed
async def test_what_was_not_on_disk_is_lost(lab: SimulatedLab) -> None:
    lab.database.pace.flush_s = 1e6
    lab.database.pace.power = 0.0
    async with opened(lab, "one") as (one,):
        commit = begun(one, "BEGIN", SET_2, "COMMIT")
        await asyncio.sleep(0.1)
        lab.database.crash("one")
        await broken(commit)
        lab.database.restart("one")
    async with opened(lab, "one") as (one,):
        assert await n_of(one, TABLE) == 1


@every_seed
async def test_a_server_dies_with_its_machine_or_without(lab: SimulatedLab) -> None:
    """Nobody is told if the machine is gone, and a session is broken only by its time-out."""
    for power, least_s, most_s in ((0.0, 0.0, 0.5), (1.0, 5.0, 5.5)):
        lab.database.pace.power = power
        async with opened(lab, "one") as (one,):
            begin_s = lab.process.time()
            lab.database.crash("one")
            with pytest.raises(Broken):
                await ask(one, READ, timeout_s=5.0)
            assert least_s <= lab.process.time() - begin_s < most_s
            with pytest.raises(Broken):
                await lab.servers.connect("one", 1.0)
            lab.database.restart("one")


@every_seed
async def test_a_deposed_primary_answers_and_confirms_by_itself(lab: SimulatedLab) -> None:
    """What it confirmed is lost when it follows the new one."""
    async with opened(lab, "one", "two") as (one, two):
        lab.database["one"].demand()
        lab.database.cut("one", "two")
        assert (await do(one, "BEGIN", SET_2, "COMMIT")).results[-1].tag == "COMMIT"
        lab.database.promote("two")
        await do(two, "UPDATE t SET n = 7 WHERE id = 1")
        assert await n_of(one, TABLE) == 2
        await do(one, ADD_10)
        lab.database.mend("one", "two")
        lab.database.follow("one", "two")
        lab.database.follow("three", "two")
        with pytest.raises(Broken):
            await n_of(one, TABLE)
    async with opened(lab, "one", "two", "three") as (one, two, three):
        for session in (one, three):
            await shows(lab, session, 7)
        assert await refused(one, SET_2) == "25006"
        lab.database["two"].demand("one", "three")
        await do(two, SET_2)
        for session in (one, three):
            await shows(lab, session, 2)


@every_seed
async def test_an_asynchronous_standby_is_behind_or_ahead(lab: SimulatedLab) -> None:
    async with opened(lab, "one", "one", "two", "three") as (one, watcher, two, three):
        lab.database["three"].lag_s = 50.0
        await do(one, SET_2)
        assert await n_of(three, TABLE) == 1
        await asyncio.sleep(60.0)
        assert await n_of(three, TABLE) == 2
        lab.database["three"].lag_s = 0.0
        lab.database.cut("one", "two")
        update = begun(one, ADD_10)
        await shows(lab, three, 12)
        assert await n_of(watcher, TABLE) == 2
        assert await n_of(two, TABLE) == 2
        lab.database.mend("one", "two")
        await update


@every_seed
async def test_all_servers_are_put_back(lab: SimulatedLab) -> None:
    async with opened(lab, "one") as (one,):
        for _ in range(5):
            await do(one, ADD_10)
        lab.database.put_back(2)
        with pytest.raises(Broken):
            await n_of(one, TABLE)
    async with opened(lab, "one", "two", "three") as (one, two, three):
        for session in (one, two, three):
            assert await n_of(session, TABLE) == 31
        await do(one, ADD_10)
        await shows(lab, two, 41)
        lab.database.put_back(1000)
    async with opened(lab, "one") as (one,):
        assert await n_of(one, TABLE) == 1  # what was loaded is there


@every_seed
async def test_a_commit_that_is_not_flushed_may_be_told(lab: SimulatedLab) -> None:
    lost = 0
    for _ in range(20):
        async with opened(lab, "one") as (one,):
            before = await n_of(one, TABLE)
            await do(one, "BEGIN", "SET LOCAL synchronous_commit = off", ADD_10, "COMMIT")
            await asyncio.sleep(0.1)
            lab.database.crash("one")
            lab.database.restart("one")
        async with opened(lab, "one") as (one,):
            lost += before == await n_of(one, TABLE)
    assert 0 < lost < 20


# --- nodes ---------------------------------------------------------------------------------------


@every_seed
async def test_a_dead_process_holds_its_locks_until_the_server_notices(lab: SimulatedLab) -> None:
    """At once if its kernel tells, by keepalive if that died with it."""
    lab.database.pace.keepalive_s = 100.0
    for power, least_s, most_s in ((0.0, 0.0, 1.0), (1.0, 10.0, 101.0)):
        lab.database.pace.power = power
        other = beside(lab, lambda session: do(session, "BEGIN", SET_2))
        async with opened(lab, "one") as (one,):
            await asyncio.sleep(1.0)
            begin_s = lab.process.time()
            other.die("killed")
            reply = await ask(one, ADD_10, timeout_s=200.0)
            assert least_s <= lab.process.time() - begin_s < most_s
            assert reply.results[0].rows[0][0] % 10 == 1


def test_a_torn_pipeline_is_executed_up_to_the_tear() -> None:
    """An open transaction stays open, with its locks, until the server notices; what was committed
    is committed."""
    came_to: set[tuple[int, bool]] = set()

    async def tear(lab: SimulatedLab, session: Session) -> None:
        lab.database.tear("other")
        with pytest.raises(Broken):
            await ask(session, "BEGIN", SET_2, "COMMIT", timeout_s=1.0)

    async def play(lab: SimulatedLab) -> None:
        lab.database.pace.keepalive_s = 100.0
        beside(lab, lambda session: tear(lab, session))
        async with opened(lab, "one") as (one,):
            await asyncio.sleep(2.0)
            begin_s = lab.process.time()
            reply = await ask(one, ADD_10, timeout_s=200.0)
            waited_s = lab.process.time() - begin_s
            assert waited_s < 1.0 or waited_s >= 8.0
            came_to.add((reply.results[0].rows[0][0], waited_s >= 8.0))

    for seed in range(12):
        show(seed, lambda lab: staged(lab, play))
    assert came_to == {(11, False), (11, True), (12, False)}


# --- ways between --------------------------------------------------------------------------------


@every_seed
async def test_a_reply_comes_late(lab: SimulatedLab) -> None:
    lab.database.pace.keepalive_s = 1e6
    async with opened(lab, "one", "two") as (one, two):
        lab.database.cut("one", "node", one_way=True)
        update = begun(one, SET_2)
        await shows(lab, two, 2)
        await asyncio.sleep(10.0)
        assert not update.done()
        lab.database.mend("node", "one")
        assert (await update).results[0].tag == "UPDATE 1"


@every_seed
async def test_or_too_late(lab: SimulatedLab) -> None:
    async with opened(lab, "one", "two") as (one, two):
        lab.database.stall("one", "node", 40.0)
        await broken(begun(one, SET_2))
        assert one.broken
        await shows(lab, two, 2)


@every_seed
async def test_a_request_is_executed_long_after_it_was_given_up(lab: SimulatedLab) -> None:
    lab.database.pace.keepalive_s = 1e6
    async with opened(lab, "one", "two") as (one, two):
        lab.database.cut("node", "one", one_way=True)
        await broken(begun(one, SET_2))
        await asyncio.sleep(100.0)
        assert await n_of(two, TABLE) == 1
        lab.database.mend("node", "one")
        await shows(lab, two, 2)


@every_seed
async def test_the_server_gives_up_a_connection_that_is_cut(lab: SimulatedLab) -> None:
    lab.database.pace.keepalive_s = 10.0
    async with opened(lab, "one") as (one,):
        await do(one, "BEGIN", SET_2)
        lab.database.cut("node", "one")
        await asyncio.sleep(11.0)
        lab.database.mend("node", "one")
        with pytest.raises(Broken):
            await do(one, "COMMIT")
    async with opened(lab, "one") as (one,):
        assert (await do(one, ADD_10)).results[0].rows == ((11,),)


# --- sessions ------------------------------------------------------------------------------------


@every_seed
async def test_a_cancelled_run_breaks_its_session_and_cancels_nothing(lab: SimulatedLab) -> None:
    async with opened(lab, "one", "one") as (one, watcher):
        lab.database.freeze("two")
        commit = begun(one, "BEGIN", SET_2, "COMMIT")
        await confirming(lab, watcher)
        commit.cancel()
        await asyncio.sleep(5.0)
        assert one.broken
        assert await n_of(watcher, TABLE) == 1
        await confirming(lab, watcher)
        with pytest.raises(Broken):
            await do(one, "SELECT 1")
        lab.database.thaw("two")
        await shows(lab, watcher, 2)


@every_seed
async def test_a_paused_process_reads_nothing_and_the_server_goes_on(lab: SimulatedLab) -> None:
    told: list[None] = []

    async def work(session: Session) -> None:
        await do(session, "BEGIN", SET_2, "COMMIT")
        told.append(None)

    async with opened(lab, "one") as (one,):
        lab.database.freeze("two")
        other = beside(lab, work)
        await confirming(lab, one)
        other.pause(20.0)
        lab.database.thaw("two")
        await shows(lab, one, 2)
        await asyncio.sleep(19.0)
        assert not told
        await asyncio.sleep(2.0)
        assert told


@every_seed
async def test_a_time_out_counts_on_the_clock_of_the_node(lab: SimulatedLab) -> None:
    over: list[float] = []

    async def work(process: Process) -> None:
        session = await lab.database.reached_by(process).connect("one", 5.0)
        lab.database.freeze("one")
        begin_s = lab.world.now
        with pytest.raises(Broken):
            await ask(session, READ, timeout_s=5.0)
        over.append(lab.world.now - begin_s)

    slow = lab.world.process("slow", rate=0.5)
    slow.loop.spawn(lambda: work(slow))
    await asyncio.sleep(12.0)
    assert over and 10.0 <= over[0] < 10.5


@every_seed
async def test_locks_are_given_back_in_order(lab: SimulatedLab) -> None:
    async with opened(lab, "one", "one", "one", "one") as (one, other, third, watcher):
        await do(one, "BEGIN", SET_2)
        first = begun(other, ADD_10)
        await waiting(lab, watcher)
        second = begun(third, "UPDATE t SET n = 2 * n WHERE id = 1 RETURNING n")
        await waiting(lab, watcher, 2)
        await do(one, "COMMIT")
        assert (await first).results[0].rows == ((12,),)
        assert (await second).results[0].rows == ((24,),)


@every_seed
async def test_an_error_gives_the_locks_back_at_once(lab: SimulatedLab) -> None:
    async with opened(lab, "one", "one") as (one, other):
        await do(one, "BEGIN", SET_2)
        with pytest.raises(Refused):
            await do(one, "INSERT INTO t (id) VALUES (1)")
        assert (await do(other, ADD_10)).results[0].rows == ((11,),)
        assert await rows(other, READ) == ((11,),)
