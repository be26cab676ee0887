"""The cluster as its operator starts, watches and stops it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.cluster import READY_S, ROOT, Cluster, until

REFUSAL_S = 60.0


async def first_answer(shop: Cluster) -> None:
    """Wait until the front end shows the first book."""

    async def answered() -> bool:
        try:
            answer = await shop.get("frontend-1", "/info/1")
        except OSError:
            return False
        assert answer.status in (200, 503), answer
        return answer.status == 200

    await until(answered, "GET /info/1 is answered")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_cluster_starts_prints_its_table_and_stops_cleanly(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with Cluster(tmp_path, settings={"replication": {}}) as shop:
        started_at = time.monotonic()
        supervisor = await shop.start_supervised(wait=False)
        await first_answer(shop)
        print(f"the first answer came {time.monotonic() - started_at:.2f} s after the start")

        await shop.ready()
        printed = shop.log("cluster")
        for name, port in shop.ports.items():
            line = next(one for one in printed.splitlines() if one.strip().startswith(name))
            assert shop.roles[name] in line
            assert f"http://127.0.0.1:{port}" in line
        opened = f"The shop is open: http://127.0.0.1:{shop.ports['frontend-1']}"
        await until(lambda: opened in shop.log("cluster"), "the shop is open")
        said = shop.log("cluster").partition(opened)[2]
        for role in ("catalog", "order"):
            primary = await shop.primary(role)
            pid_file = shop.data_dir.relative_to(shop.directory) / f"{primary}.pid"
            assert f"{primary} leads {role}; kill it (kill -9 $(cat {pid_file}))" in said
            assert (shop.data_dir / f"{primary}.pid").read_text() == f"{shop.pid(primary)}\n"
        assert sorted(shop.running()) == sorted(shop.roles)

        stopped_at = time.monotonic()
        supervisor.send_signal(number)
        await shop.ended(supervisor.pid)
        print(f"{number.name}: stopped in {time.monotonic() - stopped_at:.2f} s")
        assert supervisor.returncode == 0
        assert shop.all_processes() == {}
        log = shop.log("cluster")
        for word in ("Traceback", "does not stop", "never retrieved", "Task was destroyed"):
            assert word not in log


async def test_signals_that_come_while_it_stops_are_too_many_and_not_heard(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start()
        for name in shop.roles:
            process = shop._processes[name]
            while process.poll() is None:
                process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0)
            assert process.returncode == 0, name


async def test_no_book_is_missing_while_a_new_shop_is_stocked(tmp_path: Path) -> None:
    """T0: a client that reads before the first entry is committed is told to come back, not 404."""
    async with Cluster(tmp_path) as shop:
        await shop.start(wait=False)
        seen: dict[str, set[int]] = {"catalog-1": set(), "catalog-2": set(), "frontend-1": set()}

        async def ask(name: str) -> None:
            while 200 not in seen[name]:
                try:
                    seen[name].add((await shop.get(name, "/info/1")).status)
                except OSError:
                    await asyncio.sleep(0.001)

        async with asyncio.timeout(READY_S):
            await asyncio.gather(*(ask(name) for name in seen))
        for statuses in seen.values():
            assert statuses <= {200, 503}


async def test_supervisor_restarts_a_crashed_child_with_backoff(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start_supervised()
        for name in ("frontend-1", "catalog-1", "order-1", "order-1", "order-1"):
            before = shop.running()[name]
            await shop.kill(name)
            await until(partial(shop.pid, name), f"{name} runs again")
            assert shop.pid(name) != before
            if name != "order-1":  # it is killed again before it counts as steady
                await shop.ready()
        await shop.ready()
        waits = [
            float(line.rpartition("starts again in ")[2].removesuffix(" s"))
            for line in shop.log("cluster").splitlines()
            if "order-1 ended with -9" in line
        ]
        assert len(waits) == 3
        assert waits[2] == 2 * waits[1]  # it may have been steady before the first
        assert waits[0] == 0.2
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200


async def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        supervisor = await shop.start_supervised()
        assert len(shop.all_processes()) == 1 + len(shop.roles)
        supervisor.kill()
        await shop.ended(supervisor.pid)
        await until(lambda: not shop.all_processes(), "no child is left")


async def test_one_process_serves_the_first_node_of_each_role(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        process = shop.launch("all", "--role", "frontend,catalog,order")
        first = ("frontend-1", "catalog-1", "order-1")
        await shop.ready(*first)
        for name in first:
            assert (await shop.get(name, "/healthz")).json["node"] == name
        bought = await shop.put("frontend-1", "/purchase/4")
        assert (bought.status, bought.json["new_count"]) == (200, 6)
        assert (await shop.get("frontend-1", "/info/4")).json["count"] == 6
        assert len(shop.all_processes()) == 1
        process.terminate()
        await shop.ended(process.pid)
        assert process.returncode == 0


async def test_a_port_is_taken_with_and_without_an_equals_sign(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        shop.launch("catalog-1", "--role", "catalog", "--port", str(shop.ports["catalog-1"]))
        shop.launch("catalog-2", "--role=catalog", f"--port={shop.ports['catalog-2']}")
        for name in ("catalog-1", "catalog-2"):
            await shop.ready(name)
            assert (await shop.get(name, "/healthz")).json["node"] == name
        assert set(await shop.terminate_all()) == {"catalog-1", "catalog-2"}


# --- what can't start ------------------------------------------------------------------------


def refused(*arguments: str, code: int = os.EX_CONFIG) -> str:
    """Return the one line that run.py prints when it can't start."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=REFUSAL_S,
        check=False,
    )
    assert done.returncode == code, done
    said = [line for line in done.stderr.splitlines() if not line.startswith("20")]  # no log lines
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    return said[0]


