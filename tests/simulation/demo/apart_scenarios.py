"""The scenarios of nodes that stand still, or are cut off: what a lock, a lease and a quorum do."""

from __future__ import annotations

from tests.simulation.demo.scenario import Run
from tests.simulation.demo.scenarios import info, judged, left_of, must_be_answered, sell
from tests.simulation.demo.world import staged

LOCK = "/data/catalog.lock"


def split_brain() -> Run:
    """Play L5 and T1. The primary hangs, somebody deletes its lock and restarts the other, which
    leads. Then the first one goes on."""
    with staged("reader", "buyer", frontends=0) as stage:
        old, new = stage.group.replicas
        assert old.process is not None and new.process is not None
        stage.at(0, old.process.pause, 1.5)
        stage.at(100, stage.delete, old, LOCK)
        stage.at(110, new.process.die, "restarted")
        stage.at(130, stage.start, new)
        sale = stage.request(1250, "buyer", new, "write", sell(1, "k1"))
        seen = stage.request(1500, "reader", old, "read", info(1))
        again = stage.request(1540, "buyer", old, "write", sell(1, "k2"))
        last = stage.request(1600, "reader", new, "read", info(1))
        stage.play(2500)
    must_be_answered([sale, last])
    if not again.failed or left_of(last) != left_of(sale):
        raise AssertionError(f"the scenario has failed: {again}, {last}")
    if seen.failed:
        return Run(
            stage.story.lines(),
            False,
            "ONE: before catalog-1 answered anything it looked at its lock, which was not its own "
            "any more (rule L5), and left; catalog-2 had sold nothing before whatever catalog-1 "
            "could answer or had granted was over (rule T2)",
        )
    stage.story.mark(seen.who, seen.told_ms, "STALE")
    return Run(
        stage.story.lines(),
        True,
        f"TWO: at t={seen.told_ms:.0f} ms catalog-1, which was deposed, answered {left_of(seen)} "
        f"copies, though catalog-2 had sold one at t={sale.told_ms:.0f} ms. The lock kept it from "
        "selling: who does not hold it can't record who is in sync. But no read asks for a lock; "
        "only a lease, which ends by itself, ends them",
    )


def partition() -> Run:
    """Play R3 and L2. The network is cut between the primary and one of two followers."""
    with staged("reader", "buyer", frontends=0, catalogs=3) as stage:
        primary, near, far = stage.group.replicas
        stage.at(0, stage.cut, primary, far, 1.5)
        sale = stage.request(50, "buyer", primary, "write", sell(1, "k1"))
        early = stage.request(100, "reader", far, "read", info(1))
        cut_off = stage.request(1000, "reader", far, "read", info(1))
        there = stage.request(1100, "reader", near, "read", info(1))
        mended = stage.request(1750, "reader", far, "read", info(1))
        stage.play(1800)
    if not cut_off.failed:
        raise AssertionError(f"the scenario has failed: {cut_off}")
    return judged(
        stage,
        sale,
        [early, there, mended],
        f"FRESH: a majority had the sale at t=64 ms; it counted at t={sale.told_ms:.0f} ms, when "
        "catalog-3 had no lease any more (rule R3), and from then on catalog-3 refused (rule L2): "
        "consistent, and not available. A quorum keeps what is written; that nobody reads what was "
        "before takes a lease. Mended, catalog-3 joins anew and answers",
    )
