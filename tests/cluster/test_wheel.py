"""Bazar as it is installed: a wheel, away from the checkout."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cluster import ports
from tests.cluster.cluster import ROOT, until

WHEEL_S = 300
PACKAGES = ("bazar", "handlers", "storage")
BOOKS = "title,topic,cost,count\nDas Moor,Novels,1250,3\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all that the wheel has."""
    made = tmp_path_factory.mktemp("wheel")
    source = made / "source"  # a build leaves files where it is made
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "data", "build", "tests"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(made),
        str(source),
    ]
    subprocess.run(command, cwd=made, check=True, timeout=WHEEL_S)
    [wheel] = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(made / "all")
    return made / "all"


def test_it_has_all_that_the_tree_has(installed: Path) -> None:
    """A package that is forgotten is missed as late as somebody needs it."""
    tree = {path for name in PACKAGES for path in files(ROOT, name)} | {"run.py"}
    wheel = {path for name in PACKAGES for path in files(installed, name)} | {
        path.name for path in installed.glob("*.py")
    }
    assert wheel == tree | {"bazar/cluster.json"}


def files(root: Path, package: str) -> list[str]:
    """Return what there is below it, but for what Python compiles."""
    found = (path for path in (root / package).rglob("*") if path.is_file())
    return [str(path.relative_to(root)) for path in found if "__pycache__" not in path.parts]


def bazar(installed: Path, here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bazar", *arguments],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_a_shop_is_served_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    plain = json.loads((installed / "bazar" / "cluster.json").read_text())
    held = ports.hold(len(plain["nodes"]))
    for node, one in zip(plain["nodes"].values(), held, strict=True):
        node["port"] = ports.number(one)
    (tmp_path / "cluster.json").write_text(json.dumps(plain))
    serving = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bazar", "serve"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        async def is_well() -> bool:
            ran = await asyncio.to_thread(bazar, installed, tmp_path, "status")
            return ran.returncode == 0

        await until(is_well, "the shop is well", 120)
        assert (tmp_path / "data" / "catalog-1.db").exists()
        (tmp_path / "books.csv").write_text(BOOKS)
        ran = await asyncio.to_thread(bazar, installed, tmp_path, "import", "books.csv")
        assert ran.returncode == 0, ran.stderr
        assert "1 created" in ran.stdout
    finally:
        serving.terminate()
        await serving.wait()
        for one in held:
            one.close()


def test_without_a_file_it_takes_the_one_that_came_with_it(installed: Path, tmp_path: Path) -> None:
    code = (
        "from bazar.cluster_file import *; from handlers import ROLES\n"
        "config = load(default_config(), ROLES); print(config.data_dir, *config.nodes)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    nodes = json.loads((ROOT / "cluster.json").read_text())["nodes"]
    assert ran.stdout.split() == [str(tmp_path / "data"), *nodes]


def test_the_demo_says_that_it_wants_a_checkout(installed: Path, tmp_path: Path) -> None:
    ran = bazar(installed, tmp_path, "demo")
    assert ran.returncode == 2
    assert "run this in a checkout" in ran.stderr
