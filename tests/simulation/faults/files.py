"""Faults of a group's files: some are deleted, not synced, or put back."""

from __future__ import annotations

import json

from bazar.replication.file_arbiter import parse_membership
from bazar.replication.messages import Member
from tests.simulation.backups import Backup
from tests.simulation.clients import Clients
from tests.simulation.faults.processes import ProcessFaults
from tests.simulation.shopworld import Group, Node, ShopWorld, describe

MOST_BACKUPS = 3
JUDGED_S = 0.5  # beyond a lease: until a step has checked
SLOW_STEP_S = 0.01


class FileFaults(ProcessFaults):
    """Faults of files."""

    def __init__(self, world: ShopWorld, clients: Clients) -> None:
        super().__init__(world, clients)
        self.backups: list[list[Backup]] = []  # each of all groups, at one moment
        self._taken: set[str] = set()

    def outage(self, node: Node) -> None:
        """Cut the machine's power: every process dies, and what was not synced may be lost."""
        self.world.say(node.name, "and all others: no power")
        for one in self.world.nodes:
            if one.process is not None:
                one.process.die("no power")
                self._start_again(one)
        self.world.files.power_cut()

    def forget(self, node: Node) -> None:
        """Delete the membership's file, and put it back later, or put an older one in its place. A
        living primary makes it anew. If no node runs, none may lead before it is back (T0)."""
        group, files, path = node.group, self.world.files, f"/data/{node.group.name}.members"
        disks = [one.disk for one in group.replicas]
        # What is left of others on its disk keeps a node from beginning, which is not simulated.
        whole = all(disk and disk.image.last_seq and not disk.deleted for disk in disks)
        if not group.is_recorded or not group.settled or path in self._taken or not whole:
            return
        below = getattr(group.holder, "primary", None) is not None and self._below.chance(0.5)
        if below and self._below.chance(0.5) and self._misplace(group):
            return
        self._taken.add(path)
        if below:
            self.world.say(group.name, "its membership's file is deleted")
        else:
            self.world.say(group.name, "nobody runs, and its membership's file is gone")
            for one in group.replicas:
                self.crash(one, 0.3)
        file = files.names.pop(path)

        def put_back() -> None:
            self._taken.discard(path)
            files.names.setdefault(path, file)

        self.world.after(0.5 + self.random(), None, put_back)

    def _misplace(self, group: Group) -> bool:
        """Put back, below a primary, the membership from before a node joined. If the primary dies
        before it checks, others may go on from that membership."""
        holder, now = group.holder, group.membership
        if holder is None or now is None or len(now.members) < 2 or now.clean:
            return False
        if set(self.world.profile.faults) != {"forget"}:
            return False  # others might continue from it
        plain = json.loads(self.world.files.look(group.members_path).content)
        plain["members"].pop(self._below.below(len(now.members)))
        older = json.dumps(plain).encode()
        was = parse_membership(older)
        self.world.say(group.name, f"its membership is put back to {describe(was)}")
        group.misplaced = file = self.world.files.create(group.members_path)
        file.write(0, older)
        file.sync()
        self.world.files.sync_directory("/data")
        before = holder.pauses, holder.absences

        def judge() -> None:
            stood = holder.paused or (holder.pauses, holder.absences) != before
            stood |= holder.step_s > SLOW_STEP_S
            still = self.world.files.names.get(group.members_path) is file
            if still and holder is group.holder and not stood:
                self.world.violate(f"T0: {holder.name} leaves an older membership on record")

        self.world.after(holder.node.timing.lease_s + JUDGED_S, None, judge)
        return True

    def steal(self, node: Node) -> None:
        """Delete the lock's file: the next node that tries makes another, and locks that."""
        group = node.group
        if group.holder is not None:
            self.world.say(group.holder.name, "its lock's file is deleted")
            group.truth.lock_lost = True
            del self.world.files.names[f"/data/{group.name}.lock"]

    def put_back(self, node: Node) -> None:
        """Put back files of an earlier moment while no node of their group runs; the first time,
        only keep them."""
        if not self.backups or self.tape.chance(0.3):
            self._back_up()
            return
        found = self.backups[self.tape.below(len(self.backups))]
        chosen = [one for one in found if self.tape.chance(0.6)]
        for backup in chosen or found[:1]:
            group = backup.group
            # What was recorded since may depend on disks that are gone: then it goes, too.
            same = (
                group.membership is not None and self._members(backup) == group.membership.members
            )
            with_membership = not same or not group.settled or self.tape.chance(0.7)
            # Who puts files back leaves `lease_s` as it was, or makes it longer (T5).
            longest = max((one.timing for one in group.replicas), key=lambda each: each.lease_s)
            for one in group.replicas:
                one.timing = longest
                if one.process is not None:
                    one.process.die("killed")
                    self._start_again(one)
            self.world.say(group.name, f"its files are put back to {backup.moment.epoch}")
            self.world.guard(backup.put_back, self.clients, with_membership)

    def _members(self, backup: Backup) -> frozenset[Member]:
        return parse_membership(backup.membership).members

    def _back_up(self) -> None:
        taken = [Backup.of(group, self.clients) for group in self.world.groups]
        whole = [one for one in taken if one is not None]
        if len(whole) == len(taken) and len(self.backups) < MOST_BACKUPS:
            self.world.say("operator", "keeps the files as they are")
            self.backups.append(whole)

    def rewind(self, node: Node) -> None:
        """Put back the file of one node, of this history, while the others of its group go on."""
        self._back_up()
        if node.process is None or node.disk is None or not self._others_are_whole(node):
            return
        found = self.backups[self.tape.below(len(self.backups))] if self.backups else []
        for backup in found:
            store, image = backup.images.get(node.name, ("", None))
            if image is None or store != node.disk.store:
                continue
            if node.group.truth.has(image.committed):
                node.process.die("killed")
                node.disk.rewind(image)
                self.world.say(node.name, f"its file is put back to {image.committed}")
                node.group.truth.check_member(node.disk, node.name)
                self._start_again(node)
