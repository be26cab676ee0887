"""The benchmark as a user runs it; no time is asserted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.cluster.cluster import ROOT, until

RUN_S = 90.0


async def bench(tmp_path: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bazar", "bench", "--client", "own", *arguments),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # A shell lets its background jobs ignore Ctrl-C; these tests may be one.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def processes(tmp_path: Path) -> list[str]:
    """What still runs of it: whatever has a file there on its command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes().decode(errors="replace").replace("\0", " ")
            if f"{tmp_path}/bazar-bench-" in command:
                found.append(command)
    return found


def files(tmp_path: Path) -> list[Path]:
    return list(tmp_path.iterdir())


async def test_figures_have_their_shape(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    process = await bench(tmp_path, "purchases", "--seconds", "0.2", "--json", str(file))
    async with asyncio.timeout(RUN_S):
        output, errors = await process.communicate()
    shown = output.decode()
    assert process.returncode == 0, (shown, errors.decode())
    assert errors == b""  # no progress bar without a terminal
    assert "our own client" in shown
    assert "stock adds up" in shown

    figures = json.loads(file.read_text("utf-8"))
    assert figures["machine"]["python"].startswith("3.")
    assert list(figures["sections"]) == ["purchases"]
    purchases = figures["sections"]["purchases"]
    assert purchases["checked"]["faults"] == []
    assert purchases["checked"]["acknowledged"] > 0
    assert list(purchases["purchase"]) == ["1", "8", "32", "128"]
    for row in purchases["purchase"].values():
        assert row["errors"] == 0
        if row["done"]:
            assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert processes(tmp_path) == []


async def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    process = await bench(tmp_path, "hits", "--seconds", "60")
    try:
        await until(lambda: len(processes(tmp_path)) >= 5, "five nodes run", RUN_S)
    finally:
        process.send_signal(signal.SIGINT)
    async with asyncio.timeout(RUN_S):
        _, errors = await process.communicate()
    assert process.returncode == 130, errors.decode()
    assert b"interrupted" in errors
    assert processes(tmp_path) == []
    assert files(tmp_path) == []


async def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    process = await bench(tmp_path, "speed")
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"speed: is none of timings," in errors
