"""The check of each step finds the fault that it is for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bazar.replication.messages import (
    GENESIS,
    ArbiterId,
    Change,
    Entry,
    Mark,
    Member,
    Membership,
    chain,
)
from bazar.replication.primary import Primary
from bazar.replication.timing import Timing
from storage.catalog import Catalog
from tests.simulation import shop
from tests.simulation.disk import EMPTY
from tests.simulation.invariants import Truth
from tests.simulation.scenario import Scenario
from tests.simulation.shop import TOPICS
from tests.world.world import Violation

BOOK = {"op": "info", "book": 1}


class Scene:
    """A group of one replica, whose primary commits by hand."""

    def __init__(self) -> None:
        scenario = Scenario(1, core=True)
        self.group = scenario.catalog
        self.truth = self.group.truth = Truth(books=1, stock=3)
        self.truth.group = self.group
        del self.group.replicas[1:]
        self.node = self.group.replicas[0]
        assert self.node.disk is not None
        self.disk = self.node.disk
        self.me = Member(self.node.name, self.disk.store)
        self.before = GENESIS

    def primary(self, epoch: int) -> Primary:
        membership = Membership(epoch, frozenset({self.me}), 1.0)
        here = ArbiterId("here", "/data")
        return Primary(
            *(self.me, membership, GENESIS, (), 0.0, Timing()),
            epoch_id="e",
            restarted=False,
            arbiter=here,
        )

    def commit(self, change: Change, epoch: int = 1, run: str = "catalog-1#1") -> Entry:
        entry = chain(self.before, epoch, change)
        image = self.disk.image.persisted(self.before, (entry,))
        self.disk.write(image.applied(entry.mark, 100, Catalog.tables))
        self.truth.committed(self.primary(epoch), run, self.disk.image, (entry,))
        self.before = entry.mark
        return entry

    def shown(self) -> Any:
        return shop.shown(self.truth.state, BOOK)


def row(left: int, retired: int | None = None) -> dict[str, Any]:
    text = {"title": "t", "author": None, "isbn": None, "retired": retired}
    return {"id": 1, **text, "catalog_id": 1, "cost": 100, "count": left}


def stocked(count: int) -> Change:
    topic = {"id": 1, "name": TOPICS[0], "folded": TOPICS[0].casefold()}
    return Change(("info_1",), {"put": {"topics": [topic], "books": [row(count)]}})


def sale(key: str, left: int, quantity: int = 1) -> Change:
    sold = {
        "order_id": f"order-{key}",
        "key": key,
        "request": key,
        "sold_at": 0,
        "seq": left,
        "lines": json.dumps([{"book": 1, "quantity": quantity}]),
    }
    return Change(("info_1",), {"put": {"books": [row(left)], "sales": [sold]}})


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    scene.commit(stocked(3))
    yield scene


def test_i1_two_primaries_in_one_epoch(scene: Scene) -> None:
    with pytest.raises(Violation, match="I1"):
        scene.commit(sale("a", 2), run="catalog-2#1")


def test_i1_an_epoch_that_falls(scene: Scene) -> None:
    scene.commit(sale("a", 2), epoch=3)
    with pytest.raises(Violation, match="I1"):
        scene.commit(sale("b", 1), epoch=2)


def test_i2_another_entry_in_the_same_place(scene: Scene) -> None:
    other = chain(GENESIS, 1, sale("x", 2))
    with pytest.raises(Violation, match="I2"):
        scene.truth.committed(scene.primary(1), "catalog-1#1", scene.disk.image, (other,))


def test_i2_a_replica_ahead_of_the_log(scene: Scene) -> None:
    image = scene.disk.image._replace(committed=Mark(9, "nowhere"))
    with pytest.raises(Violation, match="I2"):
        scene.truth.on_log(image, "catalog-2")


def test_i3_a_member_that_lacks_what_was_acknowledged(scene: Scene) -> None:
    member = {"node": scene.me.node, "store": scene.me.store}
    recorded = {"epoch": 1, "members": [member], "lease_s": 1.0, "clean": False}
    file = scene.group.world.files.create("/data/catalog.members")
    file.content = json.dumps(recorded).encode()
    scene.disk.image = EMPTY
    with pytest.raises(Violation, match="I3"):
        scene.truth.check_members()


def test_i4_a_value_that_was_over_before_the_read_began(scene: Scene) -> None:
    before = scene.shown()
    scene.commit(sale("a", 2))
    scene.truth.check_answer(BOOK, before, since=1, who="a reader that began before")
    with pytest.raises(Violation, match="I4"):
        scene.truth.check_answer(BOOK, before, since=2, who="a later reader")


def test_i4_a_value_that_never_was(scene: Scene) -> None:
    with pytest.raises(Violation, match="I4"):
        scene.truth.check_answer(BOOK, {**scene.shown(), "count": 1}, since=0, who="a reader")


def test_t0_an_answer_before_there_is_anything() -> None:
    with pytest.raises(Violation, match="T0"):
        Scene().truth.check_answer(BOOK, None, since=0, who="a reader")


def test_i7_a_negative_count(scene: Scene) -> None:
    with pytest.raises(Violation, match="I7"):
        scene.commit(sale("a", -1, quantity=4))


def test_i7_a_sale_that_does_not_add_up(scene: Scene) -> None:
    with pytest.raises(Violation, match="I7"):
        scene.commit(sale("a", 3))


def test_i7_what_is_stocked_anew_adds_up_with_what_was_sold(scene: Scene) -> None:
    scene.commit(sale("k1", 1, 2))
    request = json.dumps({"op": "update", "book": 1, "fields": {"count": 3}})
    answer = {"key": "k2", "request": request, "answer": "{}", "at": 0}
    scene.commit(Change(("info_1",), {"put": {"books": [row(3)], "answers": [answer]}}))
    scene.commit(sale("k3", 2))
    with pytest.raises(Violation, match="I7"):
        scene.commit(sale("k4", 2))


GONE = Change(("info_1",), {"put": {}, "delete": {"books": [1]}})


def test_s7_a_sample_that_goes_when_something_was_sold(scene: Scene) -> None:
    scene.truth.watch_samples([1])
    scene.commit(sale("a", 2))
    with pytest.raises(Violation, match=r"S7: .* something was sold"):
        scene.commit(GONE)


def test_s7_a_book_that_goes_and_is_no_sample(scene: Scene) -> None:
    scene.truth.watch_samples([2])
    with pytest.raises(Violation, match=r"S7: .* no samples"):
        scene.commit(GONE)


def test_s7_a_samples_number_that_another_book_gets(scene: Scene) -> None:
    scene.truth.watch_samples([1])
    answer = {"key": "k", "request": "{}", "answer": "{}", "at": 0}
    scene.commit(Change((), {**GONE.effects, "put": {"answers": [answer]}}))
    with pytest.raises(Violation, match=r"S7: .* given to other books"):
        scene.commit(stocked(3))


def test_s1_a_key_that_is_sold_twice(scene: Scene) -> None:
    scene.commit(sale("a", 2))
    with pytest.raises(Violation, match="S1"):
        scene.commit(sale("a", 1))


def test_s8_a_sale_of_a_book_that_is_retired(scene: Scene) -> None:
    scene.commit(Change(("info_1",), {"put": {"books": [row(3, retired=1)]}}))
    with pytest.raises(Violation, match="S8"):
        scene.commit(sale("a", 2))


def test_i7_an_order_of_nothing(scene: Scene) -> None:
    orders = Truth(0, 0, scene.truth)
    orders.group = scene.group
    order = {"order_id": "x", "seq": 2, "sold_at": 0, "lines": "[]"}
    order |= {"changed": None, "cancelled": None}
    entry = chain(GENESIS, 1, Change(("order_x",), {"put": {"orders": [order]}}))
    with pytest.raises(Violation, match="I7"):
        orders.committed(scene.primary(1), "order-1#1", EMPTY, (entry,))


def cancelling(number: int, many: int | None) -> dict[str, Any]:
    """Return a row that says how many copies of the sale "a" are cancelled, of either group."""
    cancelled = None if many is None else json.dumps([{"book": 1, "quantity": many}])
    return {"order_id": "order-a", "seq": number, "cancelled_at": 0, "cancelled": cancelled}


def test_s6_an_order_shows_nothing_less_and_nothing_that_never_was(scene: Scene) -> None:
    """Whatever was put back meanwhile, and whatever the catalog has now."""
    scene.commit(sale("a", 0, quantity=3))
    sold = scene.truth.moment()
    answer = {"key": "k", "request": "{}", "answer": "{}", "at": 0}
    back = {"books": [row(2)], "cancellations": [cancelling(3, 2)], "answers": [answer]}
    scene.commit(Change(("info_1",), {"put": back}))
    scene.truth.put_back(sold, known=1)
    lines = scene.truth.state["sales", "order-a"]["lines"]

    def follow(*shown: int | None) -> None:
        orders, before, entries = Truth(0, 0, scene.truth), GENESIS, []
        orders.group = scene.group
        for number, many in enumerate(shown, 2):
            order = {**cancelling(2, many), "lines": lines, "changed": many and number}
            entries.append(chain(before, 1, Change((), {"put": {"orders": [order]}})))
            before = entries[-1].mark
        orders.committed(scene.primary(1), "order-1#1", EMPTY, entries)

    follow(None, 1, 2)
    for wrong, why in (((None, 3), "was committed"), ((None, 2, 1), "has shown")):
        with pytest.raises(Violation, match=f"S6: .* {why}"):
            follow(*wrong)


def test_a_disk_refuses_to_truncate_what_is_committed(scene: Scene) -> None:
    with pytest.raises(Violation):
        scene.disk.image.persisted(GENESIS, ())
