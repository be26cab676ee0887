"""A whole shop is moved to PostgreSQL and back, by the command as its operator types it."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.cluster import LONG_LEASES, TABLES, Cluster, Row
from tests.cluster.commands import command
from tests.cluster.databases import COLUMNS, Databases, buy, over, stopped

FILES = {"replication": LONG_LEASES}


def state(shop: Cluster, role: str) -> dict[str, list[Row]]:
    """All rows that the first node of a group has in its file."""
    return {
        table: shop.query(f"{role}-1", f"SELECT {COLUMNS[table]} FROM {table} ORDER BY 1")
        for table in TABLES[role]
    }


async def refuses(shop: Cluster, node: str) -> None:
    """Return once this node has refused to start."""
    await shop.start(node, wait=False)
    pid = shop.pid(node)
    if pid is not None:
        await shop.ended(pid)
    assert shop.exit_code(node) == 78, shop.log(node)


async def moved(shop: Cluster, other: Cluster) -> str:
    done = await command(shop, "move", "--to", str(other.config_path))
    assert done.returncode == 0, done
    return done.stdout


async def test_there_and_back(databases: Databases, tmp_path: Path) -> None:
    async with (
        Cluster(tmp_path / "files", settings=FILES) as files,
        over(databases, tmp_path / "database") as database,
        Cluster(tmp_path / "again") as again,
    ):
        await files.start_supervised()
        first = await buy(files, 4, "first-purchase")
        await files.update(2, cost=777)
        await stopped(files)
        before = {role: state(files, role) for role in TABLES}
        told = await moved(files, database)
        assert "2 sales" not in told and "1 sales" in told
        assert {role: databases.state(role) for role in TABLES} == before

        await refuses(files, "catalog-1")
        assert "this shop was moved to PostgreSQL at" in files.log("catalog-1")

        await database.start_supervised()
        replayed = await buy(database, 4, "first-purchase")
        assert replayed == {**first, "replayed": True}
        second = await buy(database, 4, "second-purchase")
        assert second["new_count"] == first["new_count"] - 1
        found = await database.get("frontend-1", "/search?q=cook")
        assert [book["id"] for book in found.json] == [4]
        await stopped(database)
        seqs = [seq for (seq,) in databases.ask("catalog", "SELECT seq FROM bazar_catalog.sales")]
        orders = [seq for (seq,) in databases.ask("order", "SELECT seq FROM bazar_order.orders")]
        assert sorted(seqs) == sorted(orders)

        kept = {role: databases.state(role) for role in TABLES}
        await moved(database, again)
        assert {role: state(again, role) for role in TABLES} == kept
        await refuses(database, "catalog-1")
        assert "this shop was moved to" in database.log("catalog-1")

        await again.start_supervised()
        assert (await buy(again, 4, "second-purchase"))["replayed"]
        third = await buy(again, 4, "third-purchase")
        assert third["new_count"] == second["new_count"] - 1
        await again.same_rows("catalog")
        await again.same_rows("order")
        verified = await command(again, "verify")
        assert verified.returncode == 0, verified
        await stopped(again)
