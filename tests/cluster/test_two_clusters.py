"""One cluster.json over two data directories: one group, and no second one beside it (A1-A3)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, until

TOKEN = "the-token-of-both-clusters"


def elsewhere(shop: Cluster) -> tuple[str, str]:
    """Return the flags that start a node of the same configuration over another directory."""
    plain = json.loads(shop.config_path.read_text("utf-8"))
    path = shop.directory / "elsewhere.json"
    path.write_text(json.dumps({**plain, "data_dir": "elsewhere"}), "utf-8")
    return "--config", str(path)


def share_token(shop: Cluster) -> None:
    """Give both the same token, as when a data directory is copied, or BAZAR_TOKEN is set."""
    for name in ("data", "elsewhere"):
        (shop.directory / name).mkdir()
        (shop.directory / name / "token").write_text(TOKEN)


def arguments(shop: Cluster, name: str) -> tuple[str, ...]:
    return "--role", shop.roles[name], "--port", str(shop.ports[name])


@pytest.mark.parametrize("one_token", [True, False], ids=["one token", "two tokens"])
async def test_a_second_cluster_does_not_begin(tmp_path: Path, one_token: bool) -> None:
    async with Cluster(tmp_path, {"catalog": 2}) as shop:
        if one_token:
            share_token(shop)
        await shop.start("catalog-1")
        await shop.update(4, count=7)
        second = shop.launch("catalog-2", *arguments(shop, "catalog-2"), *elsewhere(shop))
        await shop.ended(second.pid)
        assert second.returncode == 3
        told = shop.log("catalog-2")
        assert "two clusters run by one configuration: catalog-2 with" in told
        assert f"{shop.directory}/elsewhere on " in told
        assert (f"{shop.data_dir} on " if one_token else "another token at http://") in told
        assert not (shop.directory / "elsewhere" / "catalog.members").exists()
        # Where it belongs it is welcome.
        await shop.start("catalog-2")
        await shop.same_rows("catalog")


async def test_of_two_primaries_one_ends(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 2}) as shop:
        share_token(shop)
        shop.launch("catalog-2", *arguments(shop, "catalog-2"), *elsewhere(shop))
        await shop.ready("catalog-2")
        await shop.pause("catalog-2")  # so that it can't be asked
        await shop.start("catalog-1")
        shop.resume("catalog-2")
        await until(lambda: None in map(shop.pid, shop.roles), "one of them ends")
        left, gone = sorted(("catalog-1", "catalog-2"), key=lambda name: shop.pid(name) is None)
        assert f"The log of {left} is longer" in shop.log(gone)
        assert f"two clusters run by one configuration: {left} with" in shop.log(left)
        await shop.update(4, through=left, count=6)
