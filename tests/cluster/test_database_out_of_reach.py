"""A node whose database is out of reach: what it says, and what it can't know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster import ports
from tests.cluster.cluster import Cluster, until

pytest.importorskip("psycopg")


async def test_it_does_not_say_in_which_cluster_it_is(tmp_path: Path) -> None:
    """A primary that asked would take it for one of another cluster (A3)."""
    [held] = ports.hold(1)
    with held:
        engine = {"kind": "postgresql", "servers": [f"127.0.0.1:{ports.number(held)}"]}
        async with Cluster(tmp_path, {"order": 1}, {"engine": engine}) as shop:
            await shop.start(wait=False)
            name = "order-1"
            status = await until(lambda: shop.status(name), f"{name} answers")
            knock = {"node": "order-2", "arbiter": {"digest": "x", "place": "there"}, "leads": 7}
            answer = await shop.post(name, "/knock", {"items": [knock]})
            [result] = json.loads(answer.body)["results"]
            assert result["error"]["status"] == 503, (result, status)
            assert "two clusters" not in shop.log(name)
