"""The log of real processes, for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.cluster.cluster import Cluster, until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines(path: Path) -> list[dict[str, Any]]:
    """Each line of a log; what the supervisor tells people on its output is no part of it."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line[:1] == "{"]


async def test_all_of_a_shop_speaks_json(tmp_path: Path) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    # Who stops waits for the lease of the node that is killed.
    leases = {"replication": {"lease_s": 3.0, "ack_timeout_s": 1.0}}
    async with Cluster(tmp_path, settings=leases) as shop:
        supervisor = shop.launch("cluster", "--log-format", "json", "--log-level", "debug")
        await shop.ready()
        async with shop.client("frontend-1") as client:
            client.headers["traceparent"] = f"00-{TRACE}-00f067aa0ba902b7-01"
            assert (await client.get("/info/4")).headers["x-request-id"] == TRACE
            answer = await client.request("PUT", "/purchase/4")
            assert answer.status == 200, answer.body
        log = tmp_path / "cluster.log"

        def found() -> set[str]:
            return {
                one["node"].partition("-")[0]
                for one in lines(log)
                if TRACE in (one.get("trace_id"), *one.get("trace_ids", ()))
            }

        await until(lambda: found() == {"frontend", "catalog", "order"}, "all have said it")
        await shop.kill(await shop.follower("catalog"))
        await until(
            lambda: any("starts again" in one["message"] for one in lines(log)), "it is told"
        )
        await shop.ready()
        supervisor.terminate()
        await shop.ended(supervisor.pid)

    text = log.read_text("utf-8")
    shown = text.splitlines()
    said = [line for line in shown if not line.startswith("{")]
    assert said[0] == "Bazar", said  # what the supervisor says to people
    assert all(line.startswith(("Bazar", "  ", "(", "The shop", "http")) for line in said), said
    plain = lines(log)
    names = {one["node"] for one in plain}
    assert names >= {"supervisor", *shop.roles}
    for one in plain:
        assert began < datetime.fromisoformat(one["time"]) < datetime.now(UTC), one
        assert one["level"] in ("debug", "info", "warning", "error", "critical")
        assert isinstance(one["message"], str)
    [bought] = [one for one in plain if one.get("path") == "/purchase/4"]
    assert (bought["status"], bought["client"], bought["method"]) == (200, "127.0.0.1", "PUT")
    assert bought["duration_ms"] > 0
    assert any(one.get("path") == "/healthz" for one in plain)  # at the level of debug


async def test_a_node_that_cannot_start_says_why_in_json(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        shop.config_path.write_text("{")
        process = shop.launch("catalog-1", "--role", "catalog", "--log-format", "json")
        await shop.ended(process.pid)
        [line] = lines(tmp_path / "catalog-1.log")
        assert line["level"] == "critical"
        assert "not valid JSON" in line["message"]


async def test_a_level_leaves_out_what_is_below_it(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        for name, role in shop.roles.items():
            port = str(shop.ports[name])
            shop.launch(name, "--role", role, "--port", port, "--log-level", "warning")
        await shop.ready()
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        told = (await shop.get("frontend-1", "/metrics", with_token=True)).body.decode()
        counted = 'bazar_http_requests_total{method="PUT",node="frontend-1",route="/purchase/*"'
        assert counted in told  # though no line says so
        await shop.terminate_all()
    assert "/purchase/4" not in (tmp_path / "frontend-1.log").read_text()
    for bad in (("--log-level", "loud"), ("--log-format", "xml")):
        process = shop.launch("refused", *bad)
        await shop.ended(process.pid)
        assert process.returncode == 2
    refused = (tmp_path / "refused.log").read_text()
    assert "'loud' is none of debug, info" in refused
    assert "'xml' is none of text, json" in refused
