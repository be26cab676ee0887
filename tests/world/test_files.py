"""Files: the effects of system calls, and what a power cut may leave of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path as RealPath
from typing import Any

import pytest

from tests.world.lab import DATA, Lab, call
from tests.world.system import SYSTEM, Path
from tests.world.world import Process

A, B = f"{DATA}/a", f"{DATA}/b"
NEW = SYSTEM.O_RDWR | SYSTEM.O_CREAT | SYSTEM.O_TRUNC
Outcome = dict[str, bytes]


@pytest.fixture
def one() -> Iterator[Process]:
    with Lab() as lab:
        yield lab.process("one")


def write(path: str, content: bytes, *, sync: bool = False, flags: int = NEW) -> None:
    fd = SYSTEM.open(path, flags)
    SYSTEM.write(fd, content)
    if sync:
        SYSTEM.fsync(fd)
    SYSTEM.close(fd)


def sync_names() -> None:
    fd = SYSTEM.open(DATA, SYSTEM.O_RDONLY)
    SYSTEM.fsync(fd)
    SYSTEM.close(fd)


# --- system calls --------------------------------------------------------------------------------


def test_a_name_is_put_in_the_place_of_another(one: Process) -> None:
    """A process that has the old file open goes on with that."""

    def work() -> None:
        write(A, b"old")
        fd = SYSTEM.open(A, SYSTEM.O_RDONLY)
        write(B, b"new")
        Path(B).replace(A)
        Path(A).replace(A)  # nothing happens
        assert SYSTEM.read(fd, 100) == b"old"
        assert Path(A).read_bytes() == b"new"
        assert not os.path.samestat(SYSTEM.fstat(fd), Path(A).stat())  # type: ignore[arg-type]
        with pytest.raises(FileNotFoundError):
            Path(B).stat()

    call(one, work)


def test_a_file_is_read_to_its_end(one: Process) -> None:
    much = bytes(range(256)) * 1000

    def work() -> bytes:
        write(A, much)
        return Path(A).read_bytes()

    assert call(one, work) == much


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (lambda: SYSTEM.open(A, SYSTEM.O_RDONLY), errno.ENOENT),
        (lambda: SYSTEM.open("/elsewhere/a", NEW), errno.ENOENT),
        (lambda: SYSTEM.open(DATA, SYSTEM.O_RDWR), errno.EISDIR),
        (lambda: SYSTEM.read(SYSTEM.open(DATA, SYSTEM.O_RDONLY), 1), errno.EISDIR),
        (lambda: SYSTEM.read(SYSTEM.open(A, NEW) + 1, 1), errno.EBADF),
        (lambda: SYSTEM.read(SYSTEM.open(A, SYSTEM.O_WRONLY | SYSTEM.O_CREAT), 1), errno.EBADF),
        (lambda: SYSTEM.write(SYSTEM.open(A, SYSTEM.O_CREAT), b"x"), errno.EBADF),
        (lambda: SYSTEM.unlink(A), errno.ENOENT),
        (lambda: SYSTEM.replace(A, B), errno.ENOENT),
    ],
)
def test_what_the_kernel_refuses(one: Process, wrong: Callable[[], Any], code: int) -> None:
    def work() -> None:
        with pytest.raises(OSError) as refused:
            wrong()
        assert refused.value.errno == code

    call(one, work)


def test_what_is_not_simulated_does_not_get_out() -> None:
    for name in ("system", "listdir", "environ", "LOCK_SH"):
        with pytest.raises(AttributeError):
            getattr(SYSTEM, name)


def test_a_lock_belongs_to_what_was_opened(one: Process) -> None:
    """Not to the process, and not to the name (flock(2)); `tmp_path` says the same."""

    def work() -> list[str]:
        return locks(SYSTEM, A, B)

    assert call(one, work) == ["again", "refused", "another file", "free"]


def test_a_real_lock_does_the_same(tmp_path: RealPath) -> None:
    import fcntl

    class Real:
        O_RDWR, O_CREAT, LOCK_EX, LOCK_NB = os.O_RDWR, os.O_CREAT, fcntl.LOCK_EX, fcntl.LOCK_NB
        open, close, unlink, flock = os.open, os.close, os.unlink, fcntl.flock

    found = locks(Real, str(tmp_path / "a"), str(tmp_path / "b"))
    assert found == ["again", "refused", "another file", "free"]


def locks(system: Any, path: str, other: str) -> list[str]:
    """Try what the locks of one process do to each other."""
    found, how = [], system.LOCK_EX | system.LOCK_NB
    first = system.open(path, system.O_RDWR | system.O_CREAT)
    second = system.open(path, system.O_RDWR)
    system.flock(first, how)
    system.flock(first, how)
    found.append("again")
    try:
        system.flock(second, how)
    except BlockingIOError:
        found.append("refused")
    system.unlink(path)
    third = system.open(path, system.O_RDWR | system.O_CREAT)
    system.flock(third, how)
    found.append("another file")
    system.close(first)
    system.flock(second, how)
    found.append("free")
    system.close(second)
    system.close(third)
    return found


def test_a_write_may_take_a_part_only(one: Process) -> None:
    one.world.files.short_chance = 1.0  # type: ignore[attr-defined]

    def work() -> int:
        return SYSTEM.write(SYSTEM.open(A, NEW), b"1234")

    assert 0 < call(one, work) < 4


# --- a power cut ---------------------------------------------------------------------------------


def left(work: Callable[[], None], seeds: int = 300) -> list[Outcome]:
    """Return what power cuts leave of `work`, each outcome once."""
    outcomes: list[Outcome] = []
    for seed in range(seeds):
        with Lab(seed) as lab:
            process = lab.process("one")
            call(process, work)
            process.die("no power")
            lab.files.power_cut()
            outcome = {name: file.content for name, file in lab.files.names.items()}
            if outcome not in outcomes:
                outcomes.append(outcome)
            again = dict(outcome)
            lab.files.power_cut()  # what has come back is on the disk
            assert again == {name: file.content for name, file in lab.files.names.items()}
    return outcomes


def both(outcomes: list[Outcome], *expected: Outcome) -> bool:
    return sorted(map(repr, outcomes)) == sorted(map(repr, expected))


def test_what_is_synced_stays() -> None:
    def work() -> None:
        write(A, b"12", sync=True)
        sync_names()

    assert both(left(work), {A: b"12"})


def test_a_synced_file_has_no_name_before_its_directory_is_synced() -> None:
    assert both(left(lambda: write(A, b"12", sync=True)), {A: b"12"}, {})


def test_an_unsynced_write_is_lost_or_torn_at_any_byte() -> None:
    def work() -> None:
        write(A, b"123")
        sync_names()

    assert both(left(work), {A: b""}, {A: b"1"}, {A: b"12"}, {A: b"123"})


def test_of_two_writes_the_second_may_reach_the_disk_alone() -> None:
    def work() -> None:
        write(A, b"", sync=True)
        sync_names()
        fd = SYSTEM.open(A, SYSTEM.O_RDWR)
        SYSTEM.write(fd, b"1")
        SYSTEM.write(fd, b"2")

    expected = (b"", b"1", b"12", b"\0", b"\x002")  # a size may be there before the data
    assert both(left(work), *({A: content} for content in expected))


def test_a_file_that_was_emptied_may_be_empty_or_as_it_was() -> None:
    """Written anew in place, it is safe at no moment."""

    def work() -> None:
        write(A, b"old", sync=True)
        sync_names()
        write(A, b"new")

    outcomes = left(work)
    for found in (b"old", b"", b"new", b"n", b"nld", b"ne", b"ned"):
        assert {A: found} in outcomes


def test_a_rename_may_be_on_the_disk_before_the_data() -> None:
    def work() -> None:
        write(A, b"old", sync=True)
        sync_names()
        write(B, b"n")
        SYSTEM.replace(B, A)

    outcomes = left(work)
    assert {A: b""} in outcomes  # the old content is lost, and the new is not there yet
    assert {A: b"old"} in outcomes and {A: b"n"} in outcomes
    assert {A: b"old", B: b"n"} in outcomes


def test_a_rename_is_whole_or_has_not_been() -> None:
    def work() -> None:
        write(A, b"old", sync=True)
        write(B, b"new", sync=True)
        sync_names()
        SYSTEM.replace(B, A)

    assert both(left(work), {A: b"old", B: b"new"}, {A: b"new"})


def test_a_name_that_was_removed_may_come_back() -> None:
    def work() -> None:
        write(A, b"1", sync=True)
        sync_names()
        SYSTEM.unlink(A)

    assert both(left(work), {A: b"1"}, {})


def test_a_power_cut_without_draws_loses_nothing() -> None:
    """The least remarkable outcome, for shrinking."""
    with Lab(silent={"files": set(range(100))}) as lab:
        process = lab.process("one")
        call(process, lambda: write(A, b"12"))
        process.die("no power")
        lab.files.power_cut()
        assert lab.files.names[A].content == b"12"
