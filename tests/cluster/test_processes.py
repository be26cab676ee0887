"""A front end of several processes on one port."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.cluster.client import Answer, HTTPClient
from tests.cluster.cluster import LONG_LEASES, Cluster, until
from tests.cluster.commands import command

PROCESSES = 3


async def tell(shop: Cluster) -> list[dict[str, Any]]:
    """Return the status of each process of the front end."""
    answer = await shop.get("frontend-1", "/status", with_token=True)
    found: list[dict[str, Any]] = answer.json["processes"]
    return found


def hits(processes: list[dict[str, Any]]) -> dict[str, int]:
    return {one["node"]: one["sources"]["catalog"]["hits"] for one in processes}


async def read_everywhere(shop: Cluster, path: str) -> set[bytes]:
    """Read until every process has answered from its cache; return all the bodies."""
    bodies = set()
    before = hits(await tell(shop))

    async def read_more() -> bool:
        for _ in range(8):  # each on a connection of its own: the kernel deals them out
            async with shop.client("frontend-1") as client:
                bodies.add((await client.get(path)).body)
        now = hits(await tell(shop))
        return len(now) == PROCESSES and all(now[name] > before.get(name, 0) for name in now)

    await until(read_more, "every process has had a hit")
    return bodies


async def test_processes_share_a_port_and_each_is_coherent(tmp_path: Path) -> None:
    options = {"frontend-1": {"processes": PROCESSES}}
    async with Cluster(tmp_path, settings={"replication": LONG_LEASES}, options=options) as shop:
        await shop.start_supervised()
        names = [f"frontend-1.{number}" for number in range(1, PROCESSES + 1)]
        processes = await tell(shop)
        assert sorted(one["node"] for one in processes) == names
        assert len({one["pid"] for one in processes}) == PROCESSES

        [before] = await read_everywhere(shop, "/info/4")
        bought = (await shop.put("frontend-1", "/purchase/4")).json
        [after] = await read_everywhere(shop, "/info/4")
        assert after != before
        assert json.loads(after)["count"] == bought["new_count"]

        for words in ("Cache entry for info_4 invalidated.", "No cache entry found for info_4."):
            answer = await shop.get("frontend-1", "/invalidateCache/4", with_token=True)
            assert answer.json["message"] == words

        victim = processes[1]
        os.kill(victim["pid"], signal.SIGKILL)

        async def is_back() -> bool:
            now = {one["node"]: one for one in await tell(shop)}
            return len(now) == PROCESSES and now[victim["node"]]["pid"] != victim["pid"]

        await until(is_back, "the killed process is back")
        await shop.ready()
        status = await command(shop, "status")
        assert status.returncode == 0
        assert all(name in status.stdout for name in names)


async def test_one_scrape_tells_of_all_processes(tmp_path: Path, port: int) -> None:
    options = {"frontend-1": {"processes": PROCESSES, "metrics_port": port}}
    async with Cluster(tmp_path, settings={"replication": LONG_LEASES}, options=options) as shop:
        await shop.start_supervised()
        await read_everywhere(shop, "/info/4")

        async def counted() -> dict[str, int]:
            """The requests that each process has counted, as each of the ports tells it."""
            own = await shop.get("frontend-1", "/metrics", with_token=True)
            async with HTTPClient(port) as client:
                answers = [own, await client.get("/metrics")]
            first, second = ({
                labels["process"]: int(value)
                for name, labels, value, *_ in samples(answer)
                if name == "bazar_http_requests_total"
                and (labels["route"], labels["status"]) == ("/info/*", "200")
            } for answer in answers)  # fmt: skip
            assert first == second
            for answer in answers:
                plain = {name: value for name, _, value, *_ in samples(answer)}
                assert plain["bazar_processes"] == plain["bazar_processes_configured"] == PROCESSES
                pids = {labels["process"] for name, labels, *_ in samples(answer)
                        if name == "process_cpu_seconds_total"}  # fmt: skip
                assert pids == {"1", "2", "3"}
            return first

        before = await counted()
        assert before.keys() == {"1", "2", "3"}
        for _ in range(40):
            assert (await shop.get("frontend-1", "/info/4")).status == 200
        now = await counted()
        assert sum(now.values()) - sum(before.values()) == 40


def samples(answer: Answer) -> list[Sample]:
    families = text_string_to_metric_families(answer.body.decode())
    return [sample for family in families for sample in family.samples]
