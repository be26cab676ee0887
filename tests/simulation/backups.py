"""Files that are put back to an earlier moment, and the operator who then says how to go on.

A backup is of one instant: of a group that is stopped, or of disks below a running one. What was
acknowledged between it and its return may be missing afterwards, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bazar.errors import BazarError
from handlers.orders.service import OrderService
from tests.simulation.disk import Image
from tests.simulation.invariants import Moment
from tests.simulation.shopworld import Group, ShopWorld

if TYPE_CHECKING:
    from tests.simulation.clients import Clients
    from tests.simulation.node import ReplicaProcess
    from tests.simulation.requests import Write

LOOK_S = 0.3


@dataclass(frozen=True, slots=True)
class Backup:
    """The files of one group, and what was true of them."""

    group: Group
    moment: Moment
    images: dict[str, tuple[str, Image]]  # by node: its store and its file
    membership: bytes
    open: tuple[Write, ...]  # may be on a disk without being committed

    @classmethod
    def of(cls, group: Group, clients: Clients) -> Backup | None:
        """Take a backup if the files are in order, else return None."""
        file = group.world.files.names.get(group.members_path)
        disks = [node.disk for node in group.replicas if node.disk is not None]
        if file is None or not group.settled or any(disk.damaged or disk.hangs for disk in disks):
            return None
        images = {disk.name: (disk.store, disk.image) for disk in disks}
        return cls(group, group.truth.moment(), images, file.content, tuple(clients.open))

    def put_back(self, clients: Clients, with_membership: bool) -> None:
        """Make these the group's files while none of its nodes runs. Without the backup's
        membership the present file stays, whose members must be the same."""
        group = self.group
        assert not any(node.process for node in group.replicas)
        clients.before_put_back(group)
        for node in group.replicas:
            assert node.disk is not None
            node.disk.put_back(*self.images[node.name])
        files = group.world.files
        if with_membership:
            file = files.create(group.members_path)
            file.write(0, self.membership)
            file.sync()
            files.sync_directory("/data")
        group.truth.put_back(self.moment, group.known_epoch())
        group.truth.check_members()
        clients.put_back(group, self.open)


class Operator:
    """Has the orders adopt the catalog's history as soon as they report that it is another one."""

    def __init__(self, world: ShopWorld, orders: Group) -> None:
        self.world = world
        self.orders = orders
        world.after(LOOK_S, None, self._look)

    def _look(self) -> None:
        self.world.after(LOOK_S, None, self._look)
        process = self.orders.holder
        service = getattr(process, "service", None)
        if process is None or process.paused or not isinstance(service, OrderService):
            return
        if service._foreign is not None:
            truth = self.orders.truth
            if not self.world.profile.damages and not truth.lives and not truth.catalog.lives:
                self.world.violate(f"S2: {process.name} calls its cursor foreign, which it is not")
            process.loop.spawn(lambda: self._adopt(process, service))  # type: ignore[arg-type]

    async def _adopt(self, process: ReplicaProcess, service: OrderService) -> None:
        try:
            standing = await service.adoption.standing({})
            if standing["follows"]:
                return
            self.world.say(process.name, f"adopts: {standing}")
            await service.adoption.adopt(
                {name: standing[name] for name in ("cursor", "common", "behind")}
            )
        except BazarError as error:
            self.world.say(process.name, f"does not adopt: {error}")
