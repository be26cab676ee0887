"""Each of the faults is seen without its rule, and not with it; and how a run is drawn."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from configparser import ConfigParser
from importlib import metadata
from math import inf
from pathlib import Path
from unittest import mock

import pytest

from bazar.cli.program import main
from tests.simulation import demo
from tests.simulation.demo import rules
from tests.simulation.demo.scenario import Scenario
from tests.simulation.demo.world import COLUMNS
from tests.simulation.mutations import Mutation
from tests.simulation.scenario import run
from tests.simulation.trace import Trace

HERE = Path(__file__).resolve().parents[2]
NAMES = [scenario.name for scenario in demo.SCENARIOS]
VERDICTS = {
    "stale-search": ("STALE", "FRESH"),
    "lost-invalidation": ("STALE", "FRESH"),
    "stale-fill": ("STALE", "FRESH"),
    "diverged-replicas": ("DIVERGED", "EQUAL"),
    "oversell": ("OVERSOLD", "EXACT"),
    "dead-replica": ("DOWN", "UP"),
    "split-brain": ("TWO", "ONE"),
    "partition": ("STALE", "FRESH"),
    "open-door": ("OPEN", "SHUT"),
}


@pytest.mark.parametrize("scenario", demo.SCENARIOS, ids=NAMES)
def test_the_fault_is_seen_without_the_rule_and_only_then(scenario: Scenario) -> None:
    with demo.quiet():
        without, with_the_rule = scenario.without_the_rule(), scenario.with_the_rule()
    assert (without.fault, with_the_rule.fault) == (True, False)
    fault, none = VERDICTS[scenario.name]
    assert without.verdict.startswith(f"{fault}: ")
    assert with_the_rule.verdict.startswith(f"{none}: ")


@pytest.mark.parametrize("scenario", demo.SCENARIOS, ids=NAMES)
def test_a_play_is_the_same_each_time(scenario: Scenario) -> None:
    lines, fine = demo.perform(scenario)
    assert fine
    assert (lines, fine) == demo.perform(scenario)
    assert max(map(len, lines)) <= COLUMNS


@pytest.mark.parametrize(
    "mutation",
    [rules.SEARCHES_FORGOTTEN, rules.CACHES_UNAWAITED, rules.MAJORITY, rules.NO_ARBITER],
    ids=lambda mutation: mutation.rule,
)
def test_the_simulation_finds_what_is_switched_off(mutation: Mutation) -> None:
    """Those of the simulated core that are not already in the hunt."""
    with mutation.applied():
        assert any(run(seed).violation for seed in range(200))


def test_the_documentation_shows_what_is_played() -> None:
    [scenario] = [scenario for scenario in demo.SCENARIOS if scenario.name == "stale-fill"]
    page = (HERE / "docs" / "teaching.md").read_text("utf-8")
    shown = page.partition("-m bazar demo stale-fill\n")[2].partition("\n```")[0]
    assert shown
    assert "\n".join(demo.perform(scenario)[0]).startswith(shown)


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in listed[: len(NAMES)]] == NAMES
    assert main(["demo", "no-such-fault"]) == 2
    assert "stale-fill" in capsys.readouterr().err


def test_it_runs_where_no_extra_is_installed() -> None:
    """As the README's first command leaves it: without what only tests, or PostgreSQL, need."""
    setup = ConfigParser()
    setup.read(HERE / "setup.cfg")
    extras = setup["options.extras_require"].values()
    named = {re.split(r"[\[<>=~;]", one)[0] for lines in extras for one in lines.split()}
    modules = metadata.packages_distributions().items()
    without = {module: None for module, whose in modules if named & set(whose)}
    assert {"pytest", "psycopg", "sqlglot"} <= without.keys()
    program = f"import sys; sys.modules.update({without}); from bazar.__main__ import main; main()"
    command = [sys.executable, "-c", program, "demo", "open-door"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert "SHUT: " in done.stdout, done.stderr


def test_the_command_fails_with_a_play_that_shows_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [scenario] = [scenario for scenario in demo.SCENARIOS if scenario.name == "stale-fill"]
    with mock.patch.object(demo, "SCENARIOS", (dataclasses.replace(scenario, off=()),)):
        assert main(["demo", "stale-fill"]) == 1
    assert "THIS SCENARIO HAS FAILED" in capsys.readouterr().out
    assert main(["demo", "stale-fill"]) == 0


def test_a_run_is_drawn_with_a_lane_for_each() -> None:
    trace = Trace(["a", "b", "c"])
    trace.late_s, trace.over_s, trace.width = 0.1, 1.0, 60
    trace.add(0.001, "a", "asks", "c", 0.002)
    trace.add(0.002, "c", "thinks about it for longer than a line is", None)
    trace.add(0.003, "b", "slow", "a", 0.5)
    trace.add(0.004, "b", "gone", "c", inf)
    trace.add(0.1, "b", "dies: killed")
    trace.add(0.2, "c", "answers", "a", 0.21)

    assert trace.lines() == [
        "     ms  a          b          c",
        "    1.0  ├──────────┼─────────▶│  asks",
        "    2.0  │          │          ●  thinks about it for longer",
        "         │          │          │  than a line is",
        "    3.0  │    …─────┤          │  slow (late)",
        "    4.0  │          ├────╳     │  gone (lost)",
        "  100.0  │          ╳          │  dies: killed",
        "  200.0  │◀────────────────────┤  answers",
        "  500.0  │◀───…                │  slow (arrives)",
    ]
    assert trace.lines(1) == [trace.lines()[0], trace.lines()[-1]]
