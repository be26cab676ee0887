"""A node whose database is out of reach: what it says, and what it can't know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bazar.config import NodeConfig
from bazar.replication.feed_client import FEED_PATH
from bazar.rpc.frames import dial
from tests.cluster import ports
from tests.cluster.client import TIMEOUT_S
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


async def test_it_says_once_why_it_gives_no_feed(tmp_path: Path) -> None:
    """Everybody who looks for a primary asks it all the time."""
    [held] = ports.hold(1)
    with held:
        server = f"127.0.0.1:{ports.number(held)}"
        engine = {"kind": "postgresql", "servers": [server]}
        async with Cluster(tmp_path, {"order": 1}, {"engine": engine}) as shop:
            await shop.start(wait=False)
            name = "order-1"
            await until(lambda: shop.status(name), f"{name} answers")
            node = NodeConfig(name, "order", shop.ports[name])
            for _ in range(3):
                with pytest.raises(ConnectionRefusedError, match="503"):
                    await dial(node, FEED_PATH, shop.token, TIMEOUT_S)
            with pytest.raises(PermissionError):
                await dial(node, FEED_PATH, "another token", TIMEOUT_S)
            line = "GET /feed 403"
            await until(
                lambda: line in shop.log(name), "who is refused for another reason is logged"
            )
            log = shop.log(name)
            assert "GET /feed 503" not in log
            assert log.count(f"no database server takes writes: {server}: ") == 1
