"""A shop is backed up while it sells, lost, and begun again from the file: over files, over
PostgreSQL, and from one to the other, by the commands as their operator types them."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import ROOT, Cluster, until
from tests.cluster.commands import command
from tests.cluster.databases import Databases, buy, over
from tests.cluster.load import Load
from tests.cluster.moments import rows_in
from tests.cluster.test_histories import ids, listed
from tests.cluster.test_import import names

BOOK = 4  # 7 copies of it are in stock
OTHERS = {"frontend": 1, "catalog": 3, "order": 1}
SMALL = {"catalog": 1, "order": 1}  # nobody comes to buy


async def done(shop: Cluster, *words: str | Path, code: int = 0) -> str:
    """Run a command that ends with this code; return what it has said."""
    ended = await command(shop, *map(str, words))
    assert ended.returncode == code, ended
    assert "Traceback" not in ended.stderr
    return ended.stdout + ended.stderr


async def orders_of(shop: Cluster, *wanted: str) -> None:
    """Wait until these are the orders, oldest first."""

    async def same() -> bool:
        return ids(await listed(shop)) == list(wanted)

    await until(same, f"{wanted} are the orders")


async def goes_on(shop: Cluster, sold: dict[str, dict[str, Any]], lost: dict[str, Any]) -> None:
    """Check that a shop that was restored has the sales by these keys, none that came later, and
    sells on."""
    await orders_of(shop, *(sale["order_id"] for sale in sold.values()))
    for key, sale in sold.items():
        assert await buy(shop, BOOK, key) == {**sale, "replayed": True}
    left = (await shop.get("frontend-1", f"/info/{BOOK}")).json["count"]
    assert left == 7 - len(sold)

    again = await buy(shop, BOOK, "acknowledged-later")
    assert not again["replayed"]
    assert (again["new_count"], again["order_id"] != lost["order_id"]) == (left - 1, True)
    assert await buy(shop, BOOK, "acknowledged-later") == {**again, "replayed": True}
    assert (await shop.get("frontend-1", f"/orders/{lost['order_id']}")).status == 404
    await orders_of(shop, *(sale["order_id"] for sale in sold.values()), again["order_id"])
    await done(shop, "verify")


async def rehearsed(
    old: Cluster, new: Cluster, file: Path, lose: Callable[[], Awaitable[None]]
) -> None:
    """Sell, back up, sell on, lose everything, restore, and go on selling."""
    await old.start_supervised()
    sold = {key: await buy(old, BOOK, key) for key in ("first", "second")}
    said = await done(old, "backup", file)
    assert "2 sales" in said
    lost = await buy(old, BOOK, "acknowledged-later")
    await lose()

    assert "each sale has its order" in await done(new, "verify", file)
    said = await done(new, "restore", file)
    assert "2 sales" in said
    assert "A backup holds no token: this shop's " in said
    assert str(new.data_dir / "token") in said
    await new.start_supervised()
    await goes_on(new, sold, lost)
    await new.terminate("cluster")
    refused = await done(new, "restore", file, code=2)
    assert "a shop can't be moved on top of another" in refused


async def test_over_files_into_another_number_of_nodes(tmp_path: Path) -> None:
    file = tmp_path / "shop.bazar"
    async with Cluster(tmp_path / "old") as old, Cluster(tmp_path / "new", OTHERS) as new:

        async def lose() -> None:
            await old.kill_all()
            assert old.token.encode() not in gzip.decompress(file.read_bytes())
            shutil.rmtree(old.data_dir)

        await rehearsed(old, new, file, lose)


async def test_in_the_same_place(tmp_path: Path) -> None:
    """The directory is the same one, so that its arbiter is, too."""
    async with Cluster(tmp_path) as shop:

        async def lose() -> None:
            await shop.kill_all()
            for path in shop.data_dir.iterdir():
                path.unlink()

        await rehearsed(shop, shop, tmp_path / "shop.bazar", lose)


async def test_from_files_to_postgresql(databases: Databases, tmp_path: Path) -> None:
    async with Cluster(tmp_path / "old") as old, over(databases, tmp_path / "new") as new:
        await rehearsed(old, new, tmp_path / "shop.bazar", old.kill_all)


async def test_from_postgresql_to_files(databases: Databases, tmp_path: Path) -> None:
    async with over(databases, tmp_path / "old") as old, Cluster(tmp_path / "new", OTHERS) as new:
        await rehearsed(old, new, tmp_path / "shop.bazar", old.kill_all)


async def test_over_postgresql(databases: Databases, tmp_path: Path) -> None:
    async with over(databases, tmp_path) as shop:

        async def lose() -> None:
            await shop.kill_all()
            for role in databases.names:
                databases.ask(role, f"DROP SCHEMA bazar_{role} CASCADE")

        await rehearsed(shop, shop, tmp_path / "shop.bazar", lose)


# --- what goes on meanwhile ----------------------------------------------------------------------


async def test_whatever_is_acknowledged_before_is_in_it(tmp_path: Path) -> None:
    """Nodes are killed, one after the other, while customers buy and backups are made."""
    async with Cluster(tmp_path / "shop") as shop:
        await shop.start_supervised()
        await shop.update(BOOK, count=100_000)

        async def amid(load: Load, victim: str, file: Path) -> None:
            """Kill a node while a backup is made, after some purchases."""
            pid = shop.pid(victim)
            await load.flowing(time.monotonic(), 7)
            before = {one.order_id for one in load.bought}
            making = asyncio.create_task(done(shop, "backup", file))
            begun = f"{file.name}.*.new"
            await until(lambda: making.done() or [*tmp_path.glob(begun)], "it has begun")
            await shop.kill(victim)
            await making
            assert before <= sold_in(file)
            await done(shop, "verify", file)
            await until(lambda: shop.pid(victim) not in (None, pid), "it is started again")
            await shop.ready(victim)

        async with Load(shop) as load:
            load.buy("frontend-1", BOOK, 3)
            for victim in (*shop.group("catalog"), *shop.group("order")):
                await amid(load, victim, tmp_path / f"{victim}.bazar")


def sold_in(file: Path) -> set[str]:
    """Return the ids of all sales in a backup."""
    return {row[0] for row in rows_in(file)["sales"]}


async def test_a_shop_that_is_closed(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        await shop.start()
        sold = await buy(shop, BOOK, "key")
        await shop.terminate_all()
        await done(shop, "backup", tmp_path / "closed.bazar")
        assert sold_in(tmp_path / "closed.bazar") == {sold["order_id"]}
        await shop.start()
        assert (await buy(shop, BOOK, "key"))["replayed"]


# --- the old shop and the new one ----------------------------------------------------------------


async def test_orders_of_the_old_shop_refuse_the_new_catalog(tmp_path: Path) -> None:
    """Both have sold since the backup, and gave the same numbers."""
    file = tmp_path / "shop.bazar"
    async with Cluster(tmp_path / "old") as old, Cluster(tmp_path / "new") as new:
        await old.start()
        await buy(old, BOOK, "before")
        await done(old, "backup", file)
        lost = await buy(old, BOOK, "in-the-old-shop")
        await done(new, "restore", file)
        await new.start()
        for number in range(3):
            await buy(new, BOOK, f"in-the-new-shop-{number}")
        await buy(old, BOOK, "in-the-old-shop-again")  # both go on, each by itself
        await old.terminate_all()
        await new.terminate_all()
        for path in new.data_dir.glob("order*"):
            path.unlink()
        for path in old.data_dir.glob("order*"):
            shutil.copy(path, new.data_dir)
        await new.start()
        refused = await new.put("frontend-1", f"/purchase/{BOOK}", key="refused")
        assert (refused.status, refused.json["code"]) == (503, "foreign_history"), refused
        assert lost["order_id"] in await done(new, "adopt", code=1)
        again = tmp_path / "again.bazar"  # it is kept as it is, and told from a shop that is well
        await done(new, "backup", again)
        assert "is not on the catalog's history" in await done(new, "verify", again, code=1)


async def test_a_front_end_that_runs_on_forgets_what_it_knew(tmp_path: Path) -> None:
    file = tmp_path / "shop.bazar"
    leases = {"replication": {"lease_s": 3.0, "ack_timeout_s": 1.0}}
    async with Cluster(tmp_path, settings=leases) as shop:
        await shop.start()
        await buy(shop, BOOK, "before")
        await done(shop, "backup", file)
        await shop.restart(await shop.primary("catalog"))  # a higher epoch than the backup's
        await buy(shop, BOOK, "later")
        assert (await shop.get("frontend-1", f"/info/{BOOK}")).json["count"] == 5
        await shop.kill(*shop.group("catalog"), *shop.group("order"))
        token = shop.token
        for path in shop.data_dir.iterdir():
            if path.name not in ("token", "frontend-1.pid"):
                path.unlink()
        await done(shop, "restore", file)
        assert shop.token == token
        await shop.start(*shop.group("catalog"), *shop.group("order"))
        await shop.ready("frontend-1")
        await shop.update(BOOK, count=100)
        assert (await shop.get("frontend-1", f"/info/{BOOK}")).json["count"] == 100
        assert (await buy(shop, BOOK, "later"))["new_count"] == 99


# --- what is refused -----------------------------------------------------------------------------


async def test_a_shop_that_runs_is_not_written_over(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 2, "order": 1}) as shop:
        await shop.start()
        file = tmp_path / "shop.bazar"
        await done(shop, "backup", file)
        assert "runs already" in await done(shop, "restore", file, code=2)
        await shop.terminate_all()
        said = await done(shop, "restore", file, code=2)
        assert "has a catalog group already (catalog-1.db, catalog-2.db, catalog.members)" in said
        await shop.start()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a shop that is stopped, which has its backup beside its data."""
    return asyncio.run(_stopped(tmp_path_factory.mktemp("stopped")))


