"""docs/deploy: systemd knows what the unit file says, and what starts the program fits it."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bazar.node.supervisor import STOP_S
from handlers import ROLES
from tests.cluster.cluster import ROOT

FILES = ROOT / "docs" / "deploy"
UNIT = FILES / "bazar.service"
CONFIG = "/etc/bazar/cluster.json"


@pytest.fixture
def unit() -> configparser.SectionProxy:
    """What it says of the service; of what is there twice, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(UNIT)
    return parser["Service"]


def test_systemd_finds_no_fault_with_it(unit: configparser.SectionProxy, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs the systemd-analyze command (Debian: systemd)")
    program, *_ = shlex.split(unit["ExecStart"])
    tried = tmp_path / UNIT.name
    tried.write_text(UNIT.read_text().replace(program, sys.executable))  # one that is there
    ran = subprocess.run(
        ["systemd-analyze", "verify", str(tried)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert [line for line in ran.stderr.splitlines() if UNIT.name in line] == []
    assert ran.returncode == 0, ran


def test_its_command_is_one_and_what_no_restart_helps_is_not_tried_again(
    unit: configparser.SectionProxy, tmp_path: Path
) -> None:
    _, *words = shlex.split(unit["ExecStart"])
    nowhere = str(tmp_path / "cluster.json")
    ran = subprocess.run(
        [sys.executable, "-m", "bazar", *(nowhere if w == CONFIG else w for w in words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"{nowhere}: No such file" in ran.stderr
    assert ran.returncode == int(unit["RestartPreventExitStatus"]) == os.EX_CONFIG


def test_a_container_runs_the_same(unit: configparser.SectionProxy) -> None:
    text = (FILES / "Containerfile").read_text()
    words = [
        word
        for what in ("ENTRYPOINT", "CMD")
        for word in json.loads(text.partition(f"\n{what} ")[2].partition("\n")[0])
    ]
    assert words == shlex.split(unit["ExecStart"])


def test_the_supervisor_has_time_to_stop_in_order(unit: configparser.SectionProxy) -> None:
    assert unit["KillMode"] == "mixed"  # it stops the nodes; systemd does not
    assert int(unit["TimeoutStopSec"]) > len(ROLES) * STOP_S
