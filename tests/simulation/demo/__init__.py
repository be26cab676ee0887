"""Faults of shops that cache and replicate, played: without the rule that prevents each, then with
it.

The code that runs is the production code. A rule is switched off as in the hunt for mutations: by
removing a piece of the function that keeps it.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from tests.simulation.demo import rules
from tests.simulation.demo.apart_scenarios import partition, split_brain
from tests.simulation.demo.auth_scenario import open_door
from tests.simulation.demo.oversell_scenario import oversell
from tests.simulation.demo.scenario import Run, Scenario
from tests.simulation.demo.scenarios import (
    dead_replica,
    diverged_replicas,
    lost_invalidation,
    stale_fill,
    stale_search,
)
from tests.simulation.demo.world import COLUMNS
from tests.simulation.mutations import Mutation

SCENARIOS = (
    Scenario(
        "stale-search",
        "a cached search is never invalidated, and shows old counts until it expires",
        "C5: an entry about a book drops every cached search that shows it",
        (rules.SEARCHES_FORGOTTEN,),
        stale_search,
    ),
    Scenario(
        "lost-invalidation",
        "an invalidation that does not arrive is forgotten, and the cache serves the old value",
        "R3: a write waits for each cache's acknowledgement, or for the end of its lease",
        (rules.CACHES_UNAWAITED,),
        lost_invalidation,
    ),
    Scenario(
        "stale-fill",
        "a slow reader puts the old value into the cache after it was invalidated",
        "C2: an invalidation detaches the fetch under way: its answer is not cached",
        (rules.known("an invalidation detaches no flight"),),
        stale_fill,
    ),
    Scenario(
        "diverged-replicas",
        "whichever replica gets a write executes it, and two at once leave them different",
        "T1, R7: only who holds the arbiter's lock executes writes; the others pass them on",
        (rules.NO_ARBITER,),
        diverged_replicas,
    ),
    Scenario(
        "oversell",
        "the count is read and then written, so two buy the last copy; a retry buys twice",
        "R1, S1: each purchase sees those before it, and a sale keeps the key it was asked with",
        (rules.EACH_BY_ITSELF, rules.KEYS_FORGOTTEN),
        oversell,
    ),
    Scenario(
        "dead-replica",
        "every second request fails while a replica is down, and nothing updates it afterwards",
        "pool, L2: who fails is set aside, another asked; who returns catches up before it answers",
        (rules.NOBODY_ELSE, rules.known("a follower answers without a lease")),
        dead_replica,
    ),
    Scenario(
        "split-brain",
        "the primary hangs and is replaced; when it goes on, it answers as if it still led",
        "T1, L5: who holds the lock writes, and answers reads for one lease after it looked",
        (rules.known("the arbiter is not asked"),),
        split_brain,
    ),
    Scenario(
        "partition",
        "a write counts once a majority has it, and a replica that is cut off answers the old",
        "R3, L2: a write waits for each acknowledgement or the end of a lease; no lease, no answer",
        (rules.MAJORITY,),
        partition,
    ),
    Scenario(
        "open-door",
        "nobody can see how the shop is, and anyone can call update and invalidateCache",
        "internal paths want the cluster token; health is open to all, status to who has it",
        (rules.OPEN_DOOR,),
        open_door,
    ),
)


def perform(scenario: Scenario) -> tuple[list[str], bool]:
    """Return the lines to show, and whether the fault was seen exactly without the rule."""
    lines = [scenario.name, "=" * len(scenario.name), *wrapped(f"The fault: {scenario.fault}.")]
    lines += wrapped(f"The rule:  {scenario.rule}.")
    switched_off = [line for mutation in scenario.off for line in difference(mutation)]
    fine = True
    for title, act, expected in (
        (["Without the rule", *switched_off], scenario.without_the_rule, True),
        (["With the rule"], scenario.with_the_rule, False),
    ):
        lines += ["", *title, ""]
        try:
            with quiet():
                done = act()
        except (AssertionError, LookupError) as error:
            done = Run([], not expected, str(error))
        lines += [*done.lines, "", *wrapped(f"{done.verdict}.")]
        if done.fault is not expected:
            lines += wrapped("THIS SCENARIO HAS FAILED: it was to show the opposite.")
            fine = False
    return lines, fine


def difference(mutation: Mutation) -> Iterator[str]:
    """Yield the lines of the code, and those that are played instead."""
    for owner, function, before, after in mutation.edits:
        place = f"  {owner.__name__}.{function}:"
        line = f"{place} {before} -> {after}"
        yield from [line] if len(line) <= COLUMNS else [place, f"    {before}", f" -> {after}"]


def wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, subsequent_indent="  ")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the log: it is in the drawing, or does not matter."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
