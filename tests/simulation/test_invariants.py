"""The checks of each step find what they are for."""

from __future__ import annotations

from typing import Any

import pytest

from bazar.replication.effects import Persist
from bazar.replication.messages import GENESIS, Change, Entry, Mark, Member, Membership, chain
from bazar.replication.primary import Primary
from bazar.replication.timing import Timing
from tests.simulation.arbiter import Arbiter
from tests.simulation.disk import EMPTY, Disk
from tests.simulation.invariants import Truth
from tests.simulation.profile import Profile
from tests.simulation.shop import stocked
from tests.simulation.world import Group, Node, Violation, World


class Scene:
    """A group of one replica, whose primary commits by hand."""

    def __init__(self) -> None:
        world = World(1)
        world.profile = Profile(world.rng)
        self.truth = Truth(books=1, stock=3)
        self.group = Group("catalog", Arbiter(world), self.truth)
        self.truth.group = self.group
        self.disk = Disk("catalog-1", 100)
        self.group.replicas.append(Node("catalog-1", self.group, self.disk, world.profile))
        self.before = GENESIS

    def primary(self, epoch: int) -> Primary:
        me = Member("catalog-1", self.disk.store)
        membership = Membership(epoch, frozenset({me}), 1.0)
        return Primary(me, membership, GENESIS, (), 0.0, Timing(), restarted=False)

    def commit(self, change: Change, epoch: int = 1, run: str = "catalog-1#1") -> Entry:
        entry = chain(self.before, epoch, change)
        image = self.disk.image.persisted(Persist(self.before, (entry,)))
        self.disk.write(image.applied(entry.mark, 100))
        self.truth.committed(self.primary(epoch), run, self.disk.image, (entry,))
        self.before = entry.mark
        return entry


def sale(key: str, left: int, seq: int, quantity: int = 1) -> Change:
    rows: Any = [["book:1", ["first", "ug", left]], [f"sale:{key}", [seq, left, 1, quantity]]]
    return Change(("info_1",), rows)


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.commit(stocked(1, 3))
    return scene


def test_i1_two_primaries_in_one_epoch(scene: Scene) -> None:
    with pytest.raises(Violation, match="I1"):
        scene.commit(sale("a", 2, 2), run="catalog-2#1")


def test_i1_an_epoch_that_falls(scene: Scene) -> None:
    scene.commit(sale("a", 2, 2), epoch=3)
    with pytest.raises(Violation, match="I1"):
        scene.commit(sale("b", 1, 3), epoch=2)


def test_i2_another_entry_in_the_same_place(scene: Scene) -> None:
    other = chain(GENESIS, 1, sale("x", 2, 1))
    with pytest.raises(Violation, match="I2"):
        scene.truth.committed(scene.primary(1), "catalog-1#1", scene.disk.image, (other,))


def test_i2_a_replica_ahead_of_the_log(scene: Scene) -> None:
    image = scene.disk.image._replace(committed=Mark(9, "nowhere"))
    with pytest.raises(Violation, match="I2"):
        scene.truth.on_log(image, "catalog-2")


def test_i3_a_member_that_lacks_what_was_acknowledged(scene: Scene) -> None:
    me = Member("catalog-1", scene.disk.store)
    scene.group.arbiter.membership = Membership(1, frozenset({me}), 1.0)
    scene.disk.image = EMPTY
    with pytest.raises(Violation, match="I3"):
        scene.truth.check_members()


def test_i4_a_value_that_was_over_before_the_read_began(scene: Scene) -> None:
    scene.commit(sale("a", 2, 2))
    scene.truth.check_row("book:1", ["first", "ug", 3], since=1, who="a reader that began before")
    with pytest.raises(Violation, match="I4"):
        scene.truth.check_row("book:1", ["first", "ug", 3], since=2, who="a later reader")


def test_i4_a_value_that_never_was(scene: Scene) -> None:
    with pytest.raises(Violation, match="I4"):
        scene.truth.check_row("book:1", ["first", "ug", 1], since=0, who="a reader")


def test_i4_a_search_that_is_too_old(scene: Scene) -> None:
    shown = ((1, ("first", "ug", 3)),)
    scene.truth.check_search("ug", shown, since=1, who="a reader")
    scene.commit(sale("a", 2, 2))
    with pytest.raises(Violation, match="I4"):
        scene.truth.check_search("ug", shown, since=2, who="a reader")


def test_i7_a_negative_count(scene: Scene) -> None:
    with pytest.raises(Violation, match="I7"):
        scene.commit(sale("a", -1, 2, quantity=4))


def test_i7_a_sale_that_does_not_add_up(scene: Scene) -> None:
    with pytest.raises(Violation, match="I7"):
        scene.commit(sale("a", 3, 2))


def test_i7_a_key_that_is_sold_twice(scene: Scene) -> None:
    scene.commit(sale("a", 2, 2))
    with pytest.raises(Violation, match="I7"):
        scene.commit(sale("a", 1, 3))


def test_i7_an_order_of_nothing(scene: Scene) -> None:
    orders = Truth(0, 0, scene.truth)
    orders.group = scene.group
    entry = chain(GENESIS, 1, Change(("order_x",), [["order:x", [2]]]))
    with pytest.raises(Violation, match="I7"):
        orders.committed(scene.primary(1), "order-1#1", EMPTY, (entry,))


def test_a_disk_refuses_to_truncate_what_is_committed(scene: Scene) -> None:
    with pytest.raises(Violation):
        scene.disk.image.persisted(Persist(GENESIS, ()))
