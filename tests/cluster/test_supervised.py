"""Faults below a supervisor: nothing else starts a node again."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import sqlite3
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bazar import clock
from bazar.cluster_file import parse
from bazar.node import supervisor
from bazar.node.log_writer import Outlet
from bazar.node.supervisor import Supervisor
from handlers import ROLES
from tests.cluster import ports
from tests.cluster.cluster import Cluster, until
from tests.cluster.commands import command
from tests.cluster.load import Load
from tests.cluster.test_failures import STOCK, nothing_lost
from tests.patience import PATIENCE_S


async def test_a_primary_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings={"supervisor": {"hang_s": 3.0}}) as shop:
        await shop.start_supervised()
        await shop.update(4, count=STOCK)
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            await load.flowing(0)
            for role in ("catalog", "order"):
                primary = await shop.primary(role)
                pid = shop.pid(primary)
                assert pid is not None
                paused_at = time.monotonic()
                await shop.pause(primary)
                await shop.ended(pid)
                await load.flowing(time.monotonic())
                gap_s = load.gap_s(paused_at, time.monotonic())
                print(f"{primary} hung: {gap_s:.2f} s without an acknowledged purchase")
                assert f"{primary} answers nothing; it is killed" in shop.log("cluster")
                await shop.ready()
        await nothing_lost(shop, load)


@pytest.mark.parametrize("role", ["frontend", "catalog", "order"])
async def test_killed_nodes_come_back_by_themselves(tmp_path: Path, role: str) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start_supervised()
        await shop.update(4, count=STOCK)
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            await load.flowing(0)
            victim = "frontend-1" if role == "frontend" else await shop.primary(role)
            killed_at = time.monotonic()
            await shop.kill(victim)
            await load.flowing(time.monotonic())
            gap_s = load.gap_s(killed_at, time.monotonic())
            print(f"{victim} killed: {gap_s:.2f} s without an acknowledged purchase")
            await until(lambda: shop.pid(victim), f"{victim} runs again")
            await shop.ready()
        await nothing_lost(shop, load)


async def test_a_crash_while_the_settings_are_edited_closes_no_shop(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        supervisor = await shop.start_supervised()
        whole = shop.config_path.read_text()
        shop.config_path.write_text(whole[: len(whole) // 2])
        await shop.kill("frontend-1")
        put_right = "frontend-1 starts again when what it says is put right: with a change of"
        await until(lambda: put_right in shop.log("cluster"), "it waits for that")
        answer = await shop.get("frontend-1", "/info/1")
        assert answer.status == 503
        assert "frontend-1 waits for its operator" in answer.json["error"]
        assert answer.json["request_id"] == answer.headers["x-request-id"]
        shop.config_path.write_text(whole)
        await shop.ready()
        assert supervisor.poll() is None


def set_schema(shop: Cluster, name: str, version: int) -> int:
    """Mark a database as written by another version; return the version before."""
    with contextlib.closing(sqlite3.connect(shop.data_dir / f"{name}.db")) as connection:
        [[before]] = connection.execute("PRAGMA user_version")
        connection.execute(f"PRAGMA user_version = {version}")
    return int(before)


async def test_a_replica_that_no_restart_helps_waits_for_its_operator(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        supervisor = await shop.start_supervised()
        supervisor.terminate()
        await shop.ended(supervisor.pid)
        before = set_schema(shop, "catalog-2", 99)
        await shop.start_supervised(wait=False)
        others = [name for name in shop.roles if name != "catalog-2"]
        await shop.ready(*others)
        await until(lambda: "catalog-2 starts again when" in shop.log("cluster"), "it is said")
        assert "has schema 99; this program knows" in shop.log("cluster")
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        assert shop.pid("catalog-2") is None
        set_schema(shop, "catalog-2", before)
        assert (await command(shop, "join")).returncode == 0
        await shop.ready("catalog-2")


class Starts:
    """A supervisor whose nodes are a script that records each start, and fails."""

    def __init__(
        self, directory: Path, *ports: int, hang_s: float = 3.0, last: str = "catalog"
    ) -> None:
        """All are catalog nodes, but for the role of the `last` one."""
        self.said, self.script = directory / "said", directory / "script"
        roles = [*("catalog" for _ in ports[1:]), last]
        nodes = {
            f"{role}-{number}": {"role": role, "port": port}
            for number, (role, port) in enumerate(zip(roles, ports, strict=True), start=1)
        }
        self.config_path = directory / "cluster.json"
        self.config_path.write_text("{}")
        plain = {"nodes": nodes, "supervisor": {"hang_s": hang_s}}
        config = parse(plain, directory, ROLES, self.config_path)
        config.data_dir.mkdir(parents=True)
        command = [str(self.script)]
        self.supervisor = Supervisor(
            config,
            command,
            never_again=os.EX_CONFIG,
            first=("catalog",),
            stop_order=("order", "catalog"),
            reload=lambda: config,
            here=lambda config: list(config.nodes.values()),
            opened=self.opened,
            say=Outlet(sys.stdout.fileno()),
        )

    async def opened(self) -> str:
        return "open"

    def install(self, then: str = "exit 3") -> None:
        """Its arguments are --role, the role, --port, the port."""
        self.script.write_text(f"#!/bin/sh\necho started >> {self.said}\n{then}\n")
        self.script.chmod(0o755)

    def count(self) -> int:
        return len(self.said.read_text().splitlines()) if self.said.exists() else 0


# Answers the sixth request of which somebody still waits for the answer.
SLOW = """
import os, select, socket
waiting = socket.socket(fileno=int(os.environ["BAZAR_LISTEN"].split(",")[0]))
asked = 0
while True:
    select.select([waiting], [], [])
    connection, _ = waiting.accept()
    try:
        connection.recv(4096)
        connection.setblocking(False)
        connection.recv(4096)  # its end: nobody waits
    except BlockingIOError:
        asked += 1
        if asked >= 6:
            connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
    except ConnectionError:
        pass
    connection.close()
