"""Interleavings that the simulation meets too seldom to rely on, played by hand."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bazar.errors import Conflict, Indeterminate, Unavailable
from bazar.replication.effects import (
    LogPage,
    Persist,
    ReadLog,
    Record,
    SendSnapshot,
)
from bazar.replication.messages import (
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Ack,
    ArbiterId,
    Change,
    Commit,
    Entry,
    Hello,
    Mark,
    Member,
    Membership,
    Prepare,
    Tail,
    Welcome,
    chained,
)
from bazar.replication.primary import Primary
from bazar.replication.replica_subscriber import ReplicaSubscriber
from bazar.replication.timing import Timing
from handlers.orders.service import OrderService
from storage.history import Position
from storage.orders import Orders, Projected
from tests.simulation import shop
from tests.unit.replication.steps import sent
from tests.unit.storage.operations import cancel, sell
from tests.unit.storage.rows import PlainCatalog

HERE = ArbiterId("here", "/data")
TIMING = Timing()
BEGUN: Any = {"known": 1, "epoch_id": "e"}
A, B, C = (Member(name, f"{name}/1") for name in ("a", "b", "c"))


def log(count: int, epoch: int = 1) -> tuple[Entry, ...]:
    changes = [Change((f"info_{number}",), number) for number in range(count)]
    return chained(GENESIS, epoch, changes)


def hello(member: Member, committed: Mark, last: Mark) -> Hello:
    return Hello(
        WIRE_VERSION, REPLICA, member.node, member.node, member.store, 1, committed, last, "e"
    )


def test_a_page_read_before_an_adopted_tail_is_durable_is_read_again() -> None:
    """J3, T3: our disk has lost entry 2. B has committed it, and C offers it as pending. While it
    is on its way to our disk, B's page, read before, does not show it: that is no reason for a
    snapshot, which would take the entry from B."""
    one, two = log(2)
    membership = Membership(1, frozenset({A, B, C}), 1.0)
    primary, _ = Primary.take_over(
        A, membership, one.mark, (), 0.0, TIMING, **BEGUN, restarted=True, arbiter=HERE
    )
    primary.recorded(0.0)
    primary.receive(1, hello(C, one.mark, two.mark), 0.1)
    primary.log_read(1, LogPage(one.mark, (), True), 0.1)
    assert primary.receive(2, hello(B, two.mark, two.mark), 0.1) == [ReadLog(2, 2)]
    assert Persist(one.mark, (two,)) in primary.receive(1, Tail((two,)), 0.2)

    effects = primary.log_read(2, LogPage(None, (), False), 0.3)

    assert not any(isinstance(effect, SendSnapshot) for effect in effects)
    assert ReadLog(2, 2) in effects


def test_a_hello_waits_for_the_disk() -> None:
    """J1: a commit of the last feed is still on its way to disk. A hello sent now would soon be
    wrong, and its answer would not fit."""
    one, two = log(2)
    follower = ReplicaSubscriber("b", "b/1", "b#1", 1, "", TIMING, one.mark, [], HERE)
    follower.connected(1, 0.0)
    follower.receive(1, Welcome(1, two.mark, two.mark, False, "e", HERE), 0.1)
    (persist,) = follower.receive(1, Prepare((two,)), 0.1)
    assert isinstance(persist, Persist)
    (apply,) = follower.receive(1, Commit(two.mark), 0.1)
    follower.disconnected(1)

    assert follower.connected(2, 0.2) == []
    assert follower.stored(persist, 0.3) == []
    (greeting, _) = sent(follower.stored(apply, 0.4), 2)  # type: ignore[arg-type]

    assert isinstance(greeting, Hello)
    assert greeting.committed == two.mark


def test_a_tail_that_is_on_its_way_when_the_wait_ends_is_adopted() -> None:
    """T3: our disk has lost entry 2, which B has acknowledged. B has been asked for it; before it
    comes the wait ends, and others want to write."""
    one, two = log(2)
    membership = Membership(1, frozenset({A, B}), 1.0)
    primary, _ = Primary.take_over(
        A, membership, one.mark, (), 0.0, TIMING, **BEGUN, restarted=True, arbiter=HERE
    )
    primary.recorded(0.0)
    late = primary.not_before
    primary.receive(1, hello(B, one.mark, two.mark), late - 0.01)
    primary.log_read(1, LogPage(one.mark, (), True), late - 0.01)
    primary.tick(late)

    assert not primary.begin(late)
    assert Persist(one.mark, (two,)) in primary.receive(1, Tail((two,)), late + 0.01)


def test_a_commit_that_passes_while_a_follower_joins_is_told() -> None:
    """J4: B has acknowledged the tail, but the batch commits before B is in the set."""
    (one,) = log(1)
    membership = Membership(1, frozenset({A, B}), 1.0)
    primary, _ = Primary.take_over(
        A, membership, GENESIS, (one,), 0.0, TIMING, **BEGUN, restarted=False, arbiter=HERE
    )
    primary.recorded(0.0)
    primary.receive(1, hello(B, GENESIS, one.mark), 0.5)
    primary.log_read(1, LogPage(GENESIS, (one,), True), 0.5)
    primary.tick(2.0)  # T4: B has not joined by now, and is being removed
    primary.receive(1, Ack(one.mark), 2.0)
    (apply,) = primary.recorded(2.1)

    primary.stored(apply, 2.2)  # type: ignore[arg-type]
    effects = primary.recorded(2.3)

    assert Commit(one.mark) in sent(effects, 1)


def test_a_member_is_heard_before_a_new_replica_is_let_in_on_our_word() -> None:
    """J5, L4: we have restarted and lost entry 2. C, a new replica, has taken all that we have. B,
    a member, has said that it has more, just before the wait for it ends. If C were let in first,
    it could succeed us, with our log."""
    one, two = log(2)
    for read_in_time in (True, False):
        membership = Membership(1, frozenset({A, B}), 1.0)
        primary, _ = Primary.take_over(
            A, membership, one.mark, (), 0.0, TIMING, **BEGUN, restarted=True, arbiter=HERE
        )
        primary.recorded(0.0)
        over_at = primary.not_before
        primary.receive(1, hello(C, one.mark, one.mark), 0.1)
        primary.log_read(1, LogPage(one.mark, (), True), 0.1)
        primary.receive(1, Ack(one.mark), 0.2)
        assert primary.receive(2, hello(B, two.mark, two.mark), over_at - 0.01) == [ReadLog(2, 2)]

        page = LogPage(None, (), True)
        effects = [] if read_in_time else primary.tick(over_at + 0.01)
        effects += primary.log_read(2, page, over_at + 0.02)

        assert [effect for effect in effects if isinstance(effect, Record)] == [
            Record(Membership(2, frozenset({B}), 1.0))
        ]
        # While that is on its way to disk, our rows are old.
        with pytest.raises(Unavailable):
            primary.read(None, over_at + 0.03)


def test_a_clean_end_may_have_been_put_back_with_leases_of_later_epochs_running() -> None:
    end, over_s = log(1)[0].mark, TIMING.surely_over_s(TIMING.lease_s)
    ended = Membership(1, frozenset({A}), TIMING.lease_s, clean=True)
    for restarted in (True, False):
        primary, _ = Primary.take_over(
            *(A, ended, end, [], 0.0, TIMING), **BEGUN, restarted=restarted, arbiter=HERE
        )
        primary.recorded(0.0)
        assert primary.begin(over_s / 2) is not restarted
        if restarted:
            primary.tick(over_s + 0.01)
            assert primary.begin(over_s + 0.01)


def test_sales_that_come_when_their_history_was_left_are_no_orders_any_more() -> None:
    """S2, S5: they were read before the catalog's files were put back, and the reader was stopped
    until the orders had adopted the present history."""
    present, left = Position(5, "e"), Position(9, "e")
    sale = {"order_id": "o10", "seq": 10, "sold_at": 0, "lines": []}
    adopt = {"op": "adopt", "after": left.plain, "to": present.plain, "behind": 4}
    late = {"op": "project", "after": left.plain, "changes": [sale], "id": "e"}
    work = Projected(left, {}, 4, 1)

    adopted, refused = Orders().decide(work, [adopt, late])

    assert adopted.answer == {"cursor": present.plain}
    assert isinstance(refused.answer, Conflict)
    assert work.cursor == present


def test_what_the_orders_have_passed_they_show() -> None:
    """S6: a later cancellation of the same sale is there when they come to an earlier one, and is
    lost when the catalog's files are put back."""
    catalog, orders = PlainCatalog(), Projected(Position(), {}, 0, 1)

    def follow(limit: int) -> None:
        page, last = shop.changes(catalog.state, orders.cursor, catalog.seq, limit)
        step = {"op": "project", "after": orders.cursor.plain, "changes": page, "id": last}
        Orders().decide(orders, [step] if page else [])

    catalog.batch({"op": "begin", "epoch": 0, "id": "e"})
    order = catalog.one(sell("sale", (4, 2)))["order_id"]
    follow(1)
    catalog.one(cancel("half", order, (4, 1)))
    catalog.one(sell("other", (5, 1)))
    kept = dict(catalog.state), catalog.seq
    catalog.one(cancel("all", order, (4, 2)))
    follow(1)
    catalog.state, catalog.seq = kept

    cancelled = catalog.one(cancel("again", order, (4, 1)))["cancelled"]
    follow(9)

    assert json.loads(orders.known[order]["cancelled"] or "[]") == cancelled
    assert cancelled == [{"book": 4, "quantity": 1}]
    assert catalog.state["books", 4]["count"] == 6


def test_a_cancellation_that_its_order_does_not_show_in_time_is_in_doubt() -> None:
    """R5: it is in the catalog's log, and the order has not followed yet."""

    class Reader:
        async def order(self, order_id: str) -> dict[str, Any]:
            return {"order_id": order_id}

    class Behind:
        _projected, reader = asyncio.Event(), Reader()

    cancelled = {"order_id": "o", "cancelled": [{"book": 1, "quantity": 1}]}
    behind: Any = Behind()
    with pytest.raises((Indeterminate, Unavailable)) as told:
        asyncio.run(OrderService._cancelled(behind, cancelled, 0.0))
    assert told.type is Indeterminate
