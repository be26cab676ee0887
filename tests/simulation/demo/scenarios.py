"""The scenarios of the simulated shop: caches, replicas, and the pool that chooses among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bazar.replication.feed_client import FEED_PATH
from bazar.rpc.client import CALLS_PATH
from tests.simulation.demo.scenario import Run
from tests.simulation.demo.world import Asked, Stage, staged

FAR_S = 400.0


def info(book: int) -> dict[str, Any]:
    return {"op": "info", "book": book}


def search(topic: str) -> dict[str, Any]:
    return {"op": "search", "topic": topic, "limit": 10}


def sell(book: int, key: str) -> dict[str, Any]:
    return {"op": "sell", "key": key, "lines": [{"book": book, "quantity": 1}]}


def rename(book: int, title: str) -> dict[str, Any]:
    return {"op": "update", "key": title, "book": book, "fields": {"title": title}}


def stale_search() -> Run:
    """Play C5. Book 2 is the one that a search for `systems` shows."""
    with staged("reader", "buyer", books=2) as stage:
        [frontend], [primary, _] = stage.group.caches, stage.group.replicas
        stage.request(0, "reader", frontend, "read", search("systems"))
        sale = stage.request(50, "buyer", primary, "write", sell(2, "k1"))
        again = stage.request(100, "reader", frontend, "read", search("systems"))
        stage.play(150)
    return judged(
        stage,
        sale,
        [again],
        "FRESH: the entry about book 2 dropped the cached search that shows it before the purchase "
        "was acknowledged (rule C5), and the next search asked a replica",
    )


def lost_invalidation() -> Run:
    """Play R3 and C1. The network loses what the primary sends to the front end."""
    with staged("reader", "buyer") as stage:
        [frontend], [primary, _] = stage.group.caches, stage.group.replicas
        stage.request(0, "reader", frontend, "read", info(1))
        stage.at(40, stage.say, frontend.name, "what its feed sends is lost from here on")
        stage.at(40, stage.stall, frontend, FEED_PATH, FAR_S)
        sale = stage.request(50, "buyer", primary, "write", sell(1, "k1"))
        soon = stage.request(100, "reader", frontend, "read", info(1))
        late = stage.request(1600, "reader", frontend, "read", info(1))
        stage.play(1650)
    return judged(
        stage,
        sale,
        [soon, late],
        f"FRESH: the write waited until t={sale.told_ms:.0f} ms for frontend-1's lease to run out "
        "(rule R3); what the front end answered meanwhile was not old yet, and without a lease it "
        "serves nothing from its cache (rule C1)",
    )


def stale_fill() -> Run:
    """Play C2. The first reader's answer is slow: it was read before the write, and arrives after
    it."""
    with staged("reader", "buyer") as stage:
        [frontend], [primary, _] = stage.group.caches, stage.group.replicas
        first = stage.request(0, "reader", frontend, "read", info(1))
        stage.at(8, stage.stall, frontend, CALLS_PATH, 0.06)
        sale = stage.request(10, "buyer", primary, "write", sell(1, "k1"))
        again = stage.request(120, "reader", frontend, "read", info(1))
        stage.play(220)
    must_be_answered([first])
    return judged(
        stage,
        sale,
        [again],
        f"FRESH: the invalidation detached the fetch that was under way (rule C2): its answer, "
        f"{left_of(first)} left, went to the reader who had asked before the purchase, and was not "
        "cached",
    )


def diverged_replicas() -> Run:
    """Play T1 and R7. Two updates of one book at once, one to each replica."""
    with staged("alice", "bob", frontends=0) as stage:
        one, two = stage.group.replicas
        requests = [
            stage.request(0, "alice", one, "write", rename(1, "Alpha")),
            stage.request(0, "bob", two, "write", rename(1, "Beta")),
            stage.request(100, "alice", one, "read", info(1)),
            stage.request(100, "bob", two, "read", info(1)),
        ]
        stage.play(150)
        lines = stage.story.lines()
        stage.run(stage.now + 60.0)
    must_be_answered(requests)
    images = [node.disk.image for node in (one, two) if node.disk is not None]
    titles = [image.state["books", 1]["title"] for image in images]
    marks = [image.committed for image in images]
    if titles[0] != titles[1] or marks[0] != marks[1]:
        return Run(
            lines,
            True,
            f"DIVERGED: both updates were acknowledged, and a minute later catalog-1 holds "
            f"{titles[0]!r} (its log ends at {marks[0]}) and catalog-2 {titles[1]!r} "
            f"({marks[1]}): nothing will make them equal again",
        )
    return Run(
        lines,
        False,
        f"EQUAL: catalog-2 does not hold the arbiter's lock (rule T1) and passed its update on "
        f"(rule R7): one log put both in order, and both replicas hold {titles[0]!r}, their logs "
        f"end at {marks[0]}",
    )


def dead_replica() -> Run:
    """Play the pool, and L2 for the replica that returns. Each read asks for what is not cached
    yet."""
    with staged("reader", "buyer", books=4) as stage:
        [frontend], [primary, follower] = stage.group.caches, stage.group.replicas
        assert follower.process is not None
        stage.at(0, follower.process.die, "kill -9")
        reads = [
            stage.request(20, "reader", frontend, "read", info(4)),
            stage.request(60, "reader", frontend, "read", info(3)),
            stage.request(100, "reader", frontend, "read", info(2)),
            stage.request(140, "reader", frontend, "read", search("systems")),
        ]
        sale = stage.request(180, "buyer", primary, "write", sell(1, "k1"))
        stage.at(1990, stage.start, follower)
        returned = [
            stage.request(1992, "reader", frontend, "read", info(1)),
            stage.request(1993, "reader", frontend, "read", search("school")),
            stage.request(2060, "reader", follower, "read", info(1)),
        ]
        stage.play(2100)
    failed = [read for read in reads if read.failed]
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
        f"back again, catalog-2 answered {left_of(read)} copies, not {left_of(sale)}"
        for read in stale
    ]
    for read in stale:
        stage.story.mark(read.who, read.told_ms, "STALE")
    down = f"DOWN: {len(failed)} of {len(reads)} reads failed while one replica of two was up"
    return Run(stage.story.lines(), True, "; and ".join([down, *old]))


# --- judging -------------------------------------------------------------------------------------


def judged(stage: Stage, sale: Asked, reads: Sequence[Asked], fresh: str) -> Run:
    """Judge whether a read that began after the sale was acknowledged showed more than the sale
    left."""
    must_be_answered([sale, *reads])
    for read in reads:
        if is_stale(read, sale):
            stage.story.mark(read.who, read.told_ms, "STALE")
            return Run(
                stage.story.lines(),
                True,
                f"STALE: at t={read.told_ms:.0f} ms {read.server} answered {left_of(read)} copies, "
                f"though a purchase acknowledged at t={sale.told_ms:.0f} ms had left "
                f"{left_of(sale)}",
            )
    return Run(stage.story.lines(), False, f"{fresh}: {left_of(reads[-1])} left")


def must_be_answered(requests: Sequence[Asked]) -> None:
    for request in requests:
        if request.failed:
            raise AssertionError(f"the scenario has failed: {request}")


def is_stale(read: Asked, sale: Asked) -> bool:
    return bool(read.at_ms >= sale.told_ms and left_of(read) > left_of(sale))


def left_of(request: Asked) -> Any:
    """Return how many copies are left, as a sale, a book or the first book of a search says."""
    found = request.found
    if "lines" in found:
        return found["lines"][0]["new_count"]
    return (found[0] if isinstance(found, list) else found)["count"]