"""


async def test_a_node_that_starts_slowly_is_given_more_time(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the machine is, it answers at last."""
    monkeypatch.setattr("bazar.node.supervisor.START_S", 0.6)  # three probes
    starts, stop = Starts(tmp_path, port, hang_s=0.6), asyncio.Event()
    (tmp_path / "slow.py").write_text(SLOW)
    starts.install(f"exec {sys.executable} {tmp_path / 'slow.py'}")
    running = asyncio.create_task(starts.supervisor.run(stop))
    try:
        await until(lambda: starts.supervisor._open, "it answers")
        assert starts.count() > 1
    finally:
        stop.set()
        assert await running == 0


# Answers nothing until it may, and says that it was asked.
HELD = """
import os, pathlib, socket, sys, time
asked, go = map(pathlib.Path, sys.argv[1:])
waiting = socket.socket(fileno=int(os.environ["BAZAR_LISTEN"].split(",")[0]))
while True:
    connection, _ = waiting.accept()
    asked.touch()
    while not go.exists():
        time.sleep(0.05)
    try:
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n")
    except ConnectionError:
        pass
    connection.close()
"""


@pytest.mark.parametrize("ends", [False, True])
async def test_what_visitors_see_first_starts_first(
    tmp_path: Path, port: int, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # so two at a time
    monkeypatch.setattr(supervisor, "START_S", 2 * PATIENCE_S)  # however slow the machine is
    asked, go = tmp_path / "asked", tmp_path / "go"
    (tmp_path / "held.py").write_text(HELD)
    one, other = ports.hold(2)
    with one, other:
        numbers = port, ports.number(one), ports.number(other)
        starts = Starts(tmp_path, *numbers, hang_s=60.0, last="order")
        answers = f"exec {sys.executable} {tmp_path / 'held.py'} {asked} {go}"
        fails = f"touch {asked}\nuntil [ -e {go} ]; do sleep 0.05; done\nexit 3"
        starts.install(f"[ $2 = catalog ] || exec sleep 600\n{fails if ends else answers}")
        stop = asyncio.Event()
        running = asyncio.create_task(starts.supervisor.run(stop))
        try:
            await until(asked.exists, "the catalog is started")
            [order] = starts.supervisor._children["order-3"]
            assert order.process is None
            go.touch()
            await until(lambda: order.process, "then the other")
        finally:
            go.touch()
            stop.set()
            assert await running == 0


async def one_answer(port: int) -> bytes:
    """Return the answer to a request while the node is away."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        answer = await reader.read()
        writer.close()
        if answer:
            return answer


async def test_a_node_that_cannot_even_be_started_is_tried_again(tmp_path: Path, port: int) -> None:
    starts, stop = Starts(tmp_path, port), asyncio.Event()
    running = asyncio.create_task(starts.supervisor.run(stop))
    try:
        await until(lambda: starts.supervisor._children, "it is there")
        [child] = starts.supervisor._children["catalog-1"]
        await until(lambda: child.failures > 1, "it fails: there is no program")
        child.failures = 5000  # some seven hours of it
        answer = await one_answer(port)
        assert b" 503 " in answer
        assert b"catalog-1 has failed, and is started again within 5.0 s" in answer
        starts.install()
        await until(lambda: starts.count() > 1, "it is started again, and again")
    finally:
        stop.set()
        await running


async def test_a_node_that_waits_for_a_processor_has_longer_to_answer(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "START_S", 6.0)  # six probes
    starts, stop = Starts(tmp_path, port), asyncio.Event()
    starts.install("exec sleep 600")  # it never answers
    probes: Counter[int] = Counter()
    answers = starts.supervisor._answers

    async def counted(child: supervisor.Child, probe_s: float) -> bool:
        if child.process is not None and child.process.returncode is None:
            probes[child.process.pid] += 1
        return await answers(child, probe_s / 20)

    def starved_s(pid: int) -> float:
        return clock.now() if len(probes) < 2 else 0.0  # the first process, all of its time

    monkeypatch.setattr(starts.supervisor, "_answers", counted)
    monkeypatch.setattr(supervisor, "starved_s", starved_s)
    running = asyncio.create_task(starts.supervisor.run(stop))
    try:
        await until(lambda: len(probes) == 3, "it is killed and started twice")
        starved, other, _ = probes.values()
        assert starved >= 60
        assert 6 <= other < 60
    finally:
        stop.set()
        await running


async def test_a_cluster_of_which_no_node_can_start_stops_however_long_it_takes(
    tmp_path: Path, port: int
) -> None:
    [held] = ports.hold(1)
    with held:
        starts, stop, go = (
            Starts(tmp_path, port, ports.number(held)),
            asyncio.Event(),
            tmp_path / "go",
        )
        starts.install(f"[ $4 = {port} ] || until [ -e {go} ]; do sleep 0.05; done\nexit 78")
        running = asyncio.create_task(starts.supervisor.run(stop))
        try:
            await until(lambda: starts.count() == 2, "both are started")
            assert b"catalog-1 waits for its operator" in await one_answer(port)
            [child] = starts.supervisor._children["catalog-1"]
            other = dataclasses.replace(child)  # with a connection of its own
            await until(
                lambda: starts.supervisor._answers(other, 0.5), "a probe is answered, by ourselves"
            )
            go.touch()
            await until(running.done, "it stops")
        finally:
            go.touch()
            stop.set()
            other.probe.close()
            assert await running == os.EX_CONFIG


async def test_what_is_put_right_while_a_node_starts_is_not_missed(
    tmp_path: Path, port: int
) -> None:
    starts, stop = Starts(tmp_path, port), asyncio.Event()
    twice = f"[ $(wc -l < {starts.said}) -lt 2 ] || exec sleep 600"
    starts.install(f"{twice}\ntouch {starts.config_path}\nexit 78")
    running = asyncio.create_task(starts.supervisor.run(stop))
    try:
        await until(lambda: starts.count() == 2 or running.done(), "it is started again")
        assert not running.done()
    finally:
        stop.set()
        await running


REFUSED = re.compile(r" 4[0-9][0-9] [0-9.]+ ms")


async def test_a_supervised_shop_refuses_no_request_of_its_own(tmp_path: Path) -> None:
    options: dict[str, dict[str, Any]] = {
        "frontend-1": {"processes": 2},
        "catalog-2": {"host": "localhost"},
    }
    async with Cluster(tmp_path, options=options) as shop:
        supervisor = await shop.start_supervised()
        await until(lambda: "The shop is open" in shop.log("cluster"), "it has opened")
        assert (await command(shop, "status")).returncode == 0
        # Each node was probed before it was asked anything else, and tells all when it stops.
        supervisor.terminate()
        await shop.ended(supervisor.pid)
        lines = shop.log("cluster").splitlines()
        assert [line for line in lines if " 200 " in line], "what is answered is in the log"
        assert [line for line in lines if REFUSED.search(line)] == []


async def test_a_rolling_restart_fails_no_request(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start_supervised()
        await shop.update(4, count=STOCK)
        before = shop.running()
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            load.read("frontend-1", ["/info/1", "/info/4", "/search?topic=under"])
            await load.flowing(0)
            began = time.monotonic()
            restarted = await command(shop, "restart")
            assert restarted.returncode == 0, restarted.stderr
            await load.flowing(time.monotonic())
            gap_s = load.gap_s(began, time.monotonic())
            print(f"all nodes restarted: {gap_s:.2f} s without an acknowledged purchase at worst")
        after = shop.running()
        assert sorted(after) == sorted(before)
        assert not set(after.values()) & set(before.values())
        assert load.read_errors == []
        assert load.write_errors == []
        await nothing_lost(shop, load)
