"""Undoing a purchase (S6), as an observer of the primary that decides sees it, and as its buyer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bazar.errors import NotBuyer, TooLate
from bazar.replication.store import Outcome
from tests.simulation.invariants import Item, copies
from tests.simulation.shop import State
from tests.world.world import Violation

if TYPE_CHECKING:
    from tests.simulation.requests import Write


def check_decision(operation: Item, outcome: Outcome, state: State, now_ms: int) -> None:
    """Check what a primary decides on these rows, at its time of day: a purchase is undone by its
    buyer and in time, or not at all; and no buyer is refused in time, nor what is done already."""
    if "buyer" not in operation or ("sales", operation["order_id"]) not in state:
        return
    order_id, key, buyer = operation["order_id"], operation["key"], operation["buyer"]
    sale = state["sales", order_id]
    is_own = buyer["key"] == sale["key"]
    is_late = now_ms - sale["sold_at"] >= buyer["within_ms"]
    put = {} if outcome.change is None else outcome.change.effects["put"]
    if "cancellations" in put:
        if not is_own:
            raise Violation(f"S6: {key} undoes {order_id}, which others have bought")
        if is_late:
            raise Violation(f"S6: {key} undoes {dict(sale)} at {now_ms}, too late")
    done = copies(state.get(("cancellations", order_id)))
    is_done = all(one["quantity"] <= done.get(one["book"], 0) for one in operation["lines"])
    if isinstance(outcome.answer, NotBuyer) and is_own:
        raise Violation(f"S6: {key} is refused to undo {order_id}, which its buyer asks for")
    if isinstance(outcome.answer, TooLate) and (is_done or not is_late):
        raise Violation(f"S6: {key} is refused at {now_ms}: of {dict(sale)} {done} is undone")


def check_answer(write: Write, found: Any) -> None:
    """Check what a buyer is answered, by the true time of day: the nodes' may be wrong, and how far
    is known."""
    world, truth, buyer = write.clients.world, write.clients.catalog.truth, write.operation["buyer"]
    sale = truth.state["sales", write.operation["order_id"]]
    if isinstance(found, NotBuyer) != (buyer["key"] != sale["key"]):
        raise Violation(f"S6: {write.operation} is answered {found!r}, of {dict(sale)}")
    until, apart_ms = sale["sold_at"] + buyer["within_ms"], world.walls_apart_ms
    began, now = world.true_wall_ms(write.start), world.true_wall_ms(world.now)
    if isinstance(found, TooLate) and now + apart_ms < until:
        raise Violation(f"S6: {write.key} is refused by {found!r} before {until}")
    if any(truth.back.get(write.key, {}).values()) and began - apart_ms >= until:
        raise Violation(f"S6: {write.key} has undone {dict(sale)} after {until}")
