"""What goes wrong, and when it is over."""

from __future__ import annotations

from bazar.replication.effects import Effect, Record, Send
from bazar.replication.file_arbiter import parse_membership
from bazar.replication.messages import Member
from tests.simulation.backups import Backup
from tests.simulation.clients import Clients
from tests.simulation.node import NodeProcess
from tests.simulation.shopworld import Group, Node, ShopWorld
from tests.simulation.strays import Stray
from tests.world.network import Stream

AIM_S = 0.05
JUDGED_S = 0.5  # for what a start takes
SLOW_STEP_S = 0.01
MOST_BACKUPS = 3


class Faults:
    """Picks a fault and a victim every now and then, until it is told to stop."""

    def __init__(self, world: ShopWorld, clients: Clients) -> None:
        self.world = world
        self.clients = clients
        self.backups: list[list[Backup]] = []  # each of all groups, at one moment
        self.tape = world.tape("faults")
        self.random = self.tape.random
        self._below = world.tape("deletions")  # whether it is deleted below who has it open
        self.kinds = ["nothing", *world.profile.faults]
        self.weights = [0.001, *world.profile.faults.values()]
        self.over = False
        self._taken: set[str] = set()
        self._stray: Stray | None = None
        world.aim = self.aim
        self._next()

    def _next(self) -> None:
        delay_s = self.world.profile.fault_every_s * 2.0 * (self.random() or 0.5)
        self.world.after(0.001 + delay_s, None, self._strike)

    def _strike(self) -> None:
        if self.over:
            return
        self._next()
        kind = self.tape.weighted(self.kinds, self.weights)
        group = self.world.groups[0]
        if len(self.world.groups) > 1 and self.tape.chance(0.4):
            group = self.world.groups[1]
        node = group.nodes[self.tape.below(len(group.nodes))]
        if kind != "nothing":
            getattr(self, kind)(node)

    # --- faults ----------------------------------------------------------------------------------

    def aim(self, node: Node, effect: Effect) -> None:
        """Strike just behind an effect, where a rule is about that very moment."""
        moment = type(effect.message if isinstance(effect, Send) else effect).__name__
        if isinstance(effect, Record):
            before = node.group.membership
            grown = 0 if before is None else len(effect.membership.members) - len(before.members)
            moment = "Join" if grown > 0 else "Shrink" if grown < 0 else moment
        kind, probability = self.world.profile.aims.get(moment, ("", 0.0))
        if self.over or not self.tape.chance(probability):
            return
        if kind == "seize":  # in the midst of this step
            self.seize(node)
        else:
            behind_s = 0.0 if kind == "blackout" else AIM_S * self.random()
            self.world.after(behind_s, None, self._hit, kind, node)

    def _hit(self, kind: str, node: Node) -> None:
        if not self.over:
            getattr(self, kind)(node)

    def crash(self, node: Node, down_s: float | None = None) -> None:
        if node.process is not None:
            node.process.die("killed")
            self._start_again(node, down_s)

    def crash_twice(self, node: Node) -> None:
        """The primary, and its successor before it has begun to commit."""
        self._crash_primary(node.group)
        self.world.after(0.1 + 0.9 * self.random(), None, self._second, node.group)

    def _crash_primary(self, group: Group) -> None:
        holder = group.holder
        if holder is not None:
            self.crash(holder.node)

    def _second(self, group: Group) -> None:
        holder = group.holder
        if holder is None or self.over:
            return
        if self.tape.chance(0.3):
            self._stop(holder)
        else:
            self.crash(holder.node)

    def pause(self, node: Node) -> None:
        if node.process is not None and not node.process.paused:
            longest_s = self.tape.choice((0.05, 0.5, 2.5))
            node.process.pause(longest_s * self.random())

    def terminate(self, node: Node) -> None:
        holder = node.group.holder
        if holder is not None and self.tape.chance(0.4):
            node = holder.node
        if node.process is not None:
            self._stop(node.process)

    def _stop(self, process: NodeProcess) -> None:
        if not process.paused:
            process.terminate()
            self._start_again(process.node)

    def lose(self, node: Node) -> None:
        stream = self._some_stream(node)
        if stream is not None:
            self.world.say("network", f"loses [{stream.number}]")
            late_s = self.world.profile.late_s
            stream.vanish((late_s * self.random(), late_s * self.random()))

    def stall(self, node: Node) -> None:
        """One way of a connection gets slow, or stuck."""
        stream = self._some_stream(node)
        if stream is not None:
            for_s = self.tape.choice((0.5, 2.0)) * self.random()
            self.world.say("network", f"[{stream.number}] to {node} takes {for_s:.2f} s")
            stream.stall(for_s)

    def detain(self, node: Node) -> None:
        """What the orders ask of the catalog's primary is long on its way; nothing is lost."""
        holder, orders = self.world.groups[0].holder, self.world.groups[-1].replicas
        self.world.say("network", f"what is asked of {holder} is long on its way")
        asking = [other.process for other in orders if other.process is not None]
        for stream in list(holder.streams) if holder is not None else ():
            if stream.peer is not None and stream.peer.process in asking:
                stream.stall(0.4 + self.random())

    def lapse(self, node: Node) -> None:
        """A cache does not hear its primary for longer than a lease, and the others still later:
        what they answer is of a time before."""
        holder, lease_s = node.group.holder, node.timing.lease_s
        if node not in node.group.caches or node.process is None:
            return
        gone_s = lease_s * (1.0 + self.random())
        self.world.say(node.name, f"hears nothing of its primary for {gone_s:.2f} s")
        for stream in list(node.process.streams):
            if stream.peer is not None and stream.peer.process is holder:
                stream.vanish((gone_s, gone_s))
            else:
                stream.stall(gone_s + lease_s * (0.5 + self.random()))

    def isolate(self, node: Node) -> None:
        if node.host.isolated:
            return
        self.world.say(node.name, "is isolated")
        node.host.isolated = True
        for stream in list(node.process.streams) if node.process is not None else []:
            stream.vanish((0.3 * self.random(), 0.3 * self.random()))
        self.world.after(1.5 * self.random(), None, self._rejoin, node)

    def slow_process(self, node: Node) -> None:
        """Each step takes long, as where many processes share few processors."""
        if node.process is not None:
            self.world.say(node.name, "gets little of the processor")
            node.process.step_s = 0.05
            self.world.after(1.5 * self.random(), None, self._heal_process, node.process)

    def _heal_process(self, process: NodeProcess) -> None:
        process.step_s = self.world.profile.step_s

    def outage(self, node: Node) -> None:
        """The machine loses power: every process dies, and what was not synced may be lost."""
        self.world.say(node.name, "and all others: no power")
        for one in self.world.nodes:
            if one.process is not None:
                one.process.die("no power")
                self._start_again(one)
        self.world.files.power_cut()

    def forget(self, node: Node) -> None:
        """Somebody takes the membership's file away, and puts it back later. A primary that lives
        makes it anew; while nobody runs, nobody may lead until it is back (T0)."""
        group, files, path = node.group, self.world.files, f"/data/{node.group.name}.members"
        whole = all(one.disk is not None and one.disk.image.last_seq for one in group.replicas)
        if path not in files.names or not group.settled or path in self._taken or not whole:
            return
        self._taken.add(path)
        if getattr(group.holder, "primary", None) is not None and self._below.chance(0.5):
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

    def put_back(self, node: Node) -> None:
        """Files of an earlier moment are put back while nobody of their group runs; the first time
        they are only kept."""
        if not self.backups or self.tape.chance(0.3):
            self._back_up()
            return
        found = self.backups[self.tape.below(len(self.backups))]
        chosen = [one for one in found if self.tape.chance(0.6)]
        for backup in chosen or found[:1]:
            group = backup.group
            # What was recorded since may count on disks that are no more: then it goes, too.
            same = (
                group.membership is not None and self._members(backup) == group.membership.members
            )
            with_membership = not same or not group.settled or self.tape.chance(0.7)
            for one in group.replicas:
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
        """The file of one node is put back, while the others of its group go on."""
        self._back_up()
        if node.process is None or node.disk is None or not self._others_are_whole(node):
            return
        found = self.backups[self.tape.below(len(self.backups))] if self.backups else []
        for backup in found:
            store, image = backup.images.get(node.name, ("", None))
            if image is not None and store == node.disk.store:
                node.process.die("killed")
                node.disk.rewind(image)
                self.world.say(node.name, f"its file is put back to {image.committed}")
                node.group.truth.check_member(node.disk, node.name)
                self._start_again(node)

    def silence(self) -> None:
        """A subscriber's connections carry nothing any more, and nobody tells it or the others."""
        group = self.world.groups[self.tape.below(len(self.world.groups))]
        for node in group.nodes:
            if node.process is not None and group.holder is not node.process:
                late_s = 0.0
                if self.tape.chance(0.5):  # while it joins
                    node.process.die("killed")
                    self._start(node)
                    late_s = 0.3 * self.random()
                self.world.after(late_s, None, self._silence, node)
                return

    def _silence(self, node: Node) -> None:
        self.world.say(node.name, "hears nothing on its connections")
        for stream in node.process.streams if node.process is not None else ():
            stream.silence()

    def steal(self, node: Node) -> None:
        """Somebody deletes the lock's file: whoever tries next makes another, and locks that."""
        group = node.group
        if group.holder is not None:
            self.world.say(group.holder.name, "its lock's file is deleted")
            group.truth.lock_lost = True
            del self.world.files.names[f"/data/{group.name}.lock"]

    def usurp(self, node: Node) -> None:
        """The lock's file is deleted, another replica begins anew and finds it free, and the
        primary is stopped until that one leads."""
        holder = node.group.holder
        if holder is not None and self._may_lead_instead(node):
            holder.pause(self._depose(node))

    def seize(self, node: Node) -> None:
        """The same, but the primary is stopped in the middle of a step, and goes on with it: no
        timer of its own is overdue then."""
        holder = node.group.holder
        if holder is not None and holder is self.world.current and self._may_lead_instead(node):
            holder.elsewhere(self._depose(node))

    def _may_lead_instead(self, node: Node) -> list[Node]:
        group = node.group
        return [other for other in group.replicas if other.process is not group.holder]

    def _depose(self, node: Node) -> float:
        """Let another one get the lock, and return how long it takes until that one commits."""
        others = self._may_lead_instead(node)
        self.steal(node)
        self.crash(others[self.tape.below(len(others))], 0.02)
        longest_s = max(other.timing.lease_s for other in node.group.replicas)
        return longest_s * (1.1 + self.random())

    def stray(self, node: Node) -> None:
        """A node is started over another directory, new or a copy, and meets the others later."""
        if self.world.strays or node.process is None or not self._others_are_whole(node):
            return
        node.process.die("killed")
        self._stray = stray = Stray(self.world, node, copied=self.tape.chance(0.5))
        met_s = self.tape.choice((0.0, 1.5)) * self.random()
        self.world.after(met_s, None, stray.meet)
        self.world.after(met_s + 2.0 + self.random(), None, stray.put_right)

    def slow_disk(self, node: Node) -> None:
        if node.disk is not None:
            self.world.say(node.name, "its disk is slow")
            node.disk.slow = True
            self.world.after(2.0 * self.random(), None, self._heal_disk, node)
            if self.tape.chance(0.5):
                self.world.after(0.3 * self.random(), None, self._reconnect, node)

    def full_disk(self, node: Node) -> None:
        if node.disk is not None:
            self.world.say(node.name, "its disk is full")
            node.disk.full = True
            self.world.after(1.5 * self.random(), None, self._heal_disk, node)

    def damage(self, node: Node) -> None:
        """A crash, and the WAL loses its last transactions while the node is down (J5). A power
        cut does so to several at once."""
        self._damage(node)
        for other in node.group.replicas:
            if other is not node and self.tape.chance(0.5):
                self._damage(other)

    def _damage(self, node: Node, down_s: float | None = None) -> None:
        if node.process is None or node.disk is None or not self._others_are_whole(node):
            return
        node.process.die("killed")
        if node.disk.damage(self.tape.choice(self.world.profile.lost_transactions)):
            self.world.say(node.name, f"its WAL is back at {node.disk.image.committed}")
            node.group.truth.check_member(node.disk, node.name)
        self._start_again(node, down_s)

    def power_cut(self, node: Node) -> None:
        """Everybody dies; all but one may have lost what was fsynced last, or everything."""
        others = [other for other in node.group.replicas if other is not node]
        for other in others:
            lost = self.random()
            if lost < 0.6:
                self._damage(other)
            elif lost < 0.85:
                self.wipe(other)
        for other in node.group.replicas:
            self.crash(other)

    def blackout(self, node: Node) -> None:
        """Everybody dies, and the followers' last commits are undone, though their logs are whole;
        the primary returns last."""
        holder = node.group.holder
        if holder is None:
            return
        if not node.group.settled:
            self.world.after(0.002, None, self._hit, "blackout", node)
            return
        for other in node.group.replicas:
            if other is not holder.node and other.disk is not None:
                down_s = 0.1 * self.random()
                if other.disk.applied_last:
                    self._damage(other, down_s)
                else:
                    self.crash(other, down_s)
        holder.die("killed")
        self.world.after(1.0 + self.random(), None, self._start, holder.node)

    def betray(self, node: Node) -> None:
        """A follower's disk has lost commits, or is new, and the primary hands over to it."""
        holder = node.group.holder
        if holder is not None and holder.node is not node:
            (self._damage if self.tape.chance(0.5) else self.wipe)(node)
            self._stop(holder)

    def forsake(self, node: Node) -> None:
        """The primary leaves in order, or dies and its successor leaves at once, while a subscriber
        is out of reach: his lease runs on."""
        group, holder = node.group, node.group.holder
        others = [other for other in group.nodes if other.process not in (holder, None)]
        if holder is None or len(others) < 2:
            return
        self.isolate(others[self.tape.below(len(others))])
        if self.tape.chance(0.5):
            self._stop(holder)
        else:
            self.crash(holder.node)
            self.world.after(0.3 * self.random(), None, self._leave, group)

    def _leave(self, group: Group) -> None:
        if not self.over and group.holder is not None:
            self._stop(group.holder)

    def bury(self, node: Node) -> None:
        """A batch reaches one follower only, who dies with the primary; that one returns with an
        empty disk, and both come back while the other follower takes over."""
        holder = node.group.holder
        followers = [other for other in node.group.replicas if other.process is not holder]
        if holder is None or len(followers) < 2:
            return
        keeper, heir = sorted(followers, key=lambda _: self.random())[:2]
        self._cut(holder, heir)
        self.world.after(AIM_S, None, self._hit, "wipe", holder.node)
        self.world.after(AIM_S, None, self._hit, "crash", keeper)

    def _cut(self, holder: NodeProcess, node: Node) -> None:
        for stream in list(holder.streams):
            if stream.peer is not None and stream.peer.process is node.process:
                stream.vanish((0.0, 0.0))

    def scatter(self, node: Node) -> None:
        """A batch of the primary that dies reaches one follower only, who is then away until the
        other has taken over."""
        holder = node.group.holder
        followers = [other for other in node.group.replicas if other.process is not holder]
        if holder is None or len(followers) < 2:
            return
        keeper, heir = sorted(followers, key=lambda _: self.random())[:2]
        self._cut(holder, heir)
        self.world.after(AIM_S, None, self.crash, holder.node)
        self.world.after(0.1 + 0.2 * self.random(), None, self.crash, keeper)

    def wipe(self, node: Node) -> None:
        """A crash, and the node returns with an empty disk; or its file is deleted below it."""
        if node.process is None or node.disk is None or not self._others_are_whole(node):
            return
        if self._below.chance(0.5):
            self._delete(node)
            return
        node.process.die("killed")
        self.world.say(node.name, "its disk is empty")
        node.disk.wipe()
        self._start_again(node)

    def _delete(self, node: Node) -> None:
        """R8: the node leaves by itself, in a third of a lease and what its last step takes."""
        process, disk = node.process, node.disk
        assert process is not None and disk is not None
        self.world.say(node.name, "its file is deleted")
        disk.deleted = True
        pauses = process.pauses

        def judge() -> None:
            stood = process.paused or process.pauses != pauses or disk.slow or disk.hangs
            if process.alive and not stood and process.ready and not process.step_s > SLOW_STEP_S:
                self.world.violate(f"R8: {process.name} stays, and its file is deleted")

        self.world.after(node.timing.lease_s + JUDGED_S, None, judge)

    def _reconnect(self, node: Node) -> None:
        """A connection breaks, and a new one is there while the disk still works off the old."""
        stream = self._some_stream(node)
        if stream is not None:
            self.world.say("network", f"[{stream.number}] breaks")
            stream.vanish((0.02, 0.02))

    # --- helpers ---------------------------------------------------------------------------------

    def _some_stream(self, node: Node) -> Stream | None:
        streams = list(node.process.streams) if node.process is not None else []
        return streams[self.tape.below(len(streams))] if streams else None

    def _others_are_whole(self, node: Node) -> bool:
        """Whether another member's process runs on an undamaged disk: then nothing is lost."""
        group: Group = node.group
        membership = group.membership
        if membership is None or not group.settled:
            return False
        stores = {member.store for member in membership.members}
        return any(
            other is not node
            and other.process is not None
            and other.disk is not None
            and not (other.disk.damaged or other.disk.deleted)
            and other.disk.store in stores
            for other in group.replicas
        )

    def _start_again(self, node: Node, down_s: float | None = None) -> None:
        if down_s is None:
            down_s = self.tape.choice(self.world.profile.down_s) * self.random()
        self.world.after(0.1 + down_s, None, self._start, node)

    def _start(self, node: Node) -> None:
        if node.process is None and not (self.over and node.disk is not None and node.disk.full):
            self.world.start(node)

    def _rejoin(self, node: Node) -> None:
        if node.host.isolated:
            self.world.say(node.name, "is reachable again")
            node.host.isolated = False

    def _heal_disk(self, node: Node) -> None:
        if node.disk is not None:
            node.disk.slow = node.disk.full = False

    def encore(self) -> None:
        """Everything is well, and then the primary dies amid the last writes, and others with it.
        Nothing is written afterwards that would paper over what they left behind."""
        if self.tape.chance(self.world.profile.scattered):
            self.scatter(self.world.groups[0].replicas[0])
            return
        for group in self.world.groups:
            holder = group.holder
            for node in group.replicas:
                is_primary = holder is not None and node is holder.node
                if node.disk is None or node.disk.hangs:
                    continue
                if not is_primary and self.tape.chance(0.6):
                    continue
                if self.tape.chance(0.3):
                    self._damage(node)
                else:
                    self.crash(node)

    # --- the supervisor, and the end of all faults -----------------------------------------------

    def supervise(self) -> None:
        """Whoever has stopped by itself is started again."""
        for group in self.world.groups:
            for node in group.nodes:
                if node.process is None and (self.over or not self.tape.chance(0.7)):
                    self.world.start(node)
        self.world.after(0.3, None, self.supervise)

    def _hang(self) -> None:
        """One follower's disk never answers again: the others must go on without it."""
        group = self.world.groups[0]
        followers = [
            node
            for node in group.replicas
            if node.process is not None
            and group.holder not in (node.process, None)
            and self._others_are_whole(node)  # or it may hold the only copy
        ]
        if followers:
            node = followers[self.tape.below(len(followers))]
            assert node.disk is not None
            if self.tape.chance(0.5):  # while it joins
                self.crash(node, 0.05)
                self.world.after(0.15 + 0.4 * self.random(), None, self._hang_disk, node)
                return
            self._hang_disk(node)
            if self.tape.chance(0.5):
                self.crash(node)

    def _hang_disk(self, node: Node) -> None:
        self.world.say(node.name, "its disk hangs")
        assert node.disk is not None
        node.disk.hangs = True

    def stop(self) -> None:
        self.over = True
        world = self.world
        if self._stray is not None:
            self._stray.put_right()
        if world.profile.hangs:
            self._hang()
        world.say("network", "no more faults")
        world.profile.calm, world.profile.calm_since = True, world.now
        silenced = world.profile.silent and not world.profile.hangs
        for group in world.groups:
            for node in group.nodes:
                self._rejoin(node)
                self._heal_disk(node)
                if node.process is None:
                    world.start(node)
                    continue
                node.process.resume()
                node.process.step_s, node.process.syscall_chance = 0.0002, 0.0
                for stream in list(node.process.streams):
                    # What is lost without anybody's notice is a fault that goes on.
                    if stream.cut or stream.arrival > world.now + 0.1:
                        stream.vanish((0.05, 0.05))
        if silenced:
            self.silence()
