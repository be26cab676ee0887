"""A second cluster by mistake: one node of the configuration, over a data directory of its own.

At first the others can't reach it, so it may become a primary. Once it meets them, no node may take
anything from it or give it anything, and one of two primaries must end (A2, A3).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from bazar.replication.messages import CACHE
from bazar.replication.primary import Primary
from bazar.replication.replica_subscriber import ReplicaSubscriber
from tests.simulation.disk import Disk
from tests.simulation.invariants import Truth
from tests.simulation.shopworld import Group, Node, ShopWorld
from tests.world.world import Violation

if TYPE_CHECKING:
    from tests.simulation.node import NodeProcess

ELSEWHERE = "/elsewhere"
LOOKS_S = 0.5  # beyond the leases: until an answer arrives, or another question is asked
FOUND_LEASES = 4
SETTLED_S = 1.0
AGAIN_S = 0.2


class Stray:
    """One node, from its start over another directory until that is put right."""

    def __init__(self, world: ShopWorld, node: Node, *, copied: bool) -> None:
        self.world, self.node = world, node
        self.home, self.disk = node.group, node.disk
        assert self.disk is not None
        profile, files = world.profile, world.files
        truth = copy.copy(self.home.truth) if copied else Truth(profile.books, profile.stock)
        self.home.replicas.remove(node)
        node.group = Group(world, self.home.name, truth, ELSEWHERE)
        node.group.replicas.append(node)
        truth.fork(node.group)
        node.disk = Disk(f"{node.name}-elsewhere", self.disk.keep)
        files.make_directory(ELSEWHERE)
        if copied:
            node.disk.image, node.disk.store = self.disk.image, self.disk.store
            path = f"{self.home.name}.members"
            file = files.create(f"{ELSEWHERE}/{path}")
            file.write(0, files.look(f"/data/{path}").content)
        world.strays.append(node.group)
        world.say(node.name, f"is started over {'a copy' if copied else 'nothing'}, out of reach")
        node.host.isolated = True
        self._keep()

    def _keep(self) -> None:
        """Start it again whenever it ends, and check whether two primaries go on."""
        if self.node.group in self.world.strays:
            if self.node.process is None:
                self.world.start(self.node)
            self._check()
            self.world.after(AGAIN_S, None, self._keep)

    def meet(self) -> None:
        if self.node.group in self.world.strays:
            self.world.say(self.node.name, "can be reached, where it is")
            self.node.host.isolated = False
            self.world.met_at = self.world.now

    def _check(self) -> None:
        world = self.world
        leading = [one for one in map(_leading, (self.home, self.node.group)) if one is not None]
        since = max([world.met_at, *(one.led_at for one in leading)])
        lease_s = max(one.node.timing.lease_s for one in leading) if leading else 0.0
        if len(leading) > 1 and world.now - since > FOUND_LEASES * lease_s + LOOKS_S:
            world.violate(f"A3: {leading} both lead, and have been able to ask each other")

    def put_right(self) -> None:
        """Start it over its own directory."""
        world, node = self.world, self.node
        if node.group not in world.strays:
            return
        world.say(node.name, "is stopped, to be started where it belongs")
        if node.process is not None:
            node.process.die("killed")
        world.strays.remove(node.group)
        world.met_at = float("inf")
        for name in [name for name in world.files.names if name.startswith(ELSEWHERE)]:
            world.files.unlink(name)
        node.group, node.disk = self.home, self.disk
        self.home.replicas.append(node)
        node.host.isolated = False
        world.start(node)


def _leading(group: Group) -> NodeProcess | None:
    process = group.holder
    primary = getattr(process, "primary", None)
    return process if primary is not None and not primary.stopped else None


def check_alone(world: ShopWorld, group: Group, follower: ReplicaSubscriber) -> None:
    """Check A3: a new node asks before it leads, and those that are there answer."""
    if follower.followed or world.now - world.met_at < SETTLED_S:
        return
    for other in (*world.groups, *world.strays):
        leader = _leading(other) if other.name == group.name and other is not group else None
        if leader is not None and world.now - leader.led_at > SETTLED_S:
            raise Violation(f"A3: {follower.node} begins to lead, and did not ask {leader.name}")


def check_feeds(world: ShopWorld, group: Group, primary: Primary) -> None:
    """Check A2: a primary has no feed to a run of another cluster. A cache is of the one that has
    taken it first."""
    for hello in (feed.hello for feed in primary.feeds.values()):
        if hello.arbiter is None:
            continue
        if hello.kind == CACHE:
            same = hello.arbiter == primary.arbiter
        else:
            same = world.group_of[hello.run].directory == group.directory
        if not same:
            raise Violation(f"A2: {hello.run} is taken, and belongs to another cluster")
