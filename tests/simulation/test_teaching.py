"""What docs/teaching.md says of the simulation: which rules it misses, and how a fault is made."""

from __future__ import annotations

import ast
import contextlib
import importlib
import re
import shlex
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import patch

import pytest

from tests import teaching
from tests.simulation import __main__, demo
from tests.simulation.faults import network
from tests.simulation.focus import FOCUSES
from tests.simulation.mutations.mutation import Mutation
from tests.simulation.scenario import run
from tests.simulation.shrink import RUNS, Shrinking

FEW = "2"
WITHIN = 50  # as the page says
RARE = "the other half"


def rule(row: list[str]) -> Mutation:
    """Return what the row of a table takes away."""
    name, where, before, after, _, promise = row
    path, function = re.findall(r"`([^`]+)`", where)
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    owner, _, method = function.partition(".")
    edit = (getattr(module, owner), method, before.strip("`"), after.strip("`"))
    return Mutation(name, promise, (edit,))


def first(seeds: Iterable[int], focus: str = "") -> str:
    """Return the first violation that there is."""
    return next(filter(None, (run(seed, focus=focus).violation for seed in seeds)), "")


RULES = {row[0]: rule(row) for row in teaching.rows()}


@pytest.mark.parametrize("name", [name for name in RULES if RARE not in name])
def test_a_rule_that_is_taken_away_is_missed_soon_and_by_its_promise(name: str) -> None:
    with RULES[name].applied():
        found = first(range(WITHIN))
    assert found.startswith(f"{RULES[name].rule}: "), found


def of(path: str) -> str:
    """Return the code that the page has students put into this file."""
    page = teaching.PAGE.read_text("utf-8")
    behind = page[page.index(f"`{path}`") :]
    return behind.partition("```python\n")[2].partition("```")[0]


@contextlib.contextmanager
def invented() -> Iterator[str]:
    """Put the page's own fault in, and yield the name of its focus."""
    made: dict[str, Any] = {}
    source = textwrap.dedent(of("tests/simulation/faults/network.py"))
    exec(compile(source, "<page>", "exec"), vars(network), made)
    [(name, method)] = made.items()
    focuses = ast.literal_eval("{" + of("tests/simulation/focuses/serving.py") + "}")
    [focus] = focuses
    with (
        patch.object(network.NetworkFaults, name, method, create=True),
        patch.dict(FOCUSES, focuses),
    ):
        yield focus


def test_the_fault_that_students_invent_finds_what_is_rare() -> None:
    [rare] = [one for name, one in RULES.items() if RARE in name]
    with invented() as focus:
        assert not first(range(8), focus)
        with rare.applied():
            found = first(range(WITHIN), focus)
    assert found.startswith(f"{rare.rule}: "), found


def test_the_commands_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    commands = teaching.lines(teaching.SIMULATES)
    assert commands
    one = next(iter(RULES.values()))
    with invented(), one.applied():  # so that there is something to show, and to shrink
        for line in commands:
            words = shlex.split(line.partition(" | ")[0])[3:]
            if "--seeds" in words:
                words[words.index("--seeds") + 1] = FEW
            if "--shrink" in words:
                words += ["--runs", FEW]
            with patch.object(sys, "argv", ["", *words]):
                assert __main__.main() in (0, 1), line
            assert "seed" in capsys.readouterr().out, line


def test_the_demos_are_there_and_as_many_as_it_says() -> None:
    known = {scenario.name for scenario in demo.SCENARIOS}
    named = {word for line in teaching.lines(teaching.PLAYS) for word in line.split()[4:]}
    assert named and named <= known
    assert len(known) == 9
    page = " ".join(teaching.PAGE.read_text("utf-8").split())
    for words in ("break in nine ways", "Nine faults", "All nine", "lists the nine"):
        assert words in page, words


def test_no_fault_is_left_of_a_run_that_needs_none() -> None:
    """As the page concludes from what `--shrink` prints."""
    [line] = [one for one in teaching.lines(teaching.SIMULATES) if "--shrink" in one]
    with next(iter(RULES.values())).applied():
        shrinking = Shrinking(int(line.split()[-1]))
        shrinking.shrink(RUNS)
    assert [tape for tape, draws in shrinking.kept.items() if draws] == ["clients"]