def one_node(shop: Cluster, name: str) -> Sequence[str]:
    return ("--role", shop.roles[name], "--port", str(shop.ports[name]))


async def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        async with server:
            shop.ports["catalog-2"] = server.sockets[0].getsockname()[1]
            shop.write_config()
            config = ("--config", str(shop.config_path))
            for arguments in ((), one_node(shop, "catalog-2")):
                # The process that has the port may end: another start is worth it.
                line = await asyncio.to_thread(partial(refused, *config, *arguments, code=3))
                assert f"catalog-2: cannot listen on 127.0.0.1:{shop.ports['catalog-2']}" in line
        assert shop.all_processes() == {}


async def test_a_second_process_for_the_same_node_is_refused(tmp_path: Path, port: int) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start("catalog-1")
        config = ("--config", str(shop.config_path))
        busy = partial(refused, *config, code=3)  # it may end
        line = await asyncio.to_thread(busy, *one_node(shop, "catalog-1"))
        assert "cannot listen" in line
        # The same file, though on another port: its lock says so.
        shop.ports["catalog-1"], before = port, shop.ports["catalog-1"]
        shop.write_config()
        line = await asyncio.to_thread(busy, *one_node(shop, "catalog-1"))
        assert f"catalog-1 runs already (process {shop.pid('catalog-1')})" in line
        shop.ports["catalog-1"] = before
        assert (await shop.get("catalog-1", "/info/1")).status == 200


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"data_dri": "x"}, "the file.data_dri: unknown"),
        ({"replication": {"lease": 1}}, "replication.lease: unknown"),
        ({"replication": {"lease_s": 0.2, "ack_timeout_s": 0.3}}, "ack_timeout_s: must be below"),
        ({"replication": {"lease_s": "1"}}, "replication.lease_s: '1' is not a number"),
        ({"caches": {"local": {"entries": 0}}}, "caches.local.entries: 0 is not between"),
        ({"pool": {"read_attempt_s": 9}}, "pool.read_attempt_s: must not be above read_deadline_s"),
        ({"nodes": {}}, "nodes: at least one is needed"),
        ({"nodes": {"a": {"role": "shop", "port": 1}}}, "nodes.a.role: 'shop' is none of"),
        ({"nodes": {"a": {"role": "order", "port": 70000}}}, "nodes.a.port: 70000 is not between"),
        (
            {"nodes": {name: {"role": "order", "port": 9} for name in "ab"}},
            "nodes.b.port: 9 is a's already",
        ),
    ],
)
def test_a_wrong_config_is_refused_with_its_place(
    tmp_path: Path, change: dict[str, object], place: str
) -> None:
    path = tmp_path / "cluster.json"
    nodes = {"frontend-1": {"role": "frontend", "port": 1}}
    path.write_text(json.dumps({"data_dir": "data", "nodes": nodes, **change}), "utf-8")
    line = refused("--config", str(path))
    assert str(path) in line
    assert place in line


def test_an_unreadable_config_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none.json"
    assert f"{missing}: No such file" in refused("--config", str(missing))
    assert "Is a directory" in refused("--config", str(tmp_path))
    for content in (b"{", b'{"nodes": {}, "nodes": {}}', b"\xff\xfe", b"[" * 100_000):
        broken = tmp_path / "broken.json"
        broken.write_bytes(content)
        assert f"{broken}: not valid JSON" in refused("--config", str(broken))


def test_an_unwritable_data_directory_is_refused(tmp_path: Path, port: int) -> None:
    """Below a regular file: there not even root can write."""
    (tmp_path / "file").write_text("", "utf-8")
    path = tmp_path / "cluster.json"
    nodes = {"catalog-1": {"role": "catalog", "port": port}}
    for data_dir in ("file", "file/data"):
        path.write_text(json.dumps({"data_dir": data_dir, "nodes": nodes}), "utf-8")
        for arguments in ((), ("--role", "catalog")):
            line = refused("--config", str(path), *arguments)
            assert f"{tmp_path / data_dir}: cannot" in line


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, port: int) -> None:
    path = tmp_path / "cluster.json"
    nodes = {"catalog-1": {"role": "catalog", "port": port}}
    path.write_text(json.dumps({"data_dir": ".", "nodes": nodes}), "utf-8")
    database = tmp_path / "catalog-1.db"
    database.write_bytes(b"this was a shopping list" * 1000)
    line = refused("--config", str(path), "--role", "catalog")
    assert f"{database}: is damaged" in line


async def test_an_unknown_role_or_port_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        config = ("--config", str(shop.config_path))
        known = ", ".join(f"{shop.roles[name]} {shop.ports[name]} ({name})" for name in shop.roles)
        line = refused(*config, "--role", "catalog", "--port", str(shop.ports["order-1"]))
        assert f"no node for role catalog {shop.ports['order-1']}" in line
        assert f"known: {known}" in line
        assert "frontend, order, catalog" in refused(*config, "--role", "shop")


def test_flags_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for arguments in (("--port", "8003"), ("--role", "catalog,order", "--port", "8003")):
        done = subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *arguments],
            capture_output=True,
            text=True,
            timeout=REFUSAL_S,
            check=False,
        )
        assert done.returncode == 2
        assert "--port goes with a single --role" in done.stderr
        assert "Traceback" not in done.stderr
