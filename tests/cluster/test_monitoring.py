"""What a real Prometheus makes of a real shop: alerts fire, and the dashboard has data."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import ports
from tests.cluster.client import HTTPClient
from tests.cluster.cluster import ROLES, Cluster, until
from tests.cluster.prometheus import MONITORING, Prometheus, impossible

OF_SPEED = {"BazarSlow", "BazarDiskSlow", "BazarErrors"}  # which a busy machine may lack
NODES = [f"{role}-{number}" for role in ROLES for number in range(1, ROLES[role] + 1)]


@pytest.fixture
def _it_is_there() -> None:
    if (why := impossible()) is not None:
        pytest.skip(why)


@pytest.fixture
def metrics_ports() -> Iterator[dict[str, int]]:
    """A port for the figures of each node."""
    held = ports.hold(len(NODES))
    yield dict(zip(NODES, map(ports.number, held), strict=True))
    for one in held:
        one.close()


def watched(directory: Path, metrics_ports: dict[str, int]) -> Cluster:
    options = {name: {"metrics_port": port} for name, port in metrics_ports.items()}
    return Cluster(directory / "shop", options=options)


def expressions() -> list[str]:
    """All that the dashboard asks for."""
    panels = json.loads((MONITORING / "grafana.json").read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(found) > 30
    return [one.replace("$__rate_interval", "20s") for one in found]


@pytest.mark.usefixtures("_it_is_there")
def test_the_rules_are_right() -> None:
    for check in (["rules", "alerts.yml"], ["config", "prometheus.yml"]):
        subprocess.run(["promtool", "check", *check], cwd=MONITORING, check=True)


@pytest.mark.usefixtures("_it_is_there")
async def test_an_alert_fires_when_a_replica_is_killed(
    tmp_path: Path, metrics_ports: dict[str, int]
) -> None:
    async with watched(tmp_path, metrics_ports) as shop:
        await shop.start()
        async with Prometheus(tmp_path / "prometheus", list(metrics_ports.values())) as looks:

            async def is_well() -> bool:
                up = await looks.query('sum(up{job="bazar"})')
                fires = set(await looks.firing()) - OF_SPEED
                return bool(up) and up[0]["value"][1] == "5" and not fires

            await until(is_well, "all are seen, and nothing is wrong")
            victim = await shop.follower("catalog")
            await shop.kill(victim)
            # The primary goes on without it.
            assert (await shop.put("frontend-1", "/purchase/4")).status == 200

            async def has_fired() -> Any:
                fires = await looks.firing()
                return "BazarNodeDown" in fires and "BazarReplicaOutOfSync" in fires and fires

            fires = await until(has_fired, "the alerts fire")
            [down], [missing] = fires["BazarNodeDown"], fires["BazarReplicaOutOfSync"]
            assert down["instance"] == f"127.0.0.1:{metrics_ports[victim]}"
            assert missing["group"] == "catalog"
            assert "BazarNoPrimary" not in fires

            await shop.start(victim)
            await until(is_well, "the alerts are over")

            await shop.kill("order-1", "order-2")

            async def front_end_has_no_lease() -> bool:
                fires = await looks.firing()
                return any(one["group"] == "order" for one in fires.get("BazarNoLease", ()))

            await until(front_end_has_no_lease, "the front end has lost its lease")


@pytest.mark.usefixtures("_it_is_there")
async def test_each_query_of_the_dashboard_has_data(
    tmp_path: Path, metrics_ports: dict[str, int]
) -> None:
    async with watched(tmp_path, metrics_ports) as shop:
        await shop.start()
        async with Prometheus(tmp_path / "prometheus", list(metrics_ports.values())) as looks:
            left = expressions()
            await shop.update(4, count=100_000)

            async def all_have_data() -> bool:
                for path in ("/info/4", "/info/4", "/search?topic=a"):
                    await shop.get("frontend-1", path)
                await shop.put("frontend-1", "/purchase/4")
                for one in list(left):
                    values = [float(found["value"][1]) for found in await looks.query(one)]
                    if values and not all(map(math.isnan, values)):
                        left.remove(one)
                return not left

            try:
                await until(all_have_data, "each query has data")
            except AssertionError as error:
                raise AssertionError(f"without data: {left}") from error


async def test_figures_are_for_the_token_and_on_their_own_port_for_everybody(
    tmp_path: Path, metrics_ports: dict[str, int]
) -> None:
    async with watched(tmp_path, metrics_ports) as shop:
        await shop.start()
        for name, port in metrics_ports.items():
            assert (await shop.get(name, "/metrics")).status == 401
            told = await shop.get(name, "/metrics", with_token=True)
            async with HTTPClient(port) as figures:
                open_to_all = await figures.get("/metrics")
                assert told.status == open_to_all.status == 200
                for answer in (told, open_to_all):
                    assert f'node="{name}"'.encode() in answer.body
                for path in ("/status", "/info/4", "/feed", "/"):
                    assert (await figures.get(path)).status == 404
