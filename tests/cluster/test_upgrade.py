"""From a version that wrote other files and spoke otherwise, to this one, and back."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from bazar.replication.messages import WIRE_VERSION
from tests.cluster.cluster import ROOT, Cluster, until
from tests.cluster.commands import command
from tests.cluster.load import Load, purchase
from tests.cluster.test_failures import STOCK, nothing_lost

OLD = "632166d"  # wire version 1, fewer migrations
NEW = ROOT / "run.py"
GIT_S = 60.0
SENTENCES = (
    f"speaks version 1 of the feed, and this program {WIRE_VERSION}",
    "another version of Bazar",
)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the old version's run.py, from this repository's own history."""
    if shutil.which("git") is None:
        pytest.skip("needs the git command")
    made = subprocess.run(
        ["git", "-C", str(ROOT), "archive", OLD, "run.py", "bazar", "handlers", "storage"],
        capture_output=True,
        timeout=GIT_S,
        check=False,
    )
    if made.returncode:
        asked = ["git", "-C", str(ROOT), "rev-parse", "--is-shallow-repository"]
        shallow = subprocess.run(asked, capture_output=True, timeout=GIT_S, check=False).stdout
        assert shallow.strip() != b"false", made.stderr.decode()
        pytest.skip("needs a clone with its history (git fetch --unshallow)")
    place = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(place, filter="data")
    return place / "run.py"


@pytest.mark.parametrize("how", ["in order", "kill -9"])
async def test_an_upgrade_under_load_loses_nothing(how: str, old: Path, tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:
        shop.program = old
        supervisor = await shop.start_supervised()
        await shop.update(4, count=STOCK)
        async with Load(shop) as load:
            load.buy("frontend-1", 4)
            await load.flowing(0)
            before = len(load.bought)
            began = time.monotonic()
            if how == "in order":
                supervisor.terminate()
                await shop.ended(supervisor.pid)
            else:
                await shop.kill_all()
            shop.program = NEW
            await shop.start_supervised()
            await load.flowing(time.monotonic())
            gap_s = load.gap_s(began, time.monotonic())
        after = len(load.bought) - before
        print(f"{before} bought before, {after} after; closed for {gap_s:.1f} s at the most")
        await nothing_lost(shop, load)
        verified = await command(shop, "verify")
        assert verified.returncode == 0, verified


async def test_an_older_version_refuses_the_files_and_goes_on_from_a_backup(
    old: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    async with Cluster(tmp_path / "shop") as shop:
        shop.program = old
        await shop.start_supervised()
        async with shop.client("frontend-1") as client:
            first = (await purchase(client, 4, "first")).json
        await shop.terminate_all()
        shutil.copytree(shop.data_dir, backup)

        shop.program = NEW
        await shop.start_supervised()
        async with shop.client("frontend-1") as client:
            again = (await purchase(client, 4, "first")).json
            assert (again["replayed"], again["order_id"]) == (True, first["order_id"])
            assert (await purchase(client, 4, "second")).json["new_count"] == 5
        await shop.terminate_all()
        files = {path.name: path.read_bytes() for path in shop.data_dir.glob("*.db")}

        shop.program = old
        for role in ("catalog", "order"):
            refused = shop.launch(f"old-{role}", "--role", role)
            await shop.ended(refused.pid)
            told = rf"{role}-1\.db: has schema \d+; this program knows \d+"
            assert re.search(told, shop.log(f"old-{role}"))
        assert {path.name: path.read_bytes() for path in shop.data_dir.glob("*.db")} == files

        shutil.rmtree(shop.data_dir)
        shutil.copytree(backup, shop.data_dir)
        await shop.start_supervised()
        async with shop.client("frontend-1") as client:
            assert (await purchase(client, 4, "first")).json["order_id"] == first["order_id"]
            assert (await client.get("/info/4")).json["count"] == 6  # the second is lost


@pytest.mark.parametrize("first", ["old", "new"])
@pytest.mark.parametrize("late", ["frontend-2", "catalog-2", "order-2"])
async def test_a_node_of_another_version_is_refused_with_a_sentence(
    first: str, late: str, old: Path, tmp_path: Path
) -> None:
    """Whichever is the newer, it says so; the shop goes on without the other."""
    async with Cluster(tmp_path, {"frontend": 2, "catalog": 2, "order": 2}) as shop:
        others = [name for name in shop.roles if name != late]
        shop.program, then = (old, NEW) if first == "old" else (NEW, old)
        await shop.start(*others)
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        shop.program = then
        await shop.start(late, wait=False)

        def told() -> bool:
            logs = [shop.log(name) for name in ([late] if first == "old" else others)]
            return any(sentence in log for log in logs for sentence in SENTENCES)

        await until(told, "the newer one says it")
        assert (await shop.put("frontend-1", "/purchase/4")).status == 200
        assert not await shop.is_ready(late)