async def _stopped(directory: Path) -> Path:
    async with Cluster(directory, SMALL) as shop:
        await shop.start()
        await done(shop, "backup", directory / "shop.bazar")
        await shop.terminate_all()
    return directory


@pytest.mark.parametrize("name", ["catalog-9.db", "order.members"])
async def test_a_directory_that_holds_something_of_a_shop(
    tmp_path: Path, stopped: Path, name: str
) -> None:
    async with Cluster(tmp_path / "new") as new:
        new.data_dir.mkdir()
        shutil.copy(stopped / "data" / name.replace("9", "1"), new.data_dir / name)
        assert name in await done(new, "restore", stopped / "shop.bazar", code=2)
        assert not list(new.data_dir.glob("catalog-1*.db"))


async def test_a_file_that_is_not_whole_begins_nothing(tmp_path: Path, stopped: Path) -> None:
    async with Cluster(tmp_path / "new") as new:
        cut = tmp_path / "cut.bazar"
        cut.write_bytes((stopped / "shop.bazar").read_bytes()[:-10])
        for words in (("verify", cut), ("restore", cut)):
            assert f"{cut}: cut off: it ends within" in await done(new, *words, code=2)
        assert not new.data_dir.exists()


async def test_a_disk_that_is_full_leaves_no_half_file(tmp_path: Path) -> None:
    """Nor one that takes no more."""
    place = tmp_path / "backups"
    place.mkdir()
    async with Cluster(tmp_path / "shop", SMALL) as shop:
        await shop.start()
        words = 'ulimit -f 0; exec "$0" -m bazar backup "$1" --config "$2"'
        arguments = (sys.executable, str(place / "shop.bazar"), str(shop.config_path))
        ended = await asyncio.to_thread(
            partial(subprocess.run, cwd=ROOT, capture_output=True, text=True),
            ["sh", "-c", words, *arguments],
        )
        assert ended.returncode == 2, ended
        assert "shop.bazar: cannot be written: File too large" in ended.stderr
    assert not list(place.iterdir())


async def test_a_machine_that_has_not_the_files(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        said = await done(shop, "backup", tmp_path / "shop.bazar", code=2)
        assert "is not on this machine: run it where the nodes run" in said
    assert not any("bazar" in name for name in names(tmp_path))
