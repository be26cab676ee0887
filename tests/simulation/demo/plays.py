"""The plays of the simulated core: caches, replicas, and the pool that chooses among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.simulation.demo.play import Performance
from tests.simulation.demo.stage import Asked, Stage
from tests.simulation.node import question_for
from tests.simulation.shop import TOPICS, Op, row
from tests.simulation.subscribing import SubscribingProcess

DOS = ("search", TOPICS[0])
FAR_MS = 400.0


def stale_search() -> Performance:
    """C5. Book 2 is the one that a search for `dos` shows."""
    stage = Stage(["reader", "buyer"], books=2)
    [frontend], [primary, _] = stage.group.caches, stage.group.replicas
    stage.ask(0, "reader", frontend, "get", DOS)
    sale = stage.ask(50, "buyer", primary, "write", Op("buy", "k1", 2), 0)
    again = stage.ask(100, "reader", frontend, "get", DOS)
    stage.play(150)
    return judged(
        stage,
        sale,
        [again],
        "FRESH: the entry about book 2 dropped the cached search that shows it before the purchase "
        "was acknowledged (rule C5), and the next search asked a replica",
    )


def lost_invalidation() -> Performance:
    """R3, C1. The network swallows what the primary sends to the front end."""
    stage = Stage(["reader", "buyer"])
    [frontend], [primary, _] = stage.group.caches, stage.group.replicas
    stage.ask(0, "reader", frontend, "get", question_for(1))
    stage.at(40, cut_off, stage, frontend.process)
    sale = stage.ask(50, "buyer", primary, "write", Op("buy", "k1", 1), 0)
    soon = stage.ask(100, "reader", frontend, "get", question_for(1))
    late = stage.ask(1600, "reader", frontend, "get", question_for(1))
    stage.play(1650)
    return judged(
        stage,
        sale,
        [soon, late],
        f"FRESH: the write waited until t={sale.told_ms:.0f} ms for frontend-1's lease to run out "
        "(rule R3); what the front end answered meanwhile was not old yet, and without a lease it "
        "serves nothing from its cache (rule C1)",
    )


def cut_off(stage: Stage, process: SubscribingProcess) -> None:
    """Nothing reaches the process on its feed any more, and nobody notices."""
    assert process.feed is not None
    stage.say(process.name, "what its feed sends is lost from here on")
    process.feed.stall(0, FAR_MS)


def stale_fill() -> Performance:
    """C2. The first reader's answer overtakes nothing: it was read before the write."""
    stage = Stage(["reader", "buyer"])
    [frontend], [primary, follower] = stage.group.caches, stage.group.replicas
    for replica in (primary, follower):
        stage.delays[replica.name, frontend.name] = 0.06
    stage.at(50, stage.delays.clear)
    first = stage.ask(0, "reader", frontend, "get", question_for(1))
    sale = stage.ask(10, "buyer", primary, "write", Op("buy", "k1", 1), 0)
    again = stage.ask(120, "reader", frontend, "get", question_for(1))
    stage.play(220)
    return judged(
        stage,
        sale,
        [again],
        f"FRESH: the invalidation detached the fetch that was under way (rule C2): its answer, "
        f"{left_of(first)} left, went to the reader who had asked before the purchase, and was not "
        "cached",
    )


