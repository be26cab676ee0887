"""What happens to processes, and to their machines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.world.lab import DATA, Lab
from tests.world.system import SYSTEM
from tests.world.world import Killed, Process

# --- time ----------------------------------------------------------------------------------------


def test_each_machine_has_a_clock_of_its_own() -> None:
    with Lab() as lab:
        fast, slow = lab.process("fast", rate=1.01, offset=500.0), lab.process("slow", rate=0.99)
        woken: dict[str, float] = {}

        async def sleep(process: Process) -> None:
            began = process.clock()
            await asyncio.sleep(100.0)
            assert 0 <= process.clock() - began - 100.0 < 0.001
            woken[process.name] = lab.now

        for process in (fast, slow):
            process.loop.spawn(lambda process=process: sleep(process))  # type: ignore[misc]
        lab.run(200.0)
        assert woken["fast"] == pytest.approx(100 / 1.01, abs=0.001)
        assert woken["slow"] == pytest.approx(100 / 0.99, abs=0.001)


@pytest.mark.parametrize("seed", range(5))
def test_timers_fire_in_their_order_and_never_early(seed: int) -> None:
    with Lab(seed) as lab:
        process = lab.process("one", rate=0.997, offset=123.4)
        fired: list[float] = []

        def set_them() -> None:
            loop = process.loop
            for delay in (0.3, -1.0, 0.1, 0.1000001, 0.0, 0.2):
                loop.call_at(loop.time() + delay, fire, loop.time() + delay)

        def fire(due: float) -> None:
            assert process.loop.time() >= due
            fired.append(due)

        process.loop.post(set_them)
        lab.run(1.0)
        assert fired == sorted(fired) and len(fired) == 6


def test_a_timer_that_is_cancelled_does_not_fire() -> None:
    with Lab() as lab:
        process = lab.process("one")
        process.loop.post(lambda: process.loop.call_later(0.1, lab.note, "fired").cancel())
        lab.run(1.0)
        assert lab.notes == []


def test_steps_that_take_long_make_timers_late() -> None:
    late_s = []
    for seed in range(20):
        with Lab(seed) as lab:
            process = lab.process("one")
            process.step_s = 0.5
            process.loop.post(process.loop.call_later, 1.0, lambda: late_s.append(lab.now - 1.0))
            lab.run(10.0)
    assert max(late_s) > 0.2 > 0.01 > min(late_s)


# --- a pause -------------------------------------------------------------------------------------


def test_in_a_pause_nothing_runs_and_afterwards_all_that_was_due() -> None:
    with Lab() as lab:

        async def tick(process: Process) -> None:
            for _ in range(10):
                await asyncio.sleep(1.0)
                lab.note(f"{lab.now:.1f}")

        process = lab.start(tick)
        lab.run(2.5)
        process.pause(4.0)
        lab.run(30.0)
        assert lab.notes == [
            *("1.0", "2.0", "one pauses for 4.00 s", "one goes on"),
            *("6.5", "7.5", "8.5", "9.5", "10.5", "11.5", "12.5", "13.5"),
        ]


def test_a_pause_that_was_ended_does_not_end_the_next() -> None:
    with Lab() as lab:
        process = lab.process("one")
        process.pause(1.0)
        process.resume()
        process.pause(5.0)
        lab.run(2.0)
        assert process.paused
        lab.run(6.0)
        assert not process.paused


# --- the end -------------------------------------------------------------------------------------


def test_a_kill_reaches_nobody() -> None:
    """Its `finally` and `except` have no visible effect."""
    with Lab() as lab:

        async def work(process: Process) -> None:
            try:
                await asyncio.sleep(100.0)
            finally:
                SYSTEM.open(f"{DATA}/left", SYSTEM.O_CREAT)
                lab.note("it has")

        process = lab.start(work)
        lab.run(1.0)
        process.die("killed")
        lab.run(2.0)
        process.loop.dispose()
        assert lab.notes == ["one dies: killed"]
        assert lab.files.names == {}


@pytest.mark.parametrize("seed", range(20))
def test_a_kill_within_a_system_call(seed: int) -> None:
    """After that call nothing is done, whatever is caught."""
    with Lab(seed) as lab:

        async def work(process: Process) -> None:
            process.syscall_chance, process.syscall_s = 1.0, (1.0,)
            number = 0
            while True:
                number += 1
                try:
                    SYSTEM.open(f"{DATA}/{number}", SYSTEM.O_CREAT)
                except Exception:
                    lab.note("caught")
                finally:
                    done.append(number)

        done: list[int] = []
        process = lab.start(work)
        lab.after(5.0, None, process.die, "killed")
        lab.run(10.0)
        assert lab.now >= 10.0
        assert lab.notes == ["one dies: killed"]
        assert len(lab.files.names) == len(done) - 1 > 3  # the last was under way


def test_a_process_that_exits_goes_no_further() -> None:
    with Lab() as lab:

        async def work(process: Process) -> None:
            process.exit("done")
            lab.note("and on")

        process = lab.start(work)
        lab.run(1.0)
        assert not process.alive and lab.notes == ["one dies: done"]


def test_locks_are_let_go_at_the_end() -> None:
    with Lab() as lab:
        holder = lab.start(lock)
        lab.run(1.0)
        other = lab.start(lock, "two")
        lab.run(2.0)
        assert lab.notes == ["one locks", "two can't"]
        holder.die("killed")
        other.loop.spawn(lambda: lock(other))
        lab.run(3.0)
        assert lab.notes[-1] == "two locks"


async def lock(process: Process) -> None:
    fd = SYSTEM.open(f"{DATA}/lock", SYSTEM.O_RDWR | SYSTEM.O_CREAT)
    try:
        SYSTEM.flock(fd, SYSTEM.LOCK_EX | SYSTEM.LOCK_NB)
    except BlockingIOError:
        process.world.note(f"{process.name} can't")  # type: ignore[attr-defined]
    else:
        process.world.note(f"{process.name} locks")  # type: ignore[attr-defined]


# --- system calls and threads --------------------------------------------------------------------


def test_others_go_on_in_the_middle_of_a_step() -> None:
    """As the kernel lets other processes run during a system call."""
    between = 0
    for seed in range(30):
        with Lab(seed) as lab:
            seen: list[str] = []

            async def look(process: Process, seen: list[str] = seen) -> None:
                process.syscall_chance, process.syscall_s = 0.1, (0.5,)
                seen.append("looks")
                process.clock()
                seen.append("has looked")

            async def other(process: Process, seen: list[str] = seen) -> None:
                await asyncio.sleep(0.01)
                seen.append("meanwhile")

            lab.start(other, "two")
            lab.start(look)
            lab.run(10.0)
            assert sorted(seen) == ["has looked", "looks", "meanwhile"]
            between += seen == ["looks", "meanwhile", "has looked"]
    assert 0 < between < 30


def in_a_thread(work: Callable[[], Any], lab: Lab) -> Process:
    async def run(process: Process) -> None:
        ticking = asyncio.create_task(tick())
        try:
            lab.note(await asyncio.to_thread(work))
        except OSError as error:
            lab.note(type(error).__name__)
        ticking.cancel()

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.001)
            lab.note("tick")

    return lab.start(run)


def test_the_loop_goes_on_beside_a_thread() -> None:
    with Lab() as lab:
        lab.files.delay = lambda: 0.01

        def work() -> str:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()  # a thread has none
            for _ in range(3):
                SYSTEM.getpid()
                SYSTEM.open(f"{DATA}/a", SYSTEM.O_CREAT)
            return "done"

        in_a_thread(work, lab)
        lab.run(1.0)
        assert lab.notes[-1] == "done"
        assert 20 < lab.notes.count("tick") < 30


def test_what_a_thread_raises_is_raised_where_it_is_awaited() -> None:
    with Lab() as lab:
        in_a_thread(lambda: SYSTEM.open(f"{DATA}/none", SYSTEM.O_RDONLY), lab)
        lab.run(1.0)
        assert lab.notes[-1] == "FileNotFoundError"


def test_a_kill_ends_a_thread_in_its_system_call() -> None:
    with Lab() as lab:
        lab.files.delay = lambda: 1.0

        def work() -> None:
            for name in "abc":
                SYSTEM.open(f"{DATA}/{name}", SYSTEM.O_CREAT)

        process = in_a_thread(work, lab)
        lab.after(1.5, None, process.die, "killed")
        lab.run(10.0)
        assert list(lab.files.names) == [f"{DATA}/a"]


def test_a_thread_stands_still_while_its_process_is_paused() -> None:
    with Lab() as lab:
        lab.files.delay = lambda: 0.01

        def work() -> str:
            SYSTEM.open(f"{DATA}/a", SYSTEM.O_CREAT)
            return f"{lab.now:.2f}"

        process = in_a_thread(work, lab)
        lab.after(0.005, None, process.pause, 5.0)
        lab.run(20.0)
        ticks, paused = lab.notes[:-1], lab.notes.index("one pauses for 5.00 s")
        assert ticks[paused + 1] == "one goes on"
        assert 5.0 <= float(lab.notes[-1]) < 5.1


# --- a run that gets nowhere ---------------------------------------------------------------------


def test_who_waits_for_what() -> None:
    with Lab() as lab:

        async def wait(process: Process) -> None:
            await deeper(asyncio.Event())

        async def deeper(event: asyncio.Event) -> None:
            await event.wait()

        process = lab.start(wait)
        lab.run(1.0)
        [line] = process.loop.waits()
        assert line.startswith("one: ")
        where = [
            frame.rpartition(":")[0].rpartition("<locals>.")[2]
            for frame in line.removeprefix("one: ").split(" > ")
        ]
        assert where == ["wait", "deeper", "Event.wait"]


def test_a_failure_that_nobody_heard_of_is_told() -> None:
    with Lab() as lab:

        async def fail(process: Process) -> None:
            raise ValueError("alas")

        process = lab.start(fail)
        lab.run(1.0)
        process.loop.dispose()
        assert lab.error == "one: ValueError('alas')"
        lab.error = ""


def test_a_world_that_runs_in_circles_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.world.world.MOST_EVENTS", 1000)

    async def circle(process: Process) -> None:
        while True:
            try:
                SYSTEM.getpid()
                process.elsewhere(1.0)
            except Exception:  # code may swallow the error
                await asyncio.sleep(0)

    with Lab() as lab, pytest.raises(RuntimeError, match="in circles"):
        lab.start(circle)
        lab.start(circle, "two")
        lab.run(1e9)


def test_killed_is_no_exception_that_code_catches() -> None:
    assert not issubclass(Killed, Exception)
