"""The benchmark as a user runs it; no time is asserted."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.cluster.cluster import ROOT, until
from tests.postgresql.directory import PASSWORD
from tests.postgresql.servers import Server

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
    """Return what still runs: each process with a file of the directory in its command line."""
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


NOTE = """
import os, sys
if "--role" in sys.argv:
    with open(os.path.join(os.path.dirname(__file__), "nodes"), "a") as _file:
        print(*sys.argv, file=_file)
"""


async def test_another_checkout_is_run_as_it_is(tmp_path: Path) -> None:
    other, file = tmp_path / "other", tmp_path / "figures.json"
    for name in ("bazar", "handlers", "storage"):
        shutil.copytree(ROOT / name, other / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("run.py", "cluster.json"):
        shutil.copy(ROOT / name, other)
    with (other / "bazar" / "node" / "server.py").open("a") as app:
        app.write(NOTE)
    flags = ("--against", str(other), "--rounds", "1", "--seconds", "0.2", "--json", str(file))
    process = await bench(tmp_path, "hits", "idle", *flags)
    async with asyncio.timeout(RUN_S):
        output, errors = await process.communicate()
    assert process.returncode == 0, (output.decode(), errors.decode())
    assert f"the other: other, in {other}" in output.decode()

    # Each of its ten processes of a section imported its modules, not ours; those that rest are
    # started twice, the second time by a supervisor.
    nodes = (other / "bazar" / "node" / "nodes").read_text().splitlines()
    assert [line.split()[0] for line in nodes] == [str(other / "run.py")] * 30
    roles = Counter(line.split("--role ")[1].split()[0] for line in nodes)
    assert roles == {"frontend": 6, "catalog": 12, "order": 12}

    sections = json.loads(file.read_text("utf-8"))["sections"]
    hits = sections["hits"]["cached info, 32 connections"]
    idle = sections["idle"]["at rest"]
    names = ["frontend-1", "catalog-1", "catalog-2", "order-1", "order-2", "all nodes"]
    assert list(hits) == [*(f"{name} µs" for name in names), "answers a second"]
    assert list(idle) == [f"{name} % of a core" for name in (*names[:5], "supervisor", "all nodes")]
    for figures in idle.values():  # a node at rest may well use nothing in so short a time
        assert min(figures[side] for side in ("this", "other", "again")) >= 0
    for name, figures in hits.items():
        least = min(figures[side] for side in ("this", "other", "again"))
        # What serves no hit may well use nothing in so short a time.
        assert least > 0 or (least == 0 and name.startswith(("catalog", "order"))), name
        if not least:
            continue
        assert figures["ratio"]["median"] == figures["this"] / figures["other"]
        assert figures["noise"]["median"] == figures["again"] / figures["other"]
    assert processes(tmp_path) == []


def over_postgresql(tmp_path: Path, server: Server, user: str, password: str) -> Path:
    """Return a cluster.json with the nodes of this checkout's."""
    plain = json.loads((ROOT / "cluster.json").read_text("utf-8"))
    dsn = f"user={user} dbname=postgres password={password}"
    engine = {"kind": "postgresql", "servers": [server.address], "dsn": dsn}
    path = tmp_path / "postgresql.json"
    path.write_text(json.dumps({**plain, "engine": engine}), "utf-8")
    return path


async def test_shops_over_postgresql(tmp_path: Path, postgresql_server: Server) -> None:
    """They have databases of their own, and leave none behind."""
    over = over_postgresql(tmp_path, postgresql_server, "postgres", PASSWORD)
    file = tmp_path / "figures.json"
    there = "SELECT datname FROM pg_database WHERE datname LIKE 'bazar_bench_%'"
    flags = ("--config", str(over), "--seconds", "0.2", "--json", str(file))
    for beside in ((), ("--against", str(ROOT / "cluster.json"), "--rounds", "1")):
        process = await bench(tmp_path, "purchases", *flags, *beside)
        async with asyncio.timeout(RUN_S):
            output, errors = await process.communicate()
        assert process.returncode == 0, (output.decode(), errors.decode())
        found = json.loads(file.read_text("utf-8"))["sections"]["purchases"]
        if not beside:
            assert found["checked"]["faults"] == []
            assert found["checked"]["acknowledged"] > 0
        else:
            figures = found["purchase, 32 connections"]
            names = ["frontend-1", "catalog-1", "catalog-2", "order-1", "order-2", "PostgreSQL"]
            shown = [*(f"{name} µs" for name in (*names, "all nodes")), "answers a second"]
            assert list(figures) == shown
            server = figures["PostgreSQL µs"]
            assert server["this"] > 0 and server["other"] == server["again"] == 0
        assert postgresql_server.ask(there) == []

    process = await bench(tmp_path, "start", *flags)
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"start: is for shops over files" in errors


async def test_who_may_not_make_a_database_is_told(
    tmp_path: Path, postgresql_server: Server
) -> None:
    role = f"poor_{secrets.token_hex(6)}"
    postgresql_server.ask(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        over = over_postgresql(tmp_path, postgresql_server, role, "secret")
        process = await bench(tmp_path, "purchases", "--config", str(over))
        async with asyncio.timeout(RUN_S):
            _, errors = await process.communicate()
        assert process.returncode == 2
        assert b"permission denied to create database (42501): ALTER ROLE" in errors
        assert b"secret" not in errors
    finally:
        postgresql_server.ask(f"DROP ROLE {role}")


async def test_a_shop_at_rest_and_at_its_start(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    # Long enough for some renewals of each lease.
    process = await bench(tmp_path, "idle", "start", "--seconds", "2", "--json", str(file))
    async with asyncio.timeout(RUN_S):
        output, errors = await process.communicate()
    assert process.returncode == 0, (output.decode(), errors.decode())
    sections = json.loads(file.read_text("utf-8"))["sections"]
    idle = {who: figures["percent"] for who, figures in sections["idle"].items()}
    assert len(idle) == 7
    assert 0 < idle["supervisor"] < idle["all nodes"]
    assert 0 < idle["catalog-1"] < idle["all nodes"]
    assert list(sections["start"]) == ["with no data", "with data"]
    for parts in sections["start"].values():
        first, supervisor, *nodes = parts.values()
        assert list(parts)[2:] == ["frontend-1", "catalog-1", "catalog-2", "order-1", "order-2"]
        assert first["ready_s"] > 0
        assert supervisor["processor_s"] > 0
        for figures in nodes:
            assert figures["processor_s"] > 0
            assert figures["ready_s"] > 0


async def test_what_can_not_be_compared_is_refused(tmp_path: Path) -> None:
    for said, arguments in (
        (b"caching: --against is for throughput,", ("caching", "--against", str(ROOT))),
        (b"--rounds: goes with --against", ("hits", "--rounds", "2")),
        (b"--rounds 0: must be 1 to 100", ("hits", "--against", str(ROOT), "--rounds", "0")),
        (b"is no checkout of Bazar", ("hits", "--against", str(tmp_path))),
    ):
        process = await bench(tmp_path, *arguments)
        _, errors = await process.communicate()
        assert process.returncode == 2
        assert said in errors


async def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    process = await bench(tmp_path, "speed")
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"speed: is none of timings," in errors
