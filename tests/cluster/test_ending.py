"""Commands that are interrupted by Ctrl-C, or whose output is closed, or full."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.cluster import ROOT, Cluster, until

INTERRUPTED, NO_READER = 130, 141
ENDS_S = 60.0


@contextlib.asynccontextmanager
async def started(*words: str, stdout: int = PIPE) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command in a process group of its own, as a shell does, and end all of it after this.
    It hears Ctrl-C, also where these tests run in the background and do not."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", *words),
        cwd=ROOT,
        stdin=DEVNULL,
        stdout=stdout,
        stderr=PIPE,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def broken_off(process: asyncio.subprocess.Process) -> str:
    """Interrupt the process by Ctrl-C; return what it has written to its stderr."""
    process.send_signal(signal.SIGINT)
    _, said = await asyncio.wait_for(process.communicate(), ENDS_S)
    assert process.returncode == INTERRUPTED, said
    text = said.decode()
    assert "Traceback" not in text
    return text


def _catches(pid: int) -> bool:
    """Return whether Python handles Ctrl-C: before it does, Ctrl-C just kills the process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGINT - 1) & 1)


async def test_ctrl_c_before_the_shop_serves(tmp_path: Path) -> None:
    config = tmp_path / "cluster.json"
    os.mkfifo(config)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "run.py", "--config", str(config)),
        cwd=ROOT,
        stdin=DEVNULL,
        stderr=PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    with await asyncio.to_thread(config.open, "wb"):  # when it reads
        process.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(process.communicate(), ENDS_S)
    assert (process.returncode, said) == (-signal.SIGINT, b"")


async def test_ctrl_c_in_a_demo() -> None:
    async with started("bazar", "demo", "all") as process:
        assert process.stdout is not None
        await process.stdout.readline()
        await broken_off(process)


async def test_ctrl_c_while_it_waits_for_nodes_that_hang(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 2}) as shop:
        await shop.start()
        for name in shop.roles:
            await shop.pause(name)
        async with started("bazar", "status", "--config", str(shop.config_path)) as process:
            await until(lambda: _asks(process.pid), "it asks")
            await broken_off(process)
            for name in shop.roles:
                shop.resume(name)


def _asks(pid: int) -> bool:
    """Return whether it has a connection, besides the two sockets that wake its loop."""
    sockets = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has been closed
            sockets += "socket:" in str(fd.readlink())
    return sockets > 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_import_that_is_interrupted_tells_what_has_gone_in(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with Cluster(tmp_path, {"catalog": 1}) as shop:
        await shop.start()
        await shop.pause("catalog-1")
        books = tmp_path / "books.csv"
        books.write_text("title,topic,cost,count\nA,B,1,1\n")
        command = ("bazar", "import", str(books), "--config", str(shop.config_path))
        async with started(*command) as process:
            await until(lambda: _asks(process.pid), "it asks")
            process.send_signal(number)
            _, errors = await asyncio.wait_for(process.communicate(), ENDS_S)
            assert process.returncode == INTERRUPTED, errors
            assert b"Nothing was sent." in errors
            assert b"Traceback" not in errors
            shop.resume("catalog-1")


@pytest.mark.parametrize(
    "command",
    [
        ("tests.simulation", "--seeds", "100000", "--jobs", "2"),
        ("tests.simulation.mutations", "--within", "100000", "--jobs", "1"),
    ],
    ids=lambda words: words[0],
)
async def test_ctrl_c_in_a_hunt_ends_its_workers_too(command: tuple[str, ...]) -> None:
    async with started(*command) as process:
        await until(lambda: _children(process.pid), "it has started a worker")
        await until(lambda: _catches(process.pid), "it waits for its workers")
        children = _children(process.pid)
        await broken_off(process)
        await until(lambda: not any(map(_lives, children)), "no worker is left")


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("command", ["demo", "demo all", "status", "verify", "--help"])
async def test_a_reader_that_has_enough_hears_no_complaint(tmp_path: Path, command: str) -> None:
    async with Cluster(tmp_path, {"catalog": 1, "order": 1}) as shop:
        await shop.start()
        config = [] if command.startswith(("demo", "-")) else ["--config", str(shop.config_path)]
        bazar = (sys.executable, "-m", "bazar", *command.split(), *config)
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", '"$@" | true; echo ${PIPESTATUS[0]}', "bash", *bazar],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=ENDS_S,
        )
        assert done.stderr == ""
        assert int(done.stdout) in (0, 1, NO_READER)  # 0 or 1: all of it fitted into the pipe


async def test_an_output_that_is_full_is_said(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start()
        for words in (
            ("status",),
            ("orders",),
            ("orders", "--csv"),
            ("export", "books", "--format", "csv"),
        ):
            with await asyncio.to_thread(Path("/dev/full").open, "wb") as full:
                async with started(
                    "bazar", *words, "--config", str(shop.config_path), stdout=full.fileno()
                ) as process:
                    _, said = await asyncio.wait_for(process.communicate(), ENDS_S)
            assert process.returncode == 2, words
            assert said == b"standard output: No space left on device\n", words