def diverged_replicas() -> Performance:
    """T1, R7. Two updates of one book at once, one to each replica."""
    stage = Stage(["alice", "bob"], frontends=0)
    one, two = stage.group.replicas
    writes = [
        stage.ask(0, "alice", one, "write", Op("update", "Alpha", 1, topic=TOPICS[1]), 0),
        stage.ask(0, "bob", two, "write", Op("update", "Beta", 1, topic=TOPICS[1]), 0),
    ]
    reads = [
        stage.ask(100, "alice", one, "read", question_for(1)),
        stage.ask(100, "bob", two, "read", question_for(1)),
    ]
    stage.play(150)
    must_be_answered(writes + reads)
    stage.trace = None
    stage.run(stage.now + 60.0)
    images = [node.disk.image for node in (one, two) if node.disk is not None]
    titles = [image.state[row(1)][0] for image in images]
    marks = [image.committed for image in images]
    if titles[0] != titles[1] or marks[0] != marks[1]:
        return Performance(
            stage.story.lines(),
            True,
            f"DIVERGED: both updates were acknowledged, and a minute later catalog-1 holds "
            f"{titles[0]!r} (its log ends at {marks[0]}) and catalog-2 {titles[1]!r} "
            f"({marks[1]}): nothing will make them equal again",
        )
    return Performance(
        stage.story.lines(),
        False,
        f"EQUAL: catalog-2 does not hold the arbiter's lock (rule T1) and passed its update on "
        f"(rule R7): one log put both in order, and both replicas hold {titles[0]!r}, their logs "
        f"end at {marks[0]}",
    )


def dead_replica() -> Performance:
    """The pool, and L2 for the one that returns. Each read asks for what is not cached yet."""
    stage = Stage(["reader", "buyer"], books=4)
    [frontend], [primary, follower] = stage.group.caches, stage.group.replicas
    assert follower.process is not None
    stage.at(0, follower.process.die, "kill -9")
    reads = [
        stage.ask(20, "reader", frontend, "get", question_for(4)),
        stage.ask(60, "reader", frontend, "get", question_for(3)),
        stage.ask(100, "reader", frontend, "get", question_for(2)),
        stage.ask(140, "reader", frontend, "get", DOS),
    ]
    sale = stage.ask(180, "buyer", primary, "write", Op("buy", "k1", 1), 0)
    stage.at(1990, stage.start, follower)
    returned = [
        stage.ask(2000, "reader", frontend, "get", question_for(1)),
        stage.ask(2001, "reader", frontend, "get", ("search", TOPICS[1])),
        stage.ask(2060, "reader", follower, "read", question_for(1)),
    ]
    stage.play(2100)
    failed = [read for read in reads if read.status != 200]
    if not failed:
        return judged(
            stage,
            sale,
            returned,
            "UP: the pool asked the other replica within the same request and set the dead one "
            "aside; back again, catalog-2 answered no read before it had caught up and got a lease "
            "(rule L2), so the pool went on to catalog-1",
        )
    must_be_answered([sale, *returned])
    stale = [read for read in returned if is_stale(read, sale)]
    old = [
        f"back again, catalog-2 answered {left_of(read)} copies, not {sale.value}" for read in stale
    ]
    for read in stale:
        stage.story.mark(read.who, read.told_ms, "STALE")
    down = f"DOWN: {len(failed)} of {len(reads)} reads failed while one replica of two was up"
    return Performance(stage.story.lines(), True, "; and ".join([down, *old]))


# --- judging -------------------------------------------------------------------------------------


def judged(stage: Stage, sale: Asked, reads: Sequence[Asked], fresh: str) -> Performance:
    """Whether a read that began after the sale was acknowledged showed more than the sale left."""
    must_be_answered([sale, *reads])
    for read in reads:
        if is_stale(read, sale):
            stage.story.mark(read.who, read.told_ms, "STALE")
            return Performance(
                stage.story.lines(),
                True,
                f"STALE: at t={read.told_ms:.0f} ms {read.server} answered {left_of(read)} copies, "
                f"though a purchase acknowledged at t={sale.told_ms:.0f} ms had left {sale.value}",
            )
    return Performance(stage.story.lines(), False, f"{fresh}: {left_of(reads[-1])} left")


def must_be_answered(asked: Sequence[Asked]) -> None:
    for one in asked:
        if one.status != 200:
            raise AssertionError(f"the play has failed: {one}")


def is_stale(read: Asked, sale: Asked) -> bool:
    return read.at_ms >= sale.told_ms and left_of(read) > sale.value


def left_of(read: Asked) -> Any:
    """How many copies it shows: a row, or a search's one book."""
    return read.value[0][1][2] if isinstance(read.value[0], tuple | list) else read.value[2]
